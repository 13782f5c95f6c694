"""Each request gets an id, its samples in the metrics, a Server-Timing header and its line in the log."""

import logging
import re
from typing import Any

from flask import Flask, Response, g, request
from ulid import ULID

from gateway.errors import ProblemError
from gateway.metrics import Metrics, Stages

log = logging.getLogger("gateway")

STARTED = "gateway.started"
"""The key in a request's environment under which its arrival is found, as monotonic() tells time."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_QUIET_ROUTES = ("/healthz", "/readyz", "/metrics")


def observe(app: Flask, metrics: Metrics) -> None:
    """Puts `id`, `stages` and `log_fields` into g for every request, and tells of it at its end."""

    @app.before_request
    def begin() -> None:
        g.id = request_id(request.environ)
        g.stages = Stages(request.environ[STARTED])
        g.log_fields = {}
        metrics.in_flight.inc()
        if request.routing_exception is None:
            _check_accept()

    @app.after_request
    def end(response: Response) -> Response:
        stages: Stages = g.stages
        route = request.url_rule.rule if request.url_rule else "none"
        seconds = stages.stop()
        response.headers["X-Request-ID"] = g.id
        metrics.requests_of(route, request.method, str(response.status_code)).inc()
        metrics.request_seconds_of(route).observe(seconds)
        if stages.are_several:
            response.headers.add("Server-Timing", stages.as_header())
            for stage, spent in stages.seconds.items():
                metrics.stage_seconds_of(stage).observe(spent)
        _log_request(route, response.status_code, stages, seconds)
        return response

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        if "stages" in g:
            metrics.in_flight.dec()


def request_id(environment: dict[str, Any]) -> str:
    """The client's own X-Request-ID if it is a sane one, else a new ULID."""
    asked = environment.get("HTTP_X_REQUEST_ID", "")
    return asked if _SANE_ID.fullmatch(asked) else str(ULID())


def _check_accept() -> None:
    accepted = request.headers.get("Accept", "*/*")
    if accepted == "*/*" or request.path == "/metrics":
        return
    if not request.accept_mimetypes.best_match(["application/json", "application/problem+json"]):
        raise ProblemError(406, "not_acceptable", f"Accept is {accepted[:80]!r}; this path answers application/json.")


def _log_request(route: str, status: int, stages: Stages, seconds: float) -> None:
    if route in _QUIET_ROUTES and status != 500:
        return  # probes come every few seconds, and what they say is in the metrics
    fields = {
        "id": g.id,
        "route": route,
        "method": request.method,
        "status": status,
        "seconds": round(seconds, 6),
        "stages": {stage: round(spent, 6) for stage, spent in stages.seconds.items()},
        **g.log_fields,
    }
    log.log(logging.WARNING if status >= 500 else logging.INFO, "request", extra={"fields": fields})
