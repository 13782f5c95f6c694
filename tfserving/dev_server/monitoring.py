"""TensorFlow Serving's HTTP port, as far as operators need it: Prometheus' metrics and a model's status.

The counters have TensorFlow Serving's names, so that dashboards and rules work on both servers.
"""

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import grpc
from grpc import StatusCode

from tfserving.dev_server.errors import Refused
from tfserving.dev_server.library import Library

log = logging.getLogger("model server")

DEFAULT_PATH = "/monitoring/prometheus/metrics"
_BUCKETS_MICROSECONDS = tuple(10 * 1.8**power for power in range(24))  # TensorFlow Serving's: 10 µs to 12 s
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def metrics_path(monitoring_config: Path) -> str | None:
    """The path that --monitoring_config_file has for Prometheus' metrics; None where it does not enable them.

    Raises:
        Refused: the file cannot be read.
    """
    try:
        text = monitoring_config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(StatusCode.NOT_FOUND, f"cannot read {monitoring_config}: {error}") from error
    if not re.search(r"\benable\s*:\s*true\b", text):
        return None
    path = re.search(r'\bpath\s*:\s*"([^"]+)"', text)
    return path[1] if path else DEFAULT_PATH


class CallMetrics:
    """How many Predict calls came to which status, and how long they took. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._statuses: Counter[str] = Counter()
        self._within = [0] * len(_BUCKETS_MICROSECONDS)
        self._microseconds = 0.0

    def observe(self, status: str, seconds: float) -> None:
        with self._lock:
            self._statuses[status] += 1
            self._microseconds += seconds * 1e6
            for index, bound in enumerate(_BUCKETS_MICROSECONDS):
                self._within[index] += seconds * 1e6 <= bound

    def as_text(self) -> str:
        """What Prometheus reads."""
        with self._lock:
            count = sum(self._statuses.values())
            lines = ["# TYPE :tensorflow:serving:request_count counter"]
            lines += [
                f':tensorflow:serving:request_count{{status="{status}"}} {number}' for status, number in self._statuses.items()
            ]
            lines += ["# TYPE :tensorflow:serving:request_latency histogram"]
            for bound, number in zip((*_BUCKETS_MICROSECONDS, "+Inf"), (*self._within, count), strict=True):
                lines.append(f':tensorflow:serving:request_latency_bucket{{le="{bound}"}} {number}')
            lines += [f":tensorflow:serving:request_latency_sum {self._microseconds}"]
            lines += [f":tensorflow:serving:request_latency_count {count}", ""]
        return "\n".join(lines)


class CallObserver(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Counts and times each Predict call."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._metrics = metrics

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: grpc.HandlerCallDetails) -> Any:
        """gRPC asks here for the method of a call."""
        handler = continuation(handler_call_details)
        if handler_call_details.method != _PREDICT:
            return handler
        return grpc.unary_unary_rpc_method_handler(self._observed(handler.unary_unary))

    def _observed(self, answer: Callable[[bytes, grpc.ServicerContext], bytes]) -> Callable[..., bytes]:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            start = time.perf_counter()
            status = "OK"
            try:
                return answer(request, context)
            except BaseException:
                status = (context.code() or StatusCode.UNKNOWN).name  # type: ignore[attr-defined]  # not in the stubs
                raise
            finally:
                self._metrics.observe(status, time.perf_counter() - start)

        return call


@dataclass(frozen=True)
class HttpPort:
    """What the HTTP port answers with."""

    library: Library
    metrics: CallMetrics
    metrics_path: str | None

    def answer(self, path: str) -> tuple[int, str, str]:
        """HTTP status, content type and body for a GET of `path`."""
        if self.metrics_path and path == self.metrics_path:
            return 200, "text/plain; version=0.0.4", self.metrics.as_text()
        if found := re.fullmatch(r"/v1/models/([^/:]+)", path):
            return self._status(found[1])
        return 404, "application/json", json.dumps({"error": f"Malformed request: GET {path}"})

    def _status(self, model: str) -> tuple[int, str, str]:
        rows = self.library.status(model)
        if not rows:
            return 404, "application/json", json.dumps({"error": f"Could not find any versions of model {model}"})
        versions = [
            {
                "version": str(row.number),
                "state": row.state.name,
                "status": {"error_code": _code_name(row.code), "error_message": row.message},
            }
            for row in rows
        ]
        return 200, "application/json", json.dumps({"model_version_status": versions})


def serve_http(host: str, port: int, answers: HttpPort) -> ThreadingHTTPServer:
    """The HTTP server, answering in threads of its own.

    Raises:
        Refused: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answers.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Scrapes and probes are no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise Refused(StatusCode.UNAVAILABLE, f"cannot listen on {host}:{port}: {error.strerror}") from error
    Thread(target=server.serve_forever, name="http", daemon=True).start()
    log.info("metrics and status over HTTP on %s:%d", host, server.server_port)
    return server


def _code_name(code: int) -> str:
    return next((status.name for status in StatusCode if status.value[0] == code), "UNKNOWN")
