"""Downloads over HTTP, from a server in a thread on this machine."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.data.download import get, gunzip
from pipelines.errors import DataError


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * (40 if self.path == "/broken" else 100))

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole(server: str) -> None:
    assert get(f"{server}/file", max_bytes=100) == b"x" * 100


@pytest.mark.parametrize(
    ("path", "max_bytes", "complaint"),
    [("/missing", 100, "HTTP 404"), ("/broken", 100, "broke off|IncompleteRead"), ("/file", 99, "larger than 99 bytes")],
)
def test_what_is_not_the_file_is_refused(server: str, path: str, max_bytes: int, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        get(server + path, max_bytes)


def test_an_unreachable_server_is_named() -> None:
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/file: .*refused"):
        get("http://127.0.0.1:9/file", 100)


def test_a_gzip_bomb_is_refused() -> None:
    with pytest.raises(DataError, match="larger than 1000 bytes"):
        gunzip(gzip.compress(bytes(100_000)), "file", 1000)
