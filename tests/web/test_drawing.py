"""Drawing: what is written with mouse, finger, pen and keys is read."""

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import Visit, draw, text_of, until, wait_for_text
from tests.web.shapes import SHAPES, jittered, line

if TYPE_CHECKING:
    from playwright.sync_api import Page

ONE = [line((0.5, 0.15), (0.5, 0.85))]


def test_drawn_digits_are_recognised(visit: Visit) -> None:
    page = visit()
    wrong = []
    for digit, shapes in SHAPES.items():
        for number, shape in enumerate(shapes):
            for hand in (1, 2):
                page.click("#clear")
                draw(page, jittered(shape, 100 * hand + number))
                if (read := text_of(page)) != digit:
                    wrong.append(f"shape {number} of {digit} by hand {hand}: {read}")

    assert sum(len(shapes) for shapes in SHAPES.values()) * 2 == 100
    assert len(wrong) <= 5, wrong


def test_what_the_model_saw_and_how_likely_each_is_are_shown(visit: Visit) -> None:
    page = visit()
    draw(page, SHAPES["7"][0])

    assert text_of(page) == "7"
    seen = page.locator("#seen img").get_attribute("src") or ""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(seen.partition(",")[2]))))
    assert pixels.shape == (28, 28)
    assert pixels.max() > 200
    labels = page.locator("#bars b").all_inner_texts()
    shares = page.locator("#bars li > span").all_inner_texts()
    widths = page.evaluate("[...document.querySelectorAll('#bars i span')].map((bar) => parseFloat(bar.style.width))")
    assert labels == list("0123456789")
    assert [round(float(share.rstrip("%")), 1) for share in shares] == pytest.approx(widths, abs=0.11)
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert "digits, version" in page.locator("#about").inner_text()
    assert "right on its test set" in page.locator("#about").inner_text()


def test_the_result_comes_while_one_draws(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    box = page.locator("#paper").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 300, steps=5)

    page.wait_for_selector("#answer:not([hidden])")

    assert page.locator("#text").inner_text() == "1"
    page.mouse.up()


def test_the_last_stroke_can_be_undone_and_the_paper_cleared(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    draw(page, ONE)
    assert text_of(page) == "1"
    draw(page, [line((0.2, 0.5), (0.9, 0.5))])
    until(lambda: text_of(page) == "0", page)

    page.click("#undo")
    until(lambda: text_of(page) == "1", page)
    page.click("#clear")

    assert page.locator("#answer").is_hidden()
    assert page.locator("#hint").is_visible()
    wait_for_text(page, "#announcer", "The paper is empty.")


@pytest.mark.parametrize("kind", ["pen", "finger"])
def test_pen_and_finger_draw_too(visit: Visit, fake_house: str, kind: str) -> None:
    page = visit(url=fake_house, has_touch=True, viewport={"width": 390, "height": 844})
    points = [(190, 250 + 20 * step) for step in range(10)]
    (stylus if kind == "pen" else finger)(page, points)

    assert text_of(page) == "1"


def stylus(page: "Page", points: list[tuple[int, int]]) -> None:
    """A pen, pressed harder and harder."""
    session = page.context.new_cdp_session(page)
    held: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
    for number, (x, y) in enumerate(points):
        kind = "mouseMoved" if number else "mousePressed"
        session.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "force": 0.1 * number, **held})
    session.send("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x, "y": y, **held})


def finger(page: "Page", points: list[tuple[int, int]]) -> None:
    session = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(points):
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_character_is_drawn_with_the_keyboard_alone(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    page.focus("#paper")
    for key in ["ArrowUp"] * 5 + ["Space"] + ["ArrowDown"] * 10 + ["Space"]:
        page.keyboard.press(key)

    assert text_of(page) == "1"
    wait_for_text(page, "#announcer", "1. 99.1% sure.")
    page.keyboard.press("Backspace")
    assert page.locator("#answer").is_hidden()


def test_several_characters_are_read_with_a_box_around_each(visit: Visit) -> None:
    page = visit()
    page.check("[value=several]")
    for at, digit in enumerate("206"):
        draw(page, SHAPES[digit][0], right=0.7 * at)

    until(lambda: text_of(page) == "206", page)

    assert page.locator("#drawing .boxes rect").count() == 3
    assert page.locator("#characters button").all_inner_texts()[1].startswith("0")
    wait_for_text(page, "#announcer", "2 0 6.")


def test_what_was_drawn_stays_when_the_window_changes(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    draw(page, ONE)
    assert text_of(page) == "1"

    page.set_viewport_size({"width": 400, "height": 700})

    until(lambda: page.evaluate(INKED), page)


INKED = """(() => {
  const paper = document.getElementById("paper");
  const { data } = paper.getContext("2d").getImageData(0, 0, paper.width, paper.height);
  return paper.getBoundingClientRect().width < 400 && data.some((value, at) => at % 4 === 3 && value > 200);
})()"""
