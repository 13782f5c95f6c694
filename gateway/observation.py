"""Each request gets an id, its samples in the metrics, a Server-Timing header and its line in the log."""

import logging
import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, g
from flask.globals import app_ctx, request_ctx
from ulid import ULID

from gateway.errors import ProblemError
from gateway.metrics import Metrics, Stages

log = logging.getLogger("gateway")

STARTED = "gateway.started"
"""The key in a request's environment under which its arrival is found, as monotonic() tells time."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_QUIET_ROUTES = ("/healthz", "/readyz", "/metrics")


def observe(app: Flask, metrics: Metrics, is_draining: Callable[[], bool]) -> None:
    """Puts `id`, `stages` and `log_fields` into g for every request, and tells of it at its end.

    While the gateway drains, each answer is the last on its connection: the client's next request goes to another gateway.

    Flask's `request` and `g` look up the context with each attribute; here, where every request passes, it is looked up once.
    """

    @app.before_request
    def begin() -> None:
        asked, kept = request_ctx.request, app_ctx.g
        kept.id = request_id(asked.environ)
        kept.stages = Stages(asked.environ[STARTED], kept.id)
        kept.log_fields = {}
        metrics.in_flight.inc()
        if asked.routing_exception is None:
            _check_accept(asked)

    @app.after_request
    def end(response: Response) -> Response:
        asked, kept = request_ctx.request, app_ctx.g
        stages: Stages = kept.stages
        route = asked.url_rule.rule if asked.url_rule else "none"
        seconds = stages.stop()
        response.headers["X-Request-ID"] = kept.id
        if "version" in kept.log_fields:
            response.headers["X-Model-Version"] = str(kept.log_fields["version"])
        if is_draining():
            response.headers["Connection"] = "close"
        if stages.afterwards is not None:
            response.call_on_close(stages.afterwards)
        metrics.requests_of(route, asked.method, str(response.status_code)).inc()
        metrics.request_seconds_of(route).observe(seconds)
        if stages.are_several:
            response.headers.add("Server-Timing", stages.as_header())
            for stage, spent in stages.seconds.items():
                metrics.stage_seconds_of(stage).observe(spent)
        if route not in _QUIET_ROUTES or response.status_code == 500:  # probes come every few seconds, and metrics tell of them
            _log_request(route, asked.method, response.status_code, seconds, kept)
        return response

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        if "stages" in g:
            metrics.in_flight.dec()


def request_id(environment: dict[str, Any]) -> str:
    """The client's own X-Request-ID if it is a sane one, else a new ULID."""
    asked = environment.get("HTTP_X_REQUEST_ID", "")
    return asked if _SANE_ID.fullmatch(asked) else str(ULID())


def _check_accept(asked: Request) -> None:
    accepted = asked.headers.get("Accept", "*/*")
    if accepted == "*/*" or asked.path == "/metrics" or asked.blueprint in ("page", "docs"):
        return
    if not asked.accept_mimetypes.best_match(["application/json", "application/problem+json"]):
        raise ProblemError(406, "not_acceptable", f"Accept is {accepted[:80]!r}; this path answers application/json.")


def _log_request(route: str, method: str, status: int, seconds: float, kept: Any) -> None:
    fields = {
        "id": kept.id,
        "route": route,
        "method": method,
        "status": status,
        "seconds": round(seconds, 6),
        "stages": {stage: round(spent, 6) for stage, spent in kept.stages.seconds.items()},
        **kept.log_fields,
    }
    log.log(logging.WARNING if status >= 500 else logging.INFO, "request", extra={"fields": fields})
