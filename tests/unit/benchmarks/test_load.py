import socket
import threading

import pytest

from benchmarks.load import LoadError, ask, closed_loop, http_request, open_loop
from tests.unit.benchmarks.servers import serving, whole

REQUESTS = [http_request("/", body) for body in (b"a", b"b", b"c")]


def echo(connection: socket.socket, body: bytes) -> bool:
    connection.sendall(whole(body))
    return True


def test_a_closed_loop_counts_the_answers_of_its_time() -> None:
    with serving(echo) as port:
        outcome = closed_loop(port, REQUESTS, connections=2, warm_up=0.05, seconds=0.3)

    assert len(outcome.latencies) >= 2
    assert 0 < outcome.latencies.min() <= outcome.latencies.max() < outcome.seconds
    assert outcome.requests_per_second == len(outcome.latencies) / outcome.seconds
    assert not outcome.errors


def test_requests_go_round_and_the_sample_knows_which_was_answered() -> None:
    with serving(echo) as port:
        outcome = closed_loop(port, REQUESTS, connections=3, warm_up=0.0, seconds=0.2)

    assert outcome.sample
    assert all(body == b"abc"[index : index + 1] for index, body in outcome.sample)


def test_another_status_is_an_error_and_no_answer() -> None:
    def refuse(connection: socket.socket, body: bytes) -> bool:
        connection.sendall(whole(b"later", "503 Service Unavailable"))
        return True

    with serving(refuse) as port:
        outcome = closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.1)

    assert outcome.errors["status 503"] > 0
    assert len(outcome.latencies) == 0
    assert not outcome.sample


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 6\r\n\r\nab", b"cdef"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n", b"2\r\nef\r\n0\r\n\r\n"),
    ],
)
def test_an_answer_in_pieces_is_read_whole(pieces: tuple[bytes, ...]) -> None:
    def answer(connection: socket.socket, body: bytes) -> bool:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        return True

    with serving(answer) as port:
        outcome = closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.1)

    assert not outcome.errors
    assert {body for _, body in outcome.sample} == {b"abcdef"}


def test_a_connection_that_is_closed_as_announced_is_no_error() -> None:
    def close(connection: socket.socket, body: bytes) -> bool:
        connection.sendall(whole(body, head="Connection: close\r\n"))
        return False

    with serving(close) as port:
        outcome = closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.1)

    assert len(outcome.latencies) >= 2
    assert not outcome.errors


def test_a_lost_connection_is_an_error_and_another_takes_its_place() -> None:
    asked = []

    def lose_the_first(connection: socket.socket, body: bytes) -> bool:
        asked.append(body)
        return len(asked) > 1 and echo(connection, body)

    with serving(lose_the_first) as port:
        outcome = closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.2)

    assert dict(outcome.errors) == {"connection lost": 1}
    assert len(outcome.latencies) > 0


def test_a_large_request_arrives_whole() -> None:
    lengths = []

    def measure(connection: socket.socket, body: bytes) -> bool:
        lengths.append(len(body))
        connection.sendall(whole(b"ok"))
        return True

    with serving(measure) as port:
        outcome = closed_loop(port, [http_request("/", bytes(8 << 20))], connections=1, warm_up=0.0, seconds=0.2)

    assert not outcome.errors
    assert set(lengths) == {8 << 20}


def test_a_port_where_nothing_listens_cannot_be_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(LoadError, match=f"port {port} took none of 100 connections"):
        closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.1)


def test_an_open_loop_sends_at_its_rate() -> None:
    with serving(echo) as port:
        outcome = open_loop(port, REQUESTS, rate=200, warm_up=0.1, seconds=0.5)

    assert 20 <= len(outcome.latencies) <= 121
    assert not outcome.errors


def test_in_an_open_loop_the_time_runs_from_when_a_request_was_due() -> None:
    arrived: list[bytes] = []
    tenth = threading.Event()

    def hold_the_first(connection: socket.socket, body: bytes) -> bool:
        arrived.append(body)
        if len(arrived) == 1:
            tenth.wait(20)
        elif len(arrived) == 10:
            tenth.set()
        return echo(connection, body)

    with serving(hold_the_first) as port:
        outcome = open_loop(port, REQUESTS, rate=50, warm_up=0.0, seconds=0.6)

    assert outcome.latencies.max() >= 9 / 50
    assert not outcome.errors


def test_the_meter_is_read_at_both_ends_of_the_measured_time() -> None:
    readings = iter([10.0, 14.5])
    with serving(echo) as port:
        outcome = closed_loop(port, REQUESTS, connections=1, warm_up=0.0, seconds=0.05, meter=lambda: next(readings))

    assert outcome.metered == 4.5
    assert outcome.generator_seconds > 0


def test_one_request_can_be_asked_by_itself() -> None:
    with serving(echo) as port:
        assert ask(port, http_request("/", b"hello")) == (200, b"hello")
