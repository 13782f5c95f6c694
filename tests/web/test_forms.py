"""The page at /forms: fields are marked with pointer and keys, and read from scans that lie otherwise."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from hcr import examples_folder
from tests.unit.handwriting.test_registration import form, scanned
from tests.web.conftest import Visit, until, wait_for_text
from tests.web.test_access import LOOKS, complaints
from tests.web.test_pictures import hand_over

if TYPE_CHECKING:
    from playwright.sync_api import Page

FIELD = (430, 1004, 300, 52)  # inside the frame at the foot of the form


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty form, a scan of one that says 726, and a scan of another form."""
    folder = tmp_path_factory.mktemp("forms")
    page = form()
    Image.fromarray(page).save(folder / "empty.png")
    digits = [Image.open(examples_folder() / f"{name}.png").convert("L").resize((50, 50)) for name in ("seven", "two", "six")]
    filled = page.copy()
    filled[1005:1055, 480:630] = np.minimum(filled[1005:1055, 480:630], np.hstack([np.asarray(digit) for digit in digits]))
    Image.fromarray(scanned(filled, 3, 1.05, (0.05, -0.05))[0]).save(folder / "filled.png")
    Image.fromarray(scanned(np.ascontiguousarray(form(2)[::-1, ::-1]), 0, 1, (0, 0))[0]).save(folder / "other.png")
    return folder


def mark(page: "Page", box: tuple[int, int, int, int]) -> None:
    """Draws a box around a field, in pixels of the form."""
    sheet = page.locator("#sheet")
    sheet.wait_for()
    sheet.evaluate("(one) => one.scrollIntoView({ block: 'end' })")
    frame = sheet.bounding_box()
    assert frame
    scale = frame["width"] / sheet.evaluate("(one) => one.width")
    x, y, width, height = box
    page.mouse.move(frame["x"] + x * scale, frame["y"] + y * scale)
    page.mouse.down()
    page.mouse.move(frame["x"] + (x + width) * scale, frame["y"] + (y + height) * scale, steps=3)
    page.mouse.up()


def test_fields_are_marked_once_and_read_from_scans(visit: Visit, papers: Path, tmp_path: Path) -> None:
    page = visit("/forms")
    page.set_input_files("#form", papers / "empty.png")
    mark(page, FIELD)
    page.fill("#fields label:nth-of-type(1) input", "code")
    page.fill("#fields label:nth-of-type(2) input", "3")
    page.keyboard.press("Tab")

    page.set_input_files("#choose", [papers / "filled.png", papers / "other.png"])

    wait_for_text(page, "#told", "Read: 1. Not read: 1; the last column says why.")
    assert page.locator("#rows tr:nth-child(1) input").input_value() == "726"
    assert page.locator("#rows tr:nth-child(2) td:last-child").inner_text() == "The form is not on this scan."
    with page.expect_download() as saved:
        page.click("#csv")
    saved.value.save_as(tmp_path / "forms.csv")
    rows = list(csv.reader((tmp_path / "forms.csv").read_text().splitlines()))
    assert rows[:2] == [["file", "code", "doubtful", "error"], ["filled.png", "726", rows[1][2], ""]]

    with page.expect_download() as saved:
        page.click("#save")
    saved.value.save_as(tmp_path / "layout.json")
    again = visit("/forms")
    again.set_input_files("#open", tmp_path / "layout.json")
    again.set_input_files("#choose", papers / "filled.png")
    wait_for_text(again, "#told", "Read: 1.")
    assert again.locator("#rows input").input_value() == "726"


def test_fields_are_placed_with_the_keyboard_alone(visit: Visit, fake_house: str, papers: Path, tmp_path: Path) -> None:
    page = visit("/forms", url=fake_house)
    page.set_input_files("#form", papers / "empty.png")
    page.wait_for_selector("#add")  # shown: what is hidden takes no focus
    page.focus("#add")
    page.keyboard.press("Enter")
    page.wait_for_selector("#page button:focus")
    before = layout_of(page, tmp_path)["fields"][0]["box"]
    page.focus("#page button")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)

    after = layout_of(page, tmp_path)["fields"][0]["box"]
    assert [new - old for new, old in zip(after, before, strict=True)] == [4, 4, 4, 8]
    wait_for_text(page, "#announcer", "wide")
    page.focus("#page button")
    page.keyboard.press("ArrowLeft")
    wait_for_text(page, "#announcer", "right,")
    page.keyboard.press("Delete")
    assert page.locator("#fields li").count() == 0


def test_a_form_and_then_its_scans_can_be_dropped(visit: Visit, papers: Path) -> None:
    page = visit("/forms")
    hand_over(page, (papers / "empty.png").read_bytes(), "drop")
    page.wait_for_selector("#marking")
    mark(page, FIELD)

    page.fill("#fields label:nth-of-type(2) input", "3")
    page.keyboard.press("Tab")
    hand_over(page, (papers / "filled.png").read_bytes(), "drop")

    wait_for_text(page, "#told", "Read: 1.")
    assert page.locator("#rows input").input_value() == "726"


def test_a_field_is_moved_with_the_pointer_and_renamed(visit: Visit, fake_house: str, papers: Path, tmp_path: Path) -> None:
    page = visit("/forms", url=fake_house)
    page.set_input_files("#form", papers / "empty.png")
    mark(page, FIELD)
    frame = page.locator("#page button").bounding_box()
    assert frame

    page.mouse.move(frame["x"] + 50, frame["y"] + 20)
    page.mouse.down()
    page.mouse.move(frame["x"] + 20, frame["y"] - 80, steps=3)
    page.mouse.up()
    page.fill("#fields label:nth-of-type(1) input", "code")
    page.keyboard.press("Tab")

    (field,) = layout_of(page, tmp_path)["fields"]
    scale = FIELD[2] / frame["width"]
    assert field["box"] == pytest.approx([FIELD[0] - 30 * scale, FIELD[1] - 100 * scale, *FIELD[2:]], abs=3)
    assert page.locator("#fields button").inner_text() == "Remove code"


def test_a_cell_can_be_corrected_while_other_scans_are_read(
    visit: Visit, fake_house: str, papers: Path, tmp_path: Path
) -> None:
    held: list[Any] = []
    page = visit("/forms", url=fake_house)
    page.route("**/v1/forms:read", lambda route: held.append(route))
    page.set_input_files("#form", papers / "empty.png")
    mark(page, FIELD)
    page.set_input_files("#choose", [papers / "filled.png", papers / "other.png"])
    until(lambda: len(held) == 1, page)
    held[0].fulfill(json={"fields": [{"name": "Field 1", "text": "12", "rejected": True, "satisfies": True}]})
    page.wait_for_selector("#rows .doubtful")

    page.focus("#rows input")
    page.keyboard.type("3")
    until(lambda: len(held) == 2, page)
    held[1].fulfill(status=422, json={"code": "form_not_found"})
    page.wait_for_selector("#rows tr:nth-child(2)")
    page.keyboard.type("4")

    assert page.locator("#rows .doubtful").count() == 0
    wait_for_text(page, "#told", "Read: 1. Not read: 1; the last column says why.")
    with page.expect_download() as saved:
        page.click("#csv")
    saved.value.save_as(tmp_path / "forms.csv")
    assert "34" in list(csv.reader((tmp_path / "forms.csv").read_text().splitlines()))[1][1]


def layout_of(page: "Page", folder: Path) -> dict[str, list[dict[str, Any]]]:
    with page.expect_download() as saved:
        page.click("#save")
    saved.value.save_as(folder / "layout.json")
    found: dict[str, list[dict[str, Any]]] = json.loads((folder / "layout.json").read_text())
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_the_forms_page(visit: Visit, fake_house: str, papers: Path, look: str) -> None:
    page = visit("/forms", url=fake_house, reduced_motion="reduce", **LOOKS[look])
    assert complaints(page) == []
    page.set_input_files("#form", papers / "empty.png")
    page.click("#add")
    assert complaints(page) == []
    page.set_input_files("#choose", [papers / "filled.png", papers / "other.png"])
    page.wait_for_selector("#rows tr:nth-child(2)")
    page.wait_for_selector("#progress", state="hidden")
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    page.route("**/v1/forms:read", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "detail": ""}))
    page.set_input_files("#choose", papers / "filled.png")
    page.wait_for_selector("#key[open]")
    assert complaints(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#progress", state="hidden")
    assert page.locator("#message.wrong").count() == 1
    assert complaints(page) == []
