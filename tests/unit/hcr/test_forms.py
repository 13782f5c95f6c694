"""`hcr read --fields`: forms in bulk, as CSV."""

import base64
import csv
import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hcr.main import cli

LAYOUT = {"reference": "", "fields": [{"name": "code", "box": [0, 0, 1, 1]}, {"name": "sum", "box": [0, 0, 1, 1]}]}


class FakeGateway(HTTPServer):
    """Tells each page's width as its code; answers 503 from the page `busy_from` on, and does not know a page 13 wide."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.widths: list[int] = []
        self.busy_from: int | None = None
        self.held_from: int | None = None
        self.is_held = threading.Event()
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: FakeGateway

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, asked["layout"], self.headers["X-Request-Timeout"]) == ("/v1/forms:read", LAYOUT, "30")
        width = Image.open(io.BytesIO(base64.b64decode(asked["image"]))).width
        if self.server.busy_from is not None and len(self.server.widths) >= self.server.busy_from:
            return self.answer(503, {"title": "Busy", "detail": "no time", "code": "overloaded"})
        if self.server.held_from is not None and len(self.server.widths) >= self.server.held_from:
            self.server.is_held.set()
            self.server.go_on.wait(60)
            return None
        self.server.widths.append(width)
        if width == 13:
            return self.answer(422, {"title": "The form is not on the image", "detail": "0.1 alike", "code": "form_not_found"})
        fields = [{"name": "code", "text": str(width), "rejected": width == 40}, {"name": "sum", "text": "", "blank": True}]
        return self.answer(200, {"fields": fields})

    def answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds a layout, an image, a TIFF of two pages, a PDF of two, a form that is another, and what is no TIFF."""
    monkeypatch.chdir(tmp_path)
    pages = [Image.new("L", (width, 50), 255) for width in (20, 30, 40)]
    (tmp_path / "layout.json").write_text(json.dumps(LAYOUT))
    pages[0].save(tmp_path / "a.png")
    pages[1].save(tmp_path / "b.tiff", save_all=True, append_images=pages[2:])
    pages[0].save(tmp_path / "c.pdf", save_all=True, append_images=pages[:1], resolution=200)
    Image.new("L", (13, 50), 255).save(tmp_path / "d.png")
    (tmp_path / "e.tiff").write_bytes(b"II*\0broken")
    return tmp_path


def read(gateway: FakeGateway, *files: str) -> Result:
    return CliRunner().invoke(cli, ["read", "--fields", "layout.json", "--url", gateway.url, *files])


def rows(result: Result) -> list[list[str]]:
    return list(csv.reader(result.stdout.splitlines()))


def test_every_page_is_a_row(gateway: FakeGateway, folder: Path) -> None:
    result = read(gateway, "a.png", "b.tiff", "c.pdf")

    assert result.exit_code == 0, result.stderr
    assert rows(result) == [
        ["file", "page", "code", "sum", "doubtful", "error"],
        ["a.png", "1", "20", "", "", ""],
        ["b.tiff", "1", "30", "", "", ""],
        ["b.tiff", "2", "40", "", "code", ""],
        ["c.pdf", "1", "20", "", "", ""],
        ["c.pdf", "2", "20", "", "", ""],
    ]


def test_what_cannot_be_read_is_told_in_its_row(gateway: FakeGateway, folder: Path) -> None:
    result = read(gateway, "d.png", "e.tiff", "f.png", "a.png")

    assert result.exit_code == 1
    _, other, broken, missing, good = rows(result)
    assert other[:2] == ["d.png", "1"]
    assert "form_not_found" in other[-1]
    assert (broken[:2], "cannot be opened" in broken[-1]) == (["e.tiff", ""], True)
    assert missing == ["f.png", "", "", "", "", "No such file or directory"]
    assert good == ["a.png", "1", "20", "", "", ""]


def test_an_interrupted_run_goes_on_where_it_was(gateway: FakeGateway, folder: Path) -> None:
    gateway.busy_from = 2
    interrupted = read(gateway, "a.png", "b.tiff", "c.pdf")
    assert interrupted.exit_code == 1
    assert "overloaded" in interrupted.stderr
    gateway.busy_from = None

    result = read(gateway, "a.png", "b.tiff", "c.pdf")

    assert result.exit_code == 0
    assert [row[2] for row in rows(result)[1:]] == ["20", "30", "40", "20", "20"]
    assert gateway.widths == [20, 30, 40, 20, 20]  # none of them twice
    assert read(gateway, "a.png").exit_code == 0
    assert gateway.widths[-1] == 20  # a run that came to its end leaves nothing behind


def test_a_page_that_failed_is_asked_for_again_when_an_interrupted_run_goes_on(gateway: FakeGateway, folder: Path) -> None:
    gateway.busy_from = 2
    assert read(gateway, "d.png", "a.png", "b.tiff").exit_code == 1
    gateway.busy_from = None

    read(gateway, "d.png", "a.png", "b.tiff")

    assert gateway.widths == [13, 20, 13, 30, 40]


def test_a_run_that_was_killed_goes_on_where_it_was(gateway: FakeGateway, folder: Path) -> None:
    gateway.held_from = 2
    command = [sys.executable, "-m", "hcr.main", "read", "--fields", "layout.json", "--url", gateway.url]
    command += ["a.png", "b.tiff", "c.pdf"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert gateway.is_held.wait(60)  # two pages are read, and the third is being read
    process.kill()
    process.wait()
    gateway.held_from = None
    gateway.go_on.set()

    result = read(gateway, "a.png", "b.tiff", "c.pdf")

    assert result.exit_code == 0
    assert [row[2] for row in rows(result)[1:]] == ["20", "30", "40", "20", "20"]
    assert gateway.widths == [20, 30, 40, 20, 20]  # none of them twice


def test_a_terminal_shows_how_far_it_is(gateway: FakeGateway, folder: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "hcr.main", "read", "--fields", "layout.json", "--url", gateway.url, "a.png", "d.png"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)
    shown = b""
    try:
        while some := os.read(terminal, 4096):
            shown += some
    except OSError:  # Linux says so where the other end is closed
        pass
    finally:
        os.close(terminal)
        process.wait()

    assert b"reading" in shown
    assert b"50%" in shown
    assert b"a.png" in shown
    assert b"100%" in shown


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("no.pdf", b"%PDF-1.4 broken", "the PDF cannot be opened"),
        ("cut.tiff", b"II*\0\x08\0\0\0\x01\0", "the TIFF cannot be opened"),
        ("empty.tiff", b"II*\0\x08\0\0\0\0\0\0\0\0\0", "the TIFF cannot be opened"),
        ("huge.tiff", None, "page 1 of the TIFF is 9000 × 9000 pixels; at most 40 million"),
    ],
)
def test_a_file_that_cannot_be_opened_does_not_end_the_run(
    gateway: FakeGateway, folder: Path, name: str, data: bytes | None, words: str
) -> None:
    if data is None:
        Image.new("1", (9000, 9000)).save(folder / name, compression="group4")
    else:
        (folder / name).write_bytes(data)

    result = read(gateway, name, "a.png")

    assert result.exit_code == 1
    _, bad, good = rows(result)
    assert words in bad[-1]
    assert good == ["a.png", "1", "20", "", "", ""]


def test_another_option_does_not_go_with_a_layout(gateway: FakeGateway, folder: Path) -> None:
    result = read(gateway, "--length", "5", "a.png")

    assert result.exit_code == 2
    assert "--length does not go with --fields" in result.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fields": [1]}'])
def test_what_is_no_layout_is_told(gateway: FakeGateway, folder: Path, text: str) -> None:
    (folder / "layout.json").write_text(text)

    result = read(gateway, "a.png")

    assert result.exit_code == 1
    assert "layout.json is no layout" in result.stderr
