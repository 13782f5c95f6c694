"""One run through every function of both pages with nothing but the keyboard: Tab, arrows, Space, Enter and letters."""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer
from tests.unit.handwriting.test_registration import form, scanned
from tests.web.conftest import Visit, text_of, until, wait_for_text
from tests.web.test_access import press_for_a_file, record_speech

if TYPE_CHECKING:
    from playwright.sync_api import Page

STROKE = ["ArrowUp"] * 5 + ["Space"] + ["ArrowDown"] * 10 + ["Space"]  # from the middle of the paper


def go_to(page: "Page", selector: str, key: str = "Tab") -> None:
    """Presses the key until what the selector names has the focus."""
    for _ in range(60):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to {selector}")


def back_to(page: "Page", selector: str) -> None:
    go_to(page, selector, "Shift+Tab")


def press(page: "Page", *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def two_models(page: "Page") -> None:
    """The model that there is, and the same under another name."""

    def list_both(route: Any) -> None:
        answer = route.fetch().json()
        answer["models"] += [{**answer["models"][0], "name": "other", "is_default": False}]
        route.fulfill(json=answer)

    page.route("**/v1/models", list_both)
    page.route(
        re.compile(r"/v1/(predict|read)\?.*model=other"),
        lambda route: route.continue_(url=route.request.url.replace("=other", "=digits")),
    )
    record_speech(page)


def test_every_function_of_the_page_is_used_with_the_keyboard_alone(
    visit: Visit, model_server: FakeModelServer, field: Path, tmp_path: Path
) -> None:
    with gateway(model_server, GATEWAY_FEEDBACK_DIR=str(tmp_path)) as (_, url):
        page = visit(url=url, prepare=two_models, permissions=["clipboard-read", "clipboard-write"])
        wait_for_text(page, "#about", "digits")

        # draw, undo, clear
        go_to(page, "#paper")
        press(page, *STROKE)
        assert text_of(page) == "1"
        go_to(page, "#undo")
        press(page, "Enter")
        until(lambda: page.locator("#answer").is_hidden(), page)
        back_to(page, "#paper")
        press(page, *STROKE)
        assert text_of(page) == "1"
        go_to(page, "#clear")
        press(page, "Space")
        until(lambda: page.locator("#hint").is_visible(), page)
        back_to(page, "#paper")
        press(page, *STROKE)
        assert text_of(page) == "1"

        # hear it, copy it, say how it is to be said
        go_to(page, "#speak")
        press(page, "Enter")
        assert page.evaluate("said.at(-1).text") == "1"
        go_to(page, "#copy")
        press(page, "Enter")
        wait_for_text(page, "#message", "Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == "1"
        go_to(page, "#speech summary")
        press(page, "Enter")
        go_to(page, "#aloud")
        press(page, "Space")
        go_to(page, "#say-as")
        press(page, "ArrowDown")
        go_to(page, "#rate")
        press(page, "ArrowRight")
        go_to(page, "#voice")
        press(page, "ArrowDown")
        chosen = "[aloud.checked, ...['say-as', 'rate', 'voice'].map((id) => document.getElementById(id).value)]"
        assert page.evaluate(chosen) == [True, "number", "1.1", "de-DE"]

        # another model
        go_to(page, "#models")
        with page.expect_request(re.compile("model=other")):
            press(page, "ArrowDown")
        wait_for_text(page, "#about", "other, version 1")

        # a picture: its characters, their alternatives, corrections, feedback
        back_to(page, "[name=source]")
        press(page, "ArrowRight")
        go_to(page, "#file")
        press_for_a_file(page, field)
        until(lambda: len(text_of(page)) == 3, page)
        go_to(page, "#characters li:nth-child(2) button")
        assert page.locator("#characters .chosen").count() == 1
        press(page, "Enter")
        assert page.evaluate("document.activeElement.matches('#alternatives button')")
        press(page, "Enter")
        before = text_of(page)
        assert before[1] == page.locator("#alternatives button").first.inner_text()[0]
        go_to(page, "#right")
        press(page, "5", "Enter")
        assert text_of(page) == f"{before[0]}5{before[2]}"
        go_to(page, "#feedback")
        press(page, "Enter")
        wait_for_text(page, "#message", "Thank you")
        assert len(list(tmp_path.rglob("*.png"))) == 1

        # one character of it, then another language, and the other page
        back_to(page, "[name=kind]")
        with page.expect_request("**/v1/predict?*"):
            press(page, "ArrowLeft")
        go_to(page, "footer [lang=de]")
        with page.expect_response("**/v1/models"):
            press(page, "Enter")
        until(lambda: page.title() == "Handschrift", page)
        go_to(page, "footer a[href^='/forms']")
        with page.expect_response("**/v1/models"):
            press(page, "Enter")
        until(lambda: page.title() == "Formulare", page)


def test_every_function_of_the_forms_page_is_used_with_the_keyboard_alone(
    visit: Visit, fake_house: str, tmp_path: Path
) -> None:
    paper = form()
    Image.fromarray(paper).save(tmp_path / "empty.png")
    paper[1012:1048, 500:504] = paper[1012:1048, 560:564] = 20
    Image.fromarray(scanned(np.ascontiguousarray(paper), 1, 1, (0, 0))[0]).save(tmp_path / "filled.png")
    page = visit("/forms", url=fake_house)

    # mark a field and say how it is read
    go_to(page, "#form")
    press_for_a_file(page, tmp_path / "empty.png")
    page.wait_for_selector("#marking")
    go_to(page, "#add")
    press(page, "Enter")
    page.wait_for_selector("#page button:focus")
    press(page, "ArrowRight", "Shift+ArrowDown")
    wait_for_text(page, "#announcer", "high")
    go_to(page, "#fields label:nth-of-type(1) input")
    press(page, "Control+a", *"code", "Tab", "2", "Tab", *"01", "Tab")
    assert page.evaluate("document.activeElement.matches('#fields select')")
    go_to(page, "#fields li > button")
    assert page.locator("#fields li > button").inner_text() == "Remove code"

    # save the layout, open it again
    back_to(page, "#save")
    with page.expect_download() as saved:
        press(page, "Enter")
    saved.value.save_as(tmp_path / "layout.json")
    back_to(page, "#open")
    press_for_a_file(page, tmp_path / "layout.json")
    until(lambda: page.locator("#fields input").first.input_value() == "code", page)

    # read a scan, correct the table, save it
    go_to(page, "#choose")
    press_for_a_file(page, tmp_path / "filled.png")
    wait_for_text(page, "#told", "Read: 1.")
    go_to(page, "#rows input")
    press(page, "Control+a", *"42")
    back_to(page, "#csv")
    with page.expect_download() as saved:
        press(page, "Enter")
    saved.value.save_as(tmp_path / "forms.csv")
    assert list(csv.reader((tmp_path / "forms.csv").read_text().splitlines())) == [
        ["file", "code", "doubtful", "error"],
        ["filled.png", "42", "", ""],
    ]

    # remove the field
    back_to(page, "#fields li > button")
    press(page, "Enter")
    assert page.locator("#fields li").count() == 0
    assert page.evaluate("document.activeElement.id") == "add"
