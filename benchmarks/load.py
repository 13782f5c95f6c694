"""The load generator: HTTP/1.1 over kept connections, in a closed loop or at a fixed rate, on one thread without a framework.

Python is quick enough because there is so little of it; each run says how much of a core it took (`Outcome.generator_seconds`).
"""

import http.client
import re
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

ANSWER_SECONDS = 30.0
"""How long an answer may take after the end of a run before it counts as an error."""
MOST_OPEN = 256
"""Connections of an open loop; a request that finds none of them free waits for one, and its time runs."""

_PIECE = 1 << 18
_SAMPLE_EVERY = 20  # answers: so many are kept, to see what they say; the status of each is looked at
_MOST_REFUSED = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class LoadError(Exception):
    """Nothing listens where the load should go."""


@dataclass
class Outcome:
    """What a run saw between the end of its warm-up and its end."""

    seconds: float = 0.0
    latencies: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Seconds that each answer with status 200 took which came in that time; in an open loop since its request was due."""
    refusals: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """The same of the answers with status 503."""
    errors: Counter[str] = field(default_factory=Counter)
    """What went wrong, warm-up included."""
    sample: list[tuple[int, bytes]] = field(default_factory=list)
    """Bodies of such answers, each with the index of its request."""
    metered: float = 0.0
    """How much the meter rose in that time."""
    generator_seconds: float = 0.0
    """Processor time that the generator itself took in that time."""

    @property
    def requests_per_second(self) -> float:
        return len(self.latencies) / self.seconds


def http_request(path: str, body: bytes) -> bytes:
    """A POST request of JSON as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


def closed_loop(
    port: int, requests: Sequence[bytes], connections: int, warm_up: float, seconds: float, meter: Callable[[], float] = float
) -> Outcome:
    """So many connections, each of which sends its next request when it has its answer. The requests go round.

    Raises:
        LoadError: nothing listens on the port.
    """
    with _ClosedLoop(port, requests) as loop:
        loop.begin(connections)
        return loop.measure(warm_up, seconds, meter)


def open_loop(
    port: int, requests: Sequence[bytes], rate: float, warm_up: float, seconds: float, meter: Callable[[], float] = float
) -> Outcome:
    """So many requests a second, whether or not earlier ones are answered. The requests go round.

    Raises:
        LoadError: nothing listens on the port.
    """
    with _OpenLoop(port, requests, rate) as loop:
        return loop.measure(warm_up, seconds, meter)


class _Connection:
    """A connection, and the request that is under way on it."""

    __slots__ = ("begun", "end", "index", "is_busy", "received", "socket", "unsent")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.is_busy = False
        self.index = 0
        self.begun = 0.0
        self.unsent = memoryview(b"")
        self.received = b""
        self.end = 0  # how many bytes the answer has with its head; 0 while that is not known


class _Loop:
    """What both kinds of loop share. They differ in what they do with a connection that is free, and in what is due when."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port = port
        self._requests = [memoryview(request) for request in requests]
        self._poll = select.epoll()
        self.connections: dict[int, _Connection] = {}
        self._started = self._answered = self._busy = self._refused = 0  # _busy: under way now
        self._latencies: list[float] = []
        self._refusals: list[float] = []
        self._measures = self._drains = False
        self.outcome = Outcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections.values():
            connection.socket.close()
        self._poll.close()

    def freed(self, connection: _Connection) -> None:
        raise NotImplementedError

    def send_due(self, now: float) -> float:
        """When it wants to be called again, after it has sent what is due."""
        return float("inf")

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        return self._poll.poll(seconds)

    def measure(self, warm_up: float, seconds: float, meter: Callable[[], float]) -> Outcome:
        """Warms up, measures, and waits for what is still under way."""
        self._run_until(time.perf_counter() + warm_up)
        metered, used, begun = meter(), time.process_time(), time.perf_counter()
        self._measures = True
        self._run_until(begun + seconds)
        self._measures = False
        outcome = self.outcome
        outcome.seconds = time.perf_counter() - begun
        outcome.generator_seconds = time.process_time() - used
        outcome.metered = meter() - metered
        outcome.latencies, outcome.refusals = np.array(self._latencies), np.array(self._refusals)
        self._drain()
        return outcome

    def open(self) -> _Connection:
        while True:
            try:
                connection = _Connection(self._port)
            except OSError as error:
                self._refused += 1
                self.outcome.errors["connection refused"] += 1
                if self._refused >= _MOST_REFUSED:
                    raise LoadError(f"port {self._port} took none of {_MOST_REFUSED} connections: {error}") from error
                continue
            self.connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)
            return connection

    def start(self, connection: _Connection, begun: float) -> None:
        """Sends the next request; its time runs from `begun`."""
        connection.index = self._started % len(self._requests)
        connection.begun, connection.received, connection.end = begun, b"", 0
        connection.unsent = self._requests[connection.index]
        connection.is_busy = True
        self._started += 1
        self._busy += 1
        self._send(connection)

    def _run_until(self, end: float) -> None:
        while (now := time.perf_counter()) < end:
            wake = min(self.send_due(now), end)
            for file, events in self.wait(max(wake - time.perf_counter(), 0)):
                if connection := self.connections.get(file):
                    self._handle(connection, events)

    def _drain(self) -> None:
        self._drains = True
        deadline = time.perf_counter() + ANSWER_SECONDS
        while self._busy and (left := deadline - time.perf_counter()) > 0:
            for file, events in self._poll.poll(left):
                if connection := self.connections.get(file):
                    self._handle(connection, events)
        if self._busy:
            self.outcome.errors[f"no answer in {ANSWER_SECONDS:.0f} s"] += self._busy

    def _handle(self, connection: _Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self._send(connection)
        if events & ~select.EPOLLOUT:
            self._receive(connection)

    def _send(self, connection: _Connection) -> None:
        whole = len(connection.unsent)
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return  # the connection is gone, which the next event on it tells as well
        if connection.unsent:
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        elif whole < len(self._requests[connection.index]):
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _receive(self, connection: _Connection) -> None:
        try:
            piece = connection.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._lost(connection)
            return
        connection.received += piece
        connection.end = connection.end or _end_of_answer(connection.received)
        if connection.end and len(connection.received) >= connection.end:
            self._complete(connection)

    def _complete(self, connection: _Connection) -> None:
        now = time.perf_counter()
        answer = connection.received
        self._busy -= 1
        self._answered += 1
        if answer[9:12] != b"200":
            self.outcome.errors[f"status {answer[9:12].decode('latin-1')}"] += 1
            if self._measures and answer[9:12] == b"503":
                self._refusals.append(now - connection.begun)
        else:
            if self._measures:
                self._latencies.append(now - connection.begun)
            if self._answered % _SAMPLE_EVERY == 1:
                self.outcome.sample.append((connection.index, _body(answer)))
        connection.is_busy = False
        if _CLOSE.search(answer, 0, answer.index(b"\r\n\r\n")):
            self._close(connection)
            connection = self.open()
        if not self._drains:
            self.freed(connection)

    def _lost(self, connection: _Connection) -> None:
        self._close(connection)
        if not connection.is_busy:
            return  # the server gave up an idle one
        self._busy -= 1
        self.outcome.errors["connection lost"] += 1
        if not self._drains:
            self.freed(self.open())

    def _close(self, connection: _Connection) -> None:
        self._poll.unregister(connection.socket.fileno())
        del self.connections[connection.socket.fileno()]
        connection.socket.close()


class _ClosedLoop(_Loop):
    def begin(self, connections: int) -> None:
        for connection in [self.open() for _ in range(connections)]:
            self.freed(connection)

    def freed(self, connection: _Connection) -> None:
        self.start(connection, time.perf_counter())


class _OpenLoop(_Loop):
    def __init__(self, port: int, requests: Sequence[bytes], rate: float) -> None:
        super().__init__(port, requests)
        self._interval = 1 / rate
        self._next = time.perf_counter()
        self._due: deque[float] = deque()
        self._idle: list[_Connection] = []

    def freed(self, connection: _Connection) -> None:
        self._idle.append(connection)
        self._send_waiting()

    def send_due(self, now: float) -> float:
        while self._next <= now:
            self._due.append(self._next)
            self._next += self._interval
        self._send_waiting()
        return self._next

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        select.select([self._poll.fileno()], [], [], seconds)  # to the microsecond; epoll waits whole milliseconds
        return self._poll.poll(0)

    def _drain(self) -> None:
        if self._due:
            self.outcome.errors["not sent in time"] += len(self._due)
        super()._drain()

    def _send_waiting(self) -> None:
        while self._due and (connection := self._free()):
            self.start(connection, self._due.popleft())

    def _free(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.socket.fileno() >= 0:
                return connection
        return self.open() if len(self.connections) < MOST_OPEN else None


def _end_of_answer(received: bytes) -> int:
    """How many bytes the answer has; 0 where what has come does not tell yet."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return 0
    if length := _LENGTH.search(received, 0, head):
        return head + 4 + int(length[1])
    return len(received) if received.endswith(b"\r\n0\r\n\r\n") else 0


def _body(answer: bytes) -> bytes:
    """The answer's content, its chunks put together where it came in chunks."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    if _LENGTH.search(head):
        return rest
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        content, rest = content + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return content


def ask(port: int, request: bytes, timeout_seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
    """Status and body of one answer, on a connection of its own.

    Raises:
        OSError, http.client.HTTPException: there is none.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()
