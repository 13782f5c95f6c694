"""The page in a real Chromium, in front of the house, or of a gateway that misbehaves on purpose."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hcr import examples_folder
from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer
from tests.web.shapes import Shape

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Visit = Callable[..., "Page"]
"""Opens a page: a path, perhaps another origin, and Playwright's options of a browser context."""


def chromium() -> str | None:
    """The path of the browser."""
    return os.environ.get("HCR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    path = chromium()
    if path is None:
        pytest.skip("neither chromium nor google-chrome is on PATH, and HCR_CHROMIUM names none")
    playwright = pytest.importorskip("playwright.sync_api", reason="make .test-tools/installed installs it")
    with playwright.sync_playwright() as running:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = running.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: "Browser", request: pytest.FixtureRequest) -> Iterator[Visit]:
    """In the end: no script has failed, nothing came from elsewhere, and nothing was stored in the browser."""
    opened: list[tuple[Page, str, list[str], list[str]]] = []

    def open_page(
        path: str = "/", url: str | None = None, prepare: Callable[[Any], None] | None = None, **options: Any
    ) -> "Page":
        origin = url or request.getfixturevalue("house").url
        page = browser.new_context(**{"viewport": {"width": 1180, "height": 820}, "locale": "en-GB", **options}).new_page()
        page.set_default_timeout(90_000)  # milliseconds; others may use the machine too
        failures: list[str] = []
        requests: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text) if "Content Security Policy" in message.text else None)
        page.on("request", lambda asked: requests.append(asked.url))
        page.on("filechooser", lambda _: None)  # from now on: a chooser that opens before someone listens cancels itself
        opened.append((page, origin, failures, requests))
        if prepare:
            prepare(page)
        page.goto(origin + path)
        return page

    yield open_page
    for page, origin, failures, requests in opened:
        assert not failures
        assert [url for url in requests if not url.startswith((f"{origin}/", "data:", "blob:"))] == []
        assert page.context.cookies() == []
        assert page.evaluate(STORED) == [0, 0, 0, 0, 0]
        page.unroute_all(behavior="ignoreErrors")  # of requests that nobody waits for any more
        page.context.close()


STORED = """(async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length,
  (await caches.keys()).length, (await navigator.serviceWorker.getRegistrations()).length])()"""
"""How much a page has put into each of the places that a browser has for it."""


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 7, 2 and 6."""
    pictures = [np.asarray(Image.open(examples_folder() / f"{name}.png").convert("L")) for name in ("seven", "two", "six")]
    path = tmp_path_factory.mktemp("pictures") / "field.png"
    Image.fromarray(np.hstack(pictures)).save(path)
    return path


def looks_like_its_width(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scores by which a narrow character is surely a 1 and any other surely a 0: a model to draw for without training."""
    columns = (images > 60).any(axis=1).sum(axis=1)
    scores = np.full((len(images), 10), 0.001, np.float32)
    scores[np.arange(len(images)), np.where(columns < 10, 1, 0)] = 0.991
    return scores


@pytest.fixture
def model_server() -> Iterator[FakeModelServer]:
    with FakeModelServer(card='{"metrics": {"accuracy": 0.99}}') as fake:
        fake.publish(1, scores=looks_like_its_width)
        yield fake


@pytest.fixture
def fake_house(model_server: FakeModelServer) -> Iterator[str]:
    """The URL of a gateway in front of that model."""
    with gateway(model_server) as (_, url):
        yield url


def draw(page: "Page", shape: Shape, right: float = 0.0) -> None:
    """Draws the strokes with the mouse, in heights of the paper, and so much further to the right."""
    page.locator("#paper").scroll_into_view_if_needed()
    box = page.locator("#paper").bounding_box()
    assert box
    for stroke in shape:
        points = [(box["x"] + (x + right) * box["height"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def text_of(page: "Page") -> str:
    """What the page shows once it has read all that is on it."""
    page.wait_for_selector("#answer[aria-busy=false]:not([hidden])")
    return page.locator("#text").inner_text()


def wait_for_text(page: "Page", selector: str, part: str) -> str:
    """The element's whole text, once it holds the part."""
    until(lambda: part in (page.locator(selector).text_content() or ""), page)
    return page.locator(selector).text_content() or ""


def until(condition: Callable[[], Any], page: "Page", seconds: float = 90) -> None:
    """Returns once the condition holds, while the page goes on."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        page.wait_for_timeout(20)


def hold(page: "Page", name: str) -> None:
    """Calls of the browser's function `name` wait from now on, each until `held[its number]()` is called."""
    page.evaluate(
        """(name) => {
            const real = window[name];
            window.held = [];
            window[name] = (...given) => new Promise((done) => held.push(() => {
              const result = real(...given);
              done(result);
              return result.then(() => null);
            }));
        }""",
        name,
    )


def body_of(request: Any) -> Any:
    """The JSON that a request has sent."""
    return json.loads(request.post_data)
