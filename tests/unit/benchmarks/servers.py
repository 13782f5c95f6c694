"""Small HTTP servers for the load generator, each on a free port of 127.0.0.1 in a thread of its own."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[socket.socket, bytes], bool]
"""Answers a request, of which the body is given; False closes the connection."""


@contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """The port of a server that answers each request so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def whole(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    """An answer with its length in the head."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body


def _accept(listener: socket.socket, answer: Answer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # it was shut down
        threading.Thread(target=_serve, args=(connection, answer), daemon=True).start()


def _serve(connection: socket.socket, answer: Answer) -> None:
    with connection, connection.makefile("rb") as stream:
        try:
            while (length := _length(stream)) is not None:
                if not answer(connection, stream.read(length)):
                    return
        except OSError:
            return  # the client has gone


def _length(stream: "socket.SocketIO") -> int | None:
    """The length of the next request's body, None at the end."""
    length = None
    while line := stream.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return length
