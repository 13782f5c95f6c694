"""What the page says and shows in seldom states: rejected, of several models, slow, on a phone, heard and not seen."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer
from tests.web.conftest import Visit, chromium, draw, looks_like_its_width, text_of, until, wait_for_text
from tests.web.shapes import SHAPES, jittered, line
from tests.web.test_access import LOOKS, complaints, record_speech

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ONE = [line((0.5, 0.15), (0.5, 0.85))]
LETTERS = [chr(97 + at) for at in range(26)]


@pytest.fixture
def doubtful_house() -> Iterator[str]:
    """The URL of a gateway whose model rejects all that it sees."""
    with FakeModelServer(thresholds=[0.995] * 10) as fake:
        fake.publish(1, scores=looks_like_its_width)
        with gateway(fake) as (_, url):
            yield url


def test_a_rejected_character_is_shown_announced_and_spoken_as_one(visit: Visit, doubtful_house: str) -> None:
    page = visit(url=doubtful_house, prepare=record_speech)
    draw(page, ONE)

    assert text_of(page) == "1"
    assert page.locator("#certainty.doubt").inner_text() == "99.1% sure: probably none of the characters that it reads"
    assert page.locator("#text u").count() == 1
    told = "Perhaps 1, 99.1% sure. It is probably none of the characters."
    wait_for_text(page, "#announcer", told)
    page.click("#speak")
    assert page.evaluate("said.at(-1).text") == told
    page.click("#speech summary")
    page.select_option("#voice", "de-DE")
    page.click("#speak")
    assert page.evaluate("said.at(-1).text") == "1"  # a German voice does not read English sentences


def test_a_rejected_character_among_several_is_marked_until_it_is_corrected(visit: Visit, doubtful_house: str) -> None:
    page = visit(url=doubtful_house)
    page.check("[value=several]")
    draw(page, ONE)

    assert text_of(page) == "1"
    assert page.locator("#drawing .boxes rect.doubtful").count() == 1
    assert page.locator("#characters .doubtful").count() == 1
    page.click("#characters button")
    page.fill("#right", "7")
    page.keyboard.press("Enter")

    assert text_of(page) == "7"
    assert page.locator(".doubtful, #text u, .doubt").count() == 0


def two_alphabets(page: "Page") -> None:
    """The model that there is, and one of letters."""

    def list_both(route: Any) -> None:
        answer = route.fetch().json()
        versions = [{**answer["models"][0]["versions"][0], "version": 3, "accuracy": 0.912}]
        answer["models"] += [{"name": "letters", "is_default": False, "classes": LETTERS, "versions": versions}]
        route.fulfill(json=answer)

    def read_a_letter(route: Any) -> None:
        shares = {"a": 0.6, "b": 0.3} | dict.fromkeys(LETTERS[2:], 0.1 / 24)
        route.fulfill(json={"model": {"name": "letters", "version": 3}, "prediction": "a", "confidence": 0.6,
                            "probabilities": shares, "rejected": False, "input": ""})  # fmt: skip

    page.route("**/v1/models", list_both)
    page.route(re.compile(r"/v1/predict\?.*model=letters"), read_a_letter)


def test_another_alphabet_is_chosen_with_its_classes_and_accuracy(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house, prepare=two_alphabets)
    about = "digits, version 1. It reads 0 1 2 3 4 5 6 7 8 9; 99% right on its test set."
    assert wait_for_text(page, "#about", "digits") == about
    draw(page, ONE)
    assert text_of(page) == "1"

    page.select_option("#models", "letters")

    until(lambda: text_of(page) == "a", page)
    about = "letters, version 3. It reads a … z (26 characters); 91.2% right on its test set."
    assert page.locator("#about").inner_text() == about
    assert page.locator("#bars b").all_inner_texts()[:2] == ["a", "b"]
    assert page.locator("#bars li").count() == 12  # the likeliest of 26


def test_a_version_that_came_after_the_page_is_named(visit: Visit, fake_house: str, model_server: FakeModelServer) -> None:
    page = visit(url=fake_house)
    wait_for_text(page, "#about", "version 1")
    model_server.publish(2, scores=looks_like_its_width)
    model_server.move_label("stable", 2)

    draw(page, ONE)

    text_of(page)
    wait_for_text(page, "#about", "version 2")


def test_what_is_sent_while_one_draws_is_little(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    wait_for_text(page, "#about", "digits")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install(time=0)
    page.clock.pause_at(10_000)
    box = page.locator("#paper").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"]
    page.mouse.move(x, y + 50)
    page.mouse.down()
    for step in range(50):
        page.mouse.move(x, y + 60 + 4 * step)
    assert asked == []

    page.clock.run_for(200)
    until(lambda: len(asked) == 1, page)
    for step in range(50):
        page.mouse.move(x, y + 260 + 2 * step)
    page.clock.run_for(199)
    assert len(asked) == 1

    page.clock.run_for(1)
    until(lambda: len(asked) == 2, page)
    page.mouse.up()
    page.clock.run_for(1000)


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    times: list[float] = []

    def answer(route: Any) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            route.fulfill(status=503, headers={"Retry-After": "2"}, json={"code": "overloaded"})
        else:
            route.continue_()

    page.route("**/v1/predict?*", answer)
    draw(page, ONE)

    assert text_of(page) == "1"
    assert times[1] - times[0] >= 1.9  # seconds: two, by another clock


def test_a_pen_that_is_pressed_harder_draws_a_wider_line(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    session = page.context.new_cdp_session(page)
    frame = page.locator("#paper").bounding_box()
    assert frame
    held: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
    for number in range(11):
        at = {"x": frame["x"] + 200, "y": frame["y"] + 80 + 30 * number}
        kind = "mouseMoved" if number else "mousePressed"
        session.send("Input.dispatchMouseEvent", {"type": kind, "force": 0.05 + 0.09 * number, **at, **held})
    session.send("Input.dispatchMouseEvent", {"type": "mouseReleased", **at, **held})
    text_of(page)

    thin, thick = (page.evaluate(INK_ACROSS, share) for share in (100 / frame["height"], 360 / frame["height"]))
    assert thick > 1.7 * thin > 0


INK_ACROSS = """(share) => {
  const paper = document.getElementById("paper");
  const { data } = paper.getContext("2d").getImageData(0, Math.round(share * paper.height), paper.width, 1);
  return data.filter((value, at) => at % 4 === 3 && value > 128).length;
}"""


def test_many_small_digits_fit_on_the_paper_for_several(visit: Visit) -> None:
    page = visit()
    page.check("[value=several]")
    for at, digit in enumerate("49071625"):
        shape = jittered(SHAPES[digit][0], at)
        draw(page, [[(0.1 + at * 0.29 + x * 0.26, 0.3 + 0.42 * y) for x, y in stroke] for stroke in shape])

    until(lambda: page.locator("#answer").is_visible() and len(text_of(page)) >= 8, page)
    right = sum(a == b for a, b in zip(text_of(page), "49071625", strict=False))
    assert right >= 7, text_of(page)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photo_taken_upright_is_read_and_boxed_upright(visit: Visit, field: Path, tmp_path: Path, orientation: int) -> None:
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    picture = Image.open(field).convert("RGB")
    exif = Image.Exif()
    exif[0x112] = orientation
    (picture.transpose(back[orientation]) if orientation in back else picture).save(tmp_path / "photo.jpg", exif=exif)
    page = visit()

    page.set_input_files("#file", tmp_path / "photo.jpg")

    assert text_of(page) == "726"
    frame = page.locator("#picture").bounding_box()
    boxes = [page.locator("#photo .boxes rect").nth(at).bounding_box() for at in range(3)]
    assert frame
    for at, box in enumerate(boxes):  # each in its third of the picture
        assert box
        middle = (box["x"] + box["width"] / 2 - frame["x"]) / frame["width"]
        assert at / 3 < middle < (at + 1) / 3
        assert frame["y"] < box["y"]
        assert box["y"] + box["height"] < frame["y"] + frame["height"]


def test_the_progress_of_an_upload_is_shown(visit: Visit, fake_house: str, field: Path, tmp_path: Path) -> None:
    noisy = np.asarray(Image.open(field).convert("L").resize((1680, 560))).astype(float)
    noisy += np.random.default_rng(1).normal(0, 4, noisy.shape)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(tmp_path / "photo.jpg", quality=95)
    page = visit(url=fake_house)
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 60_000}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)

    page.set_input_files("#file", tmp_path / "photo.jpg")

    until(lambda: page.evaluate(IS_UNDER_WAY), page)
    assert page.locator("#message").inner_text() == "Sending the picture …"
    session.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    text_of(page)
    assert page.locator("#progress").is_hidden()


IS_UNDER_WAY = """(() => {
  const bar = document.getElementById("progress");
  return !bar.hidden && bar.hasAttribute("value") && bar.value > 0 && bar.value < 1;
})()"""


def test_a_finger_is_offered_the_camera_and_a_mouse_is_not(browser: "Browser", visit: Visit, fake_house: str) -> None:
    arguments = ["--no-sandbox", "--blink-settings=primaryPointerType=2,availablePointerTypes=2"]
    touched = browser.browser_type.launch(executable_path=chromium(), args=arguments)
    try:
        phone = touched.new_context(**LOOKS["phone"]).new_page()
        phone.goto(fake_house)
        phone.check("[value=picture]")
        assert phone.get_by_text("Take a photo").is_visible()
        assert phone.locator("#camera").get_attribute("capture") == "environment"
        assert complaints(phone) == []
    finally:
        touched.close()

    page = visit(url=fake_house)
    page.check("[value=picture]")
    assert page.get_by_text("Take a photo").is_hidden()


def test_a_correction_reaches_the_operators_folder(visit: Visit, model_server: FakeModelServer, tmp_path: Path) -> None:
    with gateway(model_server, GATEWAY_FEEDBACK_DIR=str(tmp_path)) as (_, url):
        page = visit(url=url)
        wait_for_text(page, "#about", "digits")
        draw(page, ONE)
        text_of(page)
        page.fill("#right", "7")
        page.keyboard.press("Enter")
        page.click("#feedback")
        wait_for_text(page, "#message", "Thank you")

    (kept,) = tmp_path.rglob("*.png")
    assert kept.parent.relative_to(tmp_path) == Path("digits/7")
    pixels = np.asarray(Image.open(kept).convert("L"))
    assert pixels.shape == (280, 280)
    assert 0.01 < (pixels < 128).mean() < 0.2  # a stroke


def test_a_result_is_announced_in_one_place_and_never_held_back(visit: Visit, fake_house: str) -> None:
    held: list[Any] = []
    page = visit(url=fake_house)
    wait_for_text(page, "#about", "digits")
    page.route("**/v1/predict?*", lambda route: held.append(route))
    draw(page, ONE)
    until(lambda: held, page)

    assert page.evaluate("document.getElementById('answer').ariaBusy") == "true"
    assert page.evaluate(LIVE) == [["message", False], ["announcer", False], ["key-wrong", False]]
    held[0].continue_()
    text_of(page)
    wait_for_text(page, "#announcer", "1. 99.1% sure.")


LIVE = """[...document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log], output")]
  .map((one) => [one.id, Boolean(one.closest("[aria-busy=true]"))])"""
"""What a screen reader reads by itself, and whether something around it keeps it from doing so."""


def test_a_screen_reader_finds_names_roles_and_values(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    draw(page, ONE)
    text_of(page)

    tree = page.locator("main").aria_snapshot()

    for expected in (
        'radio "Draw" [checked]',
        'radio "One character" [checked]',
        'application "Paper to draw on"',
        'button "Undo"',
        'paragraph: "1"',
        "paragraph: 99.1% sure",
        'img "The character as the model saw it: 28 by 28 pixels, white on black"',
        "listitem: 1 99.1%",
        'heading "How likely each is"',
    ):
        assert expected in tree, tree


@pytest.mark.parametrize("look", ["light", "dark", "more contrast", "forced colours"])
def test_axe_finds_nothing_on_the_seldom_states_either(visit: Visit, doubtful_house: str, field: Path, look: str) -> None:
    page = visit(url=doubtful_house, prepare=two_alphabets, reduced_motion="reduce", **LOOKS[look])
    wait_for_text(page, "#about", "digits")
    found: dict[str, list[str]] = {}

    draw(page, ONE)
    text_of(page)
    found["rejected, of two alphabets"] = complaints(page)
    page.check("[value=several]")
    text_of(page)
    page.click("#characters button")
    found["several, rejected"] = complaints(page)
    page.fill("#right", "7")
    page.keyboard.press("Enter")
    found["corrected"] = complaints(page)
    page.evaluate("document.body.classList.add('over')")
    found["files dragged over"] = complaints(page)
    page.evaluate("document.body.classList.remove('over')")
    page.route("**/v1/read?*", lambda route: route.fulfill(status=503, headers={"Retry-After": "60"}, json={}))
    page.set_input_files("#file", field)
    wait_for_text(page, "#message", "busy")
    found["busy"] = complaints(page)
    page.check("[value=draw]")
    page.route("**/v1/read?*", lambda route: route.abort())
    draw(page, ONE, right=0.2)
    wait_for_text(page, "#message", "No connection")
    found["offline"] = complaints(page)
    page.route("**/v1/read?*", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "detail": ""}))
    page.set_input_files("#file", field)
    page.wait_for_selector("#key[open]")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    wait_for_text(page, "#key-wrong", "does not accept")
    found["wrong key"] = complaints(page)

    assert {state: told for state, told in found.items() if told} == {}


@pytest.mark.parametrize(("size", "zoom"), [((320, 640), 100), ((640, 400), 200)])
def test_a_reading_is_not_cut_off_at_any_size(
    visit: Visit, fake_house: str, field: Path, size: tuple[int, int], zoom: int
) -> None:
    page = visit(url=fake_house, viewport={"width": size[0], "height": size[1]})
    page.evaluate(f"document.documentElement.style.fontSize = '{zoom}%'")
    page.set_input_files("#file", field)
    text_of(page)
    page.click("#characters button >> nth=1")
    page.click("#speech summary")

    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(OUTSIDE) == []


OUTSIDE = """[...document.querySelectorAll("main button, main input:not([type=file]), main select, main p, main label")]
  .filter((one) => one.offsetParent && !one.closest(".unseen, .segments") && !one.classList.contains("unseen"))
  .filter((one) => {
    const { left, right } = one.getBoundingClientRect();
    return left < 0 || right > innerWidth + 1 || one.scrollWidth > one.clientWidth + 2 && one.matches("button, p, label");
  })
  .map((one) => one.id || one.textContent.slice(0, 40))"""
"""What is beyond the window's edges, or cut off by its own."""
