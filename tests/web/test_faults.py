"""What goes wrong: the server gone or busy, a key that is missing. What was written is kept, and it goes on by itself."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import free_port
from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer
from tests.web.conftest import Visit, draw, text_of, until, wait_for_text
from tests.web.shapes import line

if TYPE_CHECKING:
    from playwright.sync_api import Page

ONE = [line((0.5, 0.15), (0.5, 0.85))]


def test_a_drawing_is_kept_while_the_server_is_gone_and_read_when_it_is_back(
    visit: Visit, model_server: FakeModelServer
) -> None:
    port = str(free_port())
    with gateway(model_server, GATEWAY_PORT=port) as (_, url):
        page = visit(url=url)
        wait_for_text(page, "#about", "digits")
    draw(page, ONE)
    wait_for_text(page, "#message", "What you wrote is kept")
    assert page.locator("#hint").is_hidden()

    with gateway(model_server, GATEWAY_PORT=port):
        assert text_of(page) == "1"
        assert page.locator("#message").inner_text() == ""
        page.click("#clear")
        until(lambda: page.locator("#answer").is_hidden(), page)


def refuse_once(page: "Page", status: int, headers: dict[str, str], code: str) -> list[str]:
    """Answers the first request for a prediction so; what comes to it is listed by its key."""
    asked: list[str] = []

    def answer(route: Any) -> None:
        asked.append(route.request.headers.get("authorization", ""))
        if len(asked) == 1:
            route.fulfill(status=status, headers=headers, json={"code": code, "detail": "", "status": status})
        else:
            route.continue_()

    page.route("**/v1/predict?*", answer)
    return asked


def test_a_busy_server_is_asked_again_when_it_says(visit: Visit, fake_house: str) -> None:
    for status, code in ((503, "overloaded"), (429, "rate_limited")):
        page = visit(url=fake_house)
        asked = refuse_once(page, status, {"Retry-After": "2"}, code)

        draw(page, ONE)

        wait_for_text(page, "#message", "It tries again in 2 s.")
        assert text_of(page) == "1"
        assert len(asked) >= 2


def test_a_key_is_asked_for_and_kept_in_memory_alone(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    asked = refuse_once(page, 401, {}, "unauthorized")
    draw(page, ONE)
    page.wait_for_selector("#key[open]")

    page.keyboard.type("secret-key")
    page.keyboard.press("Enter")

    assert text_of(page) == "1"
    assert asked[1] == "Bearer secret-key"
    page.reload()
    draw(page, ONE)
    assert text_of(page) == "1"
    assert asked[-1] == ""


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_who_has_no_key_is_told_and_asked_again_next_time(visit: Visit, fake_house: str, way: str) -> None:
    page = visit(url=fake_house)
    page.route("**/v1/predict?*", lambda route: route.fulfill(status=401, json={"code": "unauthorized", "detail": ""}))
    draw(page, ONE)
    page.wait_for_selector("#key[open]")

    if way == "button":
        page.click("#key [value=later]")
    else:
        page.keyboard.press("Escape")

    wait_for_text(page, "#message", "answers only to those who have a key")
    assert page.locator("#key").is_hidden()
    page.unroute("**/v1/predict?*")
    draw(page, ONE, right=0.1)
    text_of(page)
    assert page.locator("#message").inner_text() == ""


def test_a_server_that_says_nothing_counts_as_none(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    wait_for_text(page, "#about", "digits")
    held: list[object] = []
    page.route("**/v1/predict?*", lambda route: held.append(route))
    page.clock.install()
    draw(page, ONE)
    page.clock.run_for(1_000)
    until(lambda: held, page)

    page.clock.run_for(41_000)

    wait_for_text(page, "#message", "No connection")


def test_a_failure_of_the_server_is_told(visit: Visit, fake_house: str) -> None:
    page = visit(url=fake_house)
    page.route(
        "**/v1/predict?*", lambda route: route.fulfill(status=500, json={"code": "internal", "detail": "It was logged."})
    )

    draw(page, ONE)

    wait_for_text(page, "#message", "That did not work: It was logged.")
