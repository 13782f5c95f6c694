"""What is asked for, and what comes of it, in another order than usual: the last thing that was asked for is shown."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.web.conftest import Visit, draw, hold, text_of, until, wait_for_text
from tests.web.shapes import SHAPES, line
from tests.web.test_pictures import hand_over

ONE = [line((0.5, 0.15), (0.5, 0.85))]


def test_models_that_come_late_leave_a_later_message_and_answer_alone(visit: Visit, fake_house: str) -> None:
    held: list[Any] = []
    page = visit(url=fake_house, prepare=lambda page: page.route("**/v1/models", lambda route: held.append(route)))
    failing = {"status": 500, "json": {"code": "internal", "detail": "It was logged."}}
    page.route("**/v1/predict?*", lambda route: route.fulfill(**failing))
    draw(page, ONE)
    wait_for_text(page, "#message", "It was logged.")

    held[0].fulfill(status=503, headers={"Retry-After": "1"}, json={})
    until(lambda: len(held) == 2, page)
    held[1].continue_()

    wait_for_text(page, "#about", "digits")
    assert "It was logged." in page.locator("#message").inner_text()


def test_models_that_cannot_be_had_are_told(visit: Visit, fake_house: str) -> None:
    failing = {"status": 500, "json": {"code": "internal", "detail": "It was logged."}}

    page = visit(url=fake_house, prepare=lambda page: page.route("**/v1/models", lambda route: route.fulfill(**failing)))

    wait_for_text(page, "#message", "That did not work: It was logged.")
    assert page.locator("#waiting").is_hidden()


def test_a_key_that_was_entered_meanwhile_is_not_asked_for_again(visit: Visit, fake_house: str) -> None:
    held: list[Any] = []
    page = visit(url=fake_house, prepare=lambda page: page.route("**/v1/models", lambda route: held.append(route)))
    page.route("**/v1/predict?*", lambda route: held.append(route))
    draw(page, ONE)
    until(lambda: len(held) == 2, page)
    held[0].fulfill(status=401, json={"code": "unauthorized"})
    page.wait_for_selector("#key[open]")
    page.keyboard.type("secret-key")
    page.keyboard.press("Enter")

    held[1].fulfill(status=401, json={"code": "unauthorized"})  # to the request that went out without a key

    until(lambda: len(held) >= 4, page)
    keys = [request.request.headers.get("authorization") for request in held]
    assert keys[2:4] == ["Bearer secret-key"] * 2
    assert page.locator("#key[open]").count() == 0


def test_the_picture_that_was_chosen_last_is_read_though_another_opens_later(
    visit: Visit, fake_house: str, field: Path
) -> None:
    last = io.BytesIO()
    Image.open(field).crop((0, 0, 280, 280)).save(last, "PNG")
    page = visit(url=fake_house)
    hold(page, "createImageBitmap")
    page.set_input_files("#file", field)
    hand_over(page, last.getvalue(), "paste")
    until(lambda: page.evaluate("held.length") == 2, page)

    page.evaluate("held[1]()")
    page.evaluate("held[0]()")

    assert len(text_of(page)) == 1
    assert page.evaluate("document.getElementById('picture').width") == 280  # pixels, of the 840 of the other


def test_a_drawing_that_is_begun_while_a_picture_opens_is_read(visit: Visit, fake_house: str, field: Path) -> None:
    page = visit(url=fake_house)
    hold(page, "createImageBitmap")
    page.set_input_files("#file", field)
    until(lambda: page.evaluate("held.length"), page)
    page.check("[value=draw]")
    page.check("[value=one]")
    draw(page, ONE)
    assert text_of(page) == "1"

    page.evaluate("held[0]()")

    assert page.locator("#answer").is_visible()
    with page.expect_request("**/v1/predict?*"):  # one character of the picture
        page.check("[value=picture]")


def test_an_answer_about_what_was_there_before_goes_while_the_server_is_busy(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    draw(page, ONE)
    assert text_of(page) == "1"
    busy = {"status": 503, "headers": {"Retry-After": "60"}, "json": {"code": "overloaded"}}
    page.route("**/v1/predict?*", lambda route: route.fulfill(**busy))

    draw(page, [line((0.2, 0.5), (0.9, 0.5))])

    wait_for_text(page, "#message", "It tries again in 60 s.")
    assert page.locator("#answer").is_hidden()


def test_boxes_lie_around_what_was_drawn_before_several_were_chosen(visit: Visit) -> None:
    page = visit()
    draw(page, SHAPES["2"][0])
    assert text_of(page) == "2"

    page.check("[value=several]")

    until(lambda: page.locator("#drawing .boxes rect").count() == 1, page)
    paper, box = (page.locator(name).bounding_box() for name in ("#paper", "#drawing .boxes rect"))
    assert paper
    assert box
    assert (box["x"] - paper["x"]) / paper["height"] == pytest.approx(0.23, abs=0.06)  # where the drawing is, in heights
    assert (box["y"] - paper["y"]) / paper["height"] == pytest.approx(0.11, abs=0.06)
