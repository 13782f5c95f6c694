"""For all: screen readers, keyboards, voices, large text, high contrast, languages, small windows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.api.page import load_languages
from tests.web.conftest import Visit, draw, text_of, until, wait_for_text
from tests.web.shapes import SHAPES, line

if TYPE_CHECKING:
    from playwright.sync_api import Page

ONE = [line((0.5, 0.15), (0.5, 0.85))]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "more contrast": {"contrast": "more"},
    "forced colours": {"forced_colors": "active"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
    "German": {"locale": "de-DE"},
    "Spanish": {"locale": "es-ES"},
}


def complaints(page: "Page") -> list[str]:
    """What axe-core has against the page as it is."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="make .test-tools/installed installs it")
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    found = axe.Axe().run(page, options=options).response["violations"]
    return [f"{item['id']}: {node['target']} {node.get('failureSummary')}" for item in found for node in item["nodes"]]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_any_state(visit: Visit, fake_house: str, field: Path, look: str) -> None:
    page = visit(url=fake_house, reduced_motion="reduce", **LOOKS[look])
    wait_for_text(page, "#about", "digits")
    assert complaints(page) == []
    draw(page, ONE)
    text_of(page)
    page.click("#speech summary")
    assert complaints(page) == []
    page.check("[value=picture]")
    assert complaints(page) == []
    page.set_input_files("#file", field)
    text_of(page)
    page.locator("#characters button").nth(1).focus()
    assert complaints(page) == []
    page.route("**/v1/read?*", lambda route: route.fulfill(status=422, json={"code": "no_ink", "detail": ""}))
    page.set_input_files("#file", field)
    until(lambda: page.locator("#message.wrong").count() == 1, page)
    assert complaints(page) == []
    page.route("**/v1/read?*", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "detail": ""}))
    page.set_input_files("#file", field)
    page.wait_for_selector("#key[open]")
    assert complaints(page) == []


FOCUSED = """(() => {
  const one = document.activeElement;
  const shown = one.matches("[type=file]") ? one.parentElement : one.matches(".segments input") ? one.nextElementSibling : one;
  const style = getComputedStyle(shown);
  return [one.id || one.name || one.getAttribute("href") || one.parentElement.id, style.outlineStyle !== "none"];
})()"""


def test_everything_is_reached_by_keyboard_in_order_and_shows_that_it_is(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    draw(page, ONE)
    text_of(page)
    page.click("#speech summary")
    page.evaluate("document.activeElement.blur()")
    page.mouse.click(5, 5)
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, is_shown = page.evaluate(FOCUSED)
        if name in seen or name == "":
            break
        assert is_shown, name
        seen.append(name)

    assert seen == [
        "source", "kind", "paper", "undo", "clear", "speak", "copy", "speech", "aloud", "say-as", "rate", "voice",
        "/forms?lang=en", "/docs", "?lang=de", "?lang=en", "?lang=es",
    ]  # fmt: skip


def test_every_function_works_with_the_keyboard_alone(visit: Visit, field: Path) -> None:
    page = visit(prepare=record_speech)
    page.focus("[value=draw]")
    page.keyboard.press("ArrowRight")
    assert page.locator("#photo").is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    press_for_a_file(page, field)
    assert text_of(page) == "726"
    page.focus("#speak")
    page.keyboard.press("Enter")
    assert page.evaluate("said.at(-1).text") == "7 2 6"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.locator("#characters button.chosen").count() == 1
    page.focus("#right")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    assert text_of(page) == "756"
    page.focus("[value=picture]")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#drawing").is_visible()


def press_for_a_file(page: "Page", file: Path) -> None:
    """Presses Space on a file input, and chooses the file."""
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(file)


def record_speech(page: "Page") -> None:
    """Takes the place of the browser's voices: what is said is listed in `said`."""
    page.add_init_script("""
        window.said = [];
        window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
        const voices = [{ lang: "en-GB", name: "far", localService: false },
          { lang: "en-GB", name: "near", localService: true }, { lang: "de-DE", name: "Anna", localService: true }];
        Object.defineProperty(window, "speechSynthesis", { value: {
          getVoices: () => voices, cancel() {}, addEventListener() {},
          speak: (one) => said.push({ text: one.text, rate: one.rate, lang: one.lang, voice: one.voice.name }) } });
    """)


def test_a_result_is_read_aloud_as_one_likes(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house, prepare=record_speech)
    page.click("#speech summary")
    page.check("#aloud")
    draw(page, ONE)
    until(lambda: page.evaluate("said.length"), page)
    assert page.evaluate("said[0]") == {"text": "1", "rate": 1, "lang": "en-GB", "voice": "near"}

    page.check("[value=several]")
    draw(page, SHAPES["0"][0], right=1)
    until(lambda: text_of(page) == "10", page)
    until(lambda: page.evaluate("said.at(-1).text") == "1 0", page)
    page.select_option("#say-as", "number")
    page.select_option("#voice", "de-DE")
    page.fill("#rate", "1.5")
    page.click("#speak")

    assert page.evaluate("said.at(-1)") == {"text": "10", "rate": 1.5, "lang": "de-DE", "voice": "Anna"}


@pytest.mark.parametrize("language", load_languages())
def test_every_language_speaks_for_itself(visit: Visit, fake_house: str, language: str) -> None:
    page = visit(url=fake_house, locale=language)

    draw(page, ONE)

    assert page.title() == load_languages()[language]["page"]["title"]
    assert text_of(page) == "1"
    wait_for_text(
        page,
        "#announcer",
        {"en": "99.1% sure", "de": "Zu 99,1 % sicher", "es": "Seguro al 99,1 %"}[language].replace(" %", "\u00a0%"),
    )


@pytest.mark.parametrize("path", ["/", "/forms"])
@pytest.mark.parametrize(("size", "zoom"), [((320, 640), 100), ((640, 400), 100), ((640, 400), 200), ((1280, 800), 200)])
def test_nothing_is_cut_off_at_any_size(visit: Visit, fake_house: str, path: str, size: tuple[int, int], zoom: int) -> None:
    page = visit(path, url=fake_house, viewport={"width": size[0], "height": size[1]})
    page.evaluate(f"document.documentElement.style.fontSize = '{zoom}%'")
    if path == "/":
        draw(page, ONE)
        text_of(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_nothing_moves_for_who_wants_no_motion(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house, reduced_motion="reduce")
    draw(page, ONE)
    text_of(page)

    durations = page.evaluate("[...document.querySelectorAll('*')].map((one) => getComputedStyle(one).transitionDuration)")
    assert set(durations) == {"0s"}


def test_the_first_paint_needs_one_html_one_style_sheet_and_one_script(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    wait_for_text(page, "#about", "digits")

    names = page.evaluate("performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
    assert sorted(names) == ["/v1/models", "/web/page.css", "/web/page.js"]
