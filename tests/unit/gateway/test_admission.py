"""How many requests are let in, and who computes."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.budget import Baton, asleep
from gateway.settings import Settings
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


@pytest.fixture
def full(server: FakeModelServer, png: bytes) -> Iterator[FlaskClient]:
    """A gateway that lets two in, and has two inside."""
    with ModelClient(server.address) as model_client, ThreadPoolExecutor(2) as pool:
        app = create_app(Settings(max_requests=2), model_client)
        app.test_client().post("/v1/predict", data=png, content_type="image/png")
        server.delay(30)
        asked = len(server.calls_of("Predict"))
        inside = []
        for count in (1, 2):
            inside.append(
                pool.submit(app.test_client().post, f"/v1/predict?version={count}", data=png, content_type="image/png")
            )
            server.wait_for_calls(asked + count)
        yield app.test_client()
        server.stop()
        assert {answer.result(20).status_code for answer in inside} == {503}


def test_one_more_than_may_be_inside_is_told_so_and_when_to_come_again(full: FlaskClient, png: bytes) -> None:
    response = full.post("/v1/predict", data=png, content_type="image/png", headers={"X-Request-ID": "mine"})

    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert response.get_json()["code"] == "overloaded"
    assert response.get_json()["id"] == response.headers["X-Request-ID"] == "mine"
    assert response.headers["Retry-After"] == "1"


def test_whoever_watches_over_the_gateway_is_let_in_all_the_same(full: FlaskClient, png: bytes) -> None:
    full.post("/v1/predict", data=png, content_type="image/png")

    assert full.get("/healthz").status_code == 200
    metrics = full.get("/metrics").text
    assert 'gateway_shed_total{reason="requests"} 1.0' in metrics
    assert 'gateway_requests_total{method="POST",route="/v1/predict",status="503"} 1.0' in metrics


def test_a_place_is_free_again_after_an_error(server: FakeModelServer) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(max_requests=1), model_client).test_client()

        assert [client.post("/v1/predict", data=b"x", content_type="image/png").status_code for _ in range(3)] == [415] * 3


def test_the_baton_is_held_by_one() -> None:
    baton = Baton()
    computing: list[int] = []

    def compute(_: int) -> int:
        with baton.held():
            computing.append(1)
            sum(range(2000))
            most = len(computing)
            computing.pop()
        return most

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(compute, range(500))) == {1}


def test_the_baton_is_free_for_others_while_it_is_passed_on() -> None:
    baton = Baton()
    entered = threading.Event()

    def other() -> None:
        with baton.held():
            entered.set()

    with baton.held(), baton.passed_on():
        thread = threading.Thread(target=other)
        thread.start()

        assert entered.wait(10)
        thread.join()


def test_who_holds_no_baton_passes_none_on() -> None:
    baton = Baton()
    with baton.passed_on():
        assert not baton.is_mine

    with baton.held():
        assert baton.is_mine
    assert not baton.is_mine


def test_who_holds_the_baton_already_keeps_it() -> None:
    baton = Baton()
    with baton.held():
        with baton.held():
            assert baton.is_mine
        assert baton.is_mine


def test_the_baton_goes_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    baton = Baton()
    order: list[int] = []
    threads = []

    def take(number: int) -> None:
        with baton.held():
            order.append(number)

    with baton.held():
        for number in range(5):
            thread = threading.Thread(target=take, args=(number,))
            threads.append(thread)
            thread.start()
            until(lambda number=number: len(baton._line) > number)
        baton.step_back()
        assert order == [0, 1, 2, 3, 4]
        assert baton.is_mine
    for thread in threads:
        thread.join()


def test_who_was_promised_the_baton_wakes_with_it() -> None:
    baton = Baton()
    turn = asleep()
    baton.promise([turn])
    assert turn.acquire(timeout=10)
    baton.receive()

    other = asleep()
    baton.promise([other])
    assert not other.acquire(blocking=False)
    baton.give_away()
    assert other.acquire(timeout=10)


def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.001)
