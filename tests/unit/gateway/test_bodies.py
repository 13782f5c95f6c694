"""Bodies are received before a request is worked on, within bounds of memory."""

import json
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.bodies import Bodies
from gateway.settings import Settings
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


class Pieces:
    """An input that gives a body in pieces, as they come, and notes how much was asked for."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]


def echo(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
    return [environment["wsgi.input"].read()]


def received(body: Pieces, length: int | None, longest: int = 100, budget: int = 1000) -> bytes:
    environment: dict[str, Any] = {"wsgi.input": body, "REMOTE_ADDR": "198.51.100.1"}
    environment |= {"HTTP_TRANSFER_ENCODING": "chunked"} if length is None else {"CONTENT_LENGTH": str(length)}
    return b"".join(Bodies(echo, longest, budget, 20)(environment, None))


@pytest.mark.parametrize("length", [6, None])
def test_a_body_that_comes_in_pieces_is_put_together(length: int | None) -> None:
    assert received(Pieces(b"ab", b"c", b"def"), length) == b"abcdef"


def test_a_body_that_comes_at_once_is_read_at_once() -> None:
    body = Pieces(b"abcdef")

    assert received(body, 6) == b"abcdef"
    assert body.asked == [6]


def test_a_body_that_says_it_is_too_long_is_heard_out_and_not_kept() -> None:
    body = Pieces(*[b"x" * 50] * 5)

    assert received(body, 250) == b""
    assert body.read(1) == b""


def test_of_a_body_without_length_no_more_than_one_byte_too_much_is_kept() -> None:
    body = Pieces(*[b"x" * 50] * 5)

    assert received(body, None) == b"x" * 101
    assert body.read(1) == b""


def test_a_request_without_a_body_is_passed_on_as_it_is() -> None:
    body = Pieces()

    assert b"".join(Bodies(lambda *_: [b"done"], 100, 1000, 20)({"wsgi.input": body}, None)) == b"done"
    assert body.asked == []


@pytest.fixture
def small(server: FakeModelServer) -> Iterator[FlaskClient]:
    with ModelClient(server.address) as model_client:
        yield create_app(Settings(receiving_bytes=2000), model_client).test_client()


def test_more_than_there_is_memory_for_is_turned_away_and_leaves_the_memory_to_others(small: FlaskClient, png: bytes) -> None:
    large = small.post("/v1/predict", data=bytes(2001), content_type="image/png")
    after = [small.post("/v1/predict", data=png, content_type="image/png").status_code for _ in range(50)]

    assert (large.status_code, large.get_json()["code"]) == (503, "overloaded")
    assert large.headers["Retry-After"] == "1"
    assert after == [200] * 50


def test_bodies_share_their_memory(png: bytes) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold(environment: dict[str, Any], _: Any) -> Iterable[bytes]:
        inside.set()
        leave.wait(10)
        return []

    bodies = Bodies(hold, 100, 100, 20)
    first = threading.Thread(target=bodies, args=({"wsgi.input": BytesIO(bytes(60)), "CONTENT_LENGTH": "60"}, None))
    first.start()
    inside.wait(10)
    second: dict[str, Any] = {"wsgi.input": BytesIO(bytes(60)), "CONTENT_LENGTH": "60"}
    leave.set()
    first.join()
    bodies(second, None)

    assert second["wsgi.input"].read() == bytes(60)


def test_a_body_that_ends_early_is_told(client: FlaskClient) -> None:
    environment = {"CONTENT_LENGTH": "1000"}
    response = client.post("/v1/predict", input_stream=BytesIO(b"abc"), content_type="image/png", environ_overrides=environment)

    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_request")
    assert response.get_json()["detail"] == "The body ended after 3 of its 1,000 bytes."


def test_a_refusal_before_the_body_is_looked_at_has_taken_it_in(client: FlaskClient) -> None:
    body = BytesIO(json.dumps({"image": "A" * 100_000}).encode())
    response = client.post("/nothing", input_stream=body, environ_overrides={"CONTENT_LENGTH": str(len(body.getvalue()))})

    assert response.status_code == 404
    assert body.read() == b""
