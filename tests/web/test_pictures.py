"""Pictures: chosen, dropped, pasted; read with boxes, corrected, and sent as feedback."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.web.conftest import Visit, body_of, text_of, until, wait_for_text

if TYPE_CHECKING:
    from playwright.sync_api import Page


def saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def test_a_picture_is_read_with_a_box_around_each_character(visit: Visit, field: Path) -> None:
    page = visit()

    page.set_input_files("#file", field)

    assert text_of(page) == "726"
    assert page.locator("#photo .boxes rect").count() == 3
    assert page.locator("#picture").get_attribute("aria-label") == "The picture field.png"
    wait_for_text(page, "#announcer", "7 2 6.")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(visit: Visit, field: Path, way: str) -> None:
    page = visit()

    hand_over(page, field.read_bytes(), way)

    assert text_of(page) == "726"


def hand_over(page: "Page", data: bytes, way: str) -> None:
    """Drops a file onto the page, or pastes it, as browsers do."""
    page.evaluate(
        """([text, way]) => {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "field.png", { type: "image/png" }));
            const event = way === "drop" ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
              : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
            document.body.dispatchEvent(event);
        }""",
        [base64.b64encode(data).decode(), way],
    )


def test_a_large_photo_is_made_smaller_before_it_is_sent(visit: Visit, field: Path, tmp_path: Path) -> None:
    photo = saved(Image.open(field).resize((4200, 1400)).convert("RGB"), tmp_path / "photo.jpg")
    page = visit()

    with page.expect_response("**/v1/read?*") as answered:
        page.set_input_files("#camera", photo)

    (read,) = answered.value.json()["lines"]
    left, _, width, _ = read["box"]
    assert 1024 < left + width < 2048  # in pixels of what was sent
    assert text_of(page) == "726"


def test_a_picture_that_the_browser_cannot_show_is_read_all_the_same(visit: Visit, field: Path, tmp_path: Path) -> None:
    page = visit()

    page.set_input_files("#file", saved(Image.open(field), tmp_path / "scan.tiff"))

    assert text_of(page) == "726"
    assert page.locator("#empty").inner_text() == "scan.tiff"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blank.png", "nothing on it that looks like a character"),
        ("dark.png", "too dark"),
        ("text.jpg", "no picture that can be read here"),
        ("huge.tiff", "too large"),
    ],
)
def test_what_cannot_be_read_is_told_in_words_that_help(
    visit: Visit, fake_house: str, tmp_path: Path, name: str, words: str
) -> None:
    path = tmp_path / name
    if name == "text.jpg":
        path.write_text("no picture")
    elif name == "huge.tiff":
        path.write_bytes(b"II*\0" + bytes(11 << 20))
    else:
        saved(Image.new("L", (300, 200), 20 if name == "dark.png" else 250), path)
    page = visit(url=fake_house)

    page.set_input_files("#file", path)

    wait_for_text(page, "#message", words)
    assert page.locator("#answer").is_hidden()


def test_alternatives_come_on_focus_and_a_correction_is_sent_where_feedback_is_on(visit: Visit, field: Path) -> None:
    sent: list[Any] = []

    def take(route: Any) -> None:
        sent.append(body_of(route.request))
        route.fulfill(status=202, json={"id": "x"})

    def prepare(page: "Page") -> None:
        page.route("**/v1/feedback", take)
        page.route("**/v1/models", lambda route: route.fulfill(json={**route.fetch().json(), "feedback": True}))

    page = visit(prepare=prepare)
    page.set_input_files("#file", field)
    assert text_of(page) == "726"
    second = page.locator("#characters button").nth(1)

    second.focus()
    assert (second.get_attribute("aria-label") or "").startswith("Character 2: 2, ")
    assert page.locator("#photo .boxes rect.chosen").count() == 1
    page.fill("#right", "3")
    page.keyboard.press("Enter")
    assert text_of(page) == "736"
    assert page.locator("#certainty").inner_text() == "corrected by you"
    assert second.get_attribute("aria-label") == "Character 2: 3, corrected by you"
    page.click("#feedback")

    wait_for_text(page, "#message", "Thank you")
    assert (sent[0]["label"], sent[0]["model"]) == ("3", "digits")
    cut = Image.open(io.BytesIO(base64.b64decode(sent[0]["image"])))
    assert 20 < cut.width < 280  # pixels, of the 840 of the picture


def test_without_feedback_nothing_offers_to_send_it(visit: Visit, field: Path) -> None:
    page = visit()
    page.set_input_files("#file", field)
    text_of(page)
    page.locator("#characters button").first.focus()
    page.fill("#right", "1")
    page.keyboard.press("Enter")

    until(lambda: text_of(page) == "126", page)
    assert page.locator("#feedback").is_hidden()
