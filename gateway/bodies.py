"""Receives requests' bodies before anybody waits for them, and gives up on those that do not come.

Granian hands a request over when its head has come. Reading the body then waits for the client, however long that takes, and
no setting bounds it. So bodies are received here, by threads that hold nothing which others need; and connections whose bodies
come too slowly are shut down.
"""

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Protocol

from gateway.budget import Overloaded
from gateway.errors import ProblemError

_Environment = dict[str, Any]
_StartResponse = Callable[..., Any]
_Application = Callable[[_Environment, _StartResponse], Iterable[bytes]]

_PIECE_BYTES = 1 << 16  # what came of a piece is not known until it is whole
_LEAST_BYTES_PER_SECOND = 16 << 10
_MOST_HEARD_OUT = 64 << 20  # bytes of a body that is too long: a client that still sends sees its connection break, no answer
_LOOK_EVERY_SECONDS = 1.0
_TCP_INFO_BYTES = 60
_LAST_DATA_SENT = 44  # where Linux's struct tcp_info has the milliseconds since data was sent last (linux/tcp.h)


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(eq=False)
class _Receipt:
    """A body that is coming."""

    peer: str
    begun: float = field(default_factory=monotonic)
    received: int = 0
    kept: int = 0
    is_given_up: bool = False


class _Unreceived:
    """The input of a request whose body did not come: whoever reads it is told why."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, *_: int) -> bytes:
        raise self._error

    readline = read


class Bodies:
    """A WSGI application around another, which finds bodies in memory.

    Of one body at most `longest` bytes are kept, and one more where it is longer; of all together at most `budget`. One must be
    there `patience_seconds` after its request's head, and one second later for each 16 KiB of it that have come.
    """

    def __init__(self, application: _Application, longest: int, budget: int, patience_seconds: float) -> None:
        self._application = application
        self._longest = longest
        self._budget = self._left = budget
        self._patience_seconds = patience_seconds
        self._lock = Lock()
        self._coming: dict[int, _Receipt] = {}

    def __call__(self, environment: _Environment, start_response: _StartResponse) -> Iterable[bytes]:
        text = environment.get("CONTENT_LENGTH", "")
        length = int(text) if text else None if "HTTP_TRANSFER_ENCODING" in environment else 0
        if length == 0:
            return self._application(environment, start_response)
        receipt = _Receipt(environment.get("REMOTE_ADDR", ""))
        self._coming[id(receipt)] = receipt
        try:
            try:
                environment["wsgi.input"] = self._receive(environment["wsgi.input"], length, receipt)
            except (Overloaded, ProblemError) as error:
                environment["wsgi.input"] = _Unreceived(error)
            finally:
                del self._coming[id(receipt)]
            return self._application(environment, start_response)
        finally:
            with self._lock:
                self._left += receipt.kept

    def _receive(self, source: _Input, length: int | None, receipt: _Receipt) -> BytesIO:
        """The body; nothing of one that its length says is too long, and one byte too much of one that has no length.

        Raises:
            Overloaded: other bodies take the memory that there is for them.
            ProblemError: it did not come, or not all of it.
        """
        is_too_long = length is not None and length > self._longest
        wanted = 0 if is_too_long else self._longest + 1 if length is None else length
        pieces = []
        while receipt.kept < wanted and (piece := source.read(min(wanted - receipt.kept, _PIECE_BYTES))):
            self._keep(len(piece), receipt)
            pieces.append(piece)
        if is_too_long or receipt.kept > self._longest:
            _hear_out(source, length or 0, receipt)
        if receipt.is_given_up:
            raise ProblemError(408, "body_timeout", f"{receipt.received:,} bytes of the body came, and the rest not in time.")
        if length is not None and receipt.kept < wanted:
            raise ProblemError(400, "invalid_request", f"The body ended after {receipt.kept:,} of its {length:,} bytes.")
        return BytesIO(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _keep(self, size: int, receipt: _Receipt) -> None:
        receipt.received += size
        with self._lock:
            if size > self._left:
                raise Overloaded(f"the bodies of other requests take the {self._budget:,} bytes that there are for them")
            self._left -= size
            receipt.kept += size

    def watch(self, port: int) -> None:
        """Begins to shut down connections to the port whose bodies come too slowly, until the process ends."""

        def look_again_and_again() -> None:
            while not Event().wait(_LOOK_EVERY_SECONDS):
                if ages := self._overdue(monotonic()):
                    _shut_down_silent(port, ages)

        Thread(target=look_again_and_again, name="bodies", daemon=True).start()

    def _overdue(self, now: float) -> dict[str, float]:
        """The peers whose bodies are overdue, and the age in seconds of the youngest that is."""
        ages: dict[str, float] = {}
        for receipt in list(self._coming.values()):
            age = now - receipt.begun
            if age > self._patience_seconds + receipt.received / _LEAST_BYTES_PER_SECOND:
                receipt.is_given_up = True
                ages[receipt.peer] = min(age, ages.get(receipt.peer, age))
        return ages


def _hear_out(source: _Input, length: int, receipt: _Receipt) -> None:
    left = _MOST_HEARD_OUT if length <= _MOST_HEARD_OUT else 0
    while left > 0 and (piece := source.read(min(left, _PIECE_BYTES))):
        left -= len(piece)
        receipt.received += len(piece)


def _shut_down_silent(port: int, ages: dict[str, float]) -> None:
    """Shuts down the connections of these peers on which nothing was sent for as long as their ages say.

    Granian does not tell which connection a request came by. But since a request that waits for its body began, nothing was
    sent on its connection; on the peer's others something was, unless they are idle, or wait for a body too.
    """
    for entry in Path("/proc/self/fd").iterdir():
        try:
            copy = os.dup(int(entry.name))
        except OSError:
            continue  # closed since
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            continue
        with socket.socket(fileno=copy) as connection:
            try:
                if connection.getsockname()[1] == port and _silence(connection) >= ages[connection.getpeername()[0]]:
                    connection.shutdown(socket.SHUT_RD)
            except (OSError, LookupError):
                continue  # not connected, of another kind, or none of these peers'


def _silence(connection: socket.socket) -> float:
    """Seconds since something was sent on it, or since it was made."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    milliseconds: int = struct.unpack_from("=I", info, _LAST_DATA_SENT)[0]
    return milliseconds / 1000 + 0.1  # the kernel's clock ticks more coarsely than ours
