"""Clients that keep the gateway waiting, on purpose or not, do not keep others waiting."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.test_gateway_process import gateway, get, memory, post, stroke
from tests.fakes import FakeModelServer

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as fake:
        yield fake


@contextmanager
def connections(url: str, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, on each of which so much is said and no more."""
    host, _, port = url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(count)]
        for connection in opened:
            connection.sendall(said)
        yield opened


def answer(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /v1/pre", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", HEAD, HEAD + b"abc"],
    ids=["nothing", "half a line", "half a head", "no body", "a body's beginning"],
)
def test_others_are_served_beside_500_that_stall(server: FakeModelServer, said: bytes) -> None:
    with gateway(server) as (process, url):
        post(url, stroke())
        before = memory(process)
        with connections(url, 500, said):
            times = []
            for _ in range(10):
                start = time.perf_counter()
                assert (get(f"{url}/healthz")[0], post(url, stroke())[0]) == (200, 200)
                times.append(time.perf_counter() - start)
            grown = memory(process) - before

    assert sorted(times)[5] < 0.5
    assert max(times) < 5
    assert grown < 100  # MB


def test_a_body_that_does_not_come_is_given_up(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_BODY_TIMEOUT_SECONDS="0.5") as (_, url), connections(url, 1, HEAD + b"abc") as (stalled,):
        start = time.monotonic()
        told = answer(stalled)
        seconds = time.monotonic() - start

    assert told.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in told
    assert 0.4 < seconds < 5


def test_a_body_that_comes_by_drops_is_given_up_too(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_BODY_TIMEOUT_SECONDS="0.5") as (_, url), connections(url, 1, HEAD) as (dripping,):
        start = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(dripping, 20)

    assert time.monotonic() - start < 10


def drip(connection: socket.socket, seconds: float) -> None:
    """Sends a byte now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(b"x")
        time.sleep(0.05)


def test_a_body_that_comes_slowly_but_comes_is_taken(server: FakeModelServer) -> None:
    body = stroke() + bytes(400_000)  # what follows a PNG's end does not matter
    head = HEAD.replace(b"100000", str(len(body)).encode()).replace(b"Host", b"Connection: close\r\nHost")
    with gateway(server, GATEWAY_BODY_TIMEOUT_SECONDS="1") as (_, url), connections(url, 1, head) as (slow,):
        for first in range(0, len(body), 30_000):
            slow.sendall(body[first : first + 30_000])
            time.sleep(0.2)
        told = answer(slow)

    assert told.startswith(b"HTTP/1.1 200 ")


def test_giving_up_on_one_leaves_others_of_its_address_alone(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_BODY_TIMEOUT_SECONDS="3") as (_, url):
        post(url, stroke())
        server.delay(0.4)
        try:
            with connections(url, 20, HEAD + b"abc") as stalled:
                answers = [post(url, stroke())[0] for _ in range(12)]  # for longer than those are waited for
                told = [answer(connection).split(b" ")[1] for connection in stalled]
        finally:
            server.delay(0)

    assert answers == [200] * 12
    assert told == [b"408"] * 20


def test_a_body_that_ends_early_is_told(server: FakeModelServer) -> None:
    with gateway(server) as (_, url), connections(url, 1, HEAD + b"abc") as (half,):
        half.shutdown(socket.SHUT_WR)
        told = answer(half)

    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"ended after 3 of its 100,000 bytes" in told
