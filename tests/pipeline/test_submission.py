"""Submitting: clear errors from endpoints that are not there, not Kubeflow, or unwilling."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from pipelines.errors import RecipeError, SubmitError
from pipelines.submission import submit


class Kubeflow(BaseHTTPRequestHandler):
    """The few calls that a submission makes; `answers` replaces the answer to a path."""

    answers: ClassVar[dict[str, tuple[int, str, str]]] = {}
    received: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        found: dict[str, Any] = {"multi_user": False} if self.path.endswith("/healthz") else {"experiments": []}
        self._answer(found)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.path, body))
        self._answer({"experiment_id": "e-1", "display_name": "handwriting", "run_id": "r-1"})

    def _answer(self, value: dict[str, Any]) -> None:
        path = self.path.split("?")[0]
        status, kind, content = self.answers.get(path, (200, "application/json", json.dumps(value)))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    Kubeflow.answers.clear()
    Kubeflow.received.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Kubeflow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_run_is_created_with_its_arguments(host: str) -> None:
    submission = submit(host, "digits", "quick", seed=5, repository="/volume")

    path, body = Kubeflow.received[-1]
    assert (submission.run_id, submission.url) == ("r-1", f"{host}/#/runs/details/r-1")
    assert path == "/apis/v2beta1/runs"
    parameters = body["runtime_config"]["parameters"]
    assert (parameters["preset"], parameters["seed"], parameters["repository"]) == ("quick", 5, "/volume")
    assert 'name = "digits"' in parameters["recipe"]


def test_an_unreachable_endpoint_is_named() -> None:
    with pytest.raises(SubmitError, match=r"http://127\.0\.0\.1:9 cannot be reached: .*refused"):
        submit("127.0.0.1:9")


@pytest.mark.parametrize(
    ("path", "answer", "complaint"),
    [
        ("/apis/v2beta1/healthz", (401, "text/plain", ""), "HTTP 401 .a token is needed"),
        ("/apis/v2beta1/healthz", (404, "text/html", ""), "HTTP 404 .is the path right"),
        ("/apis/v2beta1/healthz", (200, "text/html", "<html>"), "answered with text/html, not JSON"),
        (
            "/apis/v2beta1/runs",
            (400, "application/json", '{"error": "no such pipeline root"}'),
            "refuses the run: HTTP 400.*root",
        ),
        ("/apis/v2beta1/runs", (403, "application/json", "{}"), "the token has no right to this"),
    ],
)
def test_a_refusal_says_what_is_wrong(host: str, path: str, answer: tuple[int, str, str], complaint: str) -> None:
    Kubeflow.answers[path] = answer

    with pytest.raises(SubmitError, match=complaint):
        submit(host)


def test_a_wrong_preset_sends_nothing(host: str) -> None:
    with pytest.raises(RecipeError):
        submit(host, preset="fastest")

    assert Kubeflow.received == []
