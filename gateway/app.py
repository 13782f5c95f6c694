"""The composition root: settings and a model client → a Flask application."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from flask import Flask, Response, g, request
from ulid import ULID

from gateway.api import feedback, models, operations, predict, read
from gateway.api.responses import problem_response
from gateway.budget import PixelBudget
from gateway.catalogue import Catalogue
from gateway.errors import ProblemError, to_problem
from gateway.feedback import Collector, FeedbackStore
from gateway.metrics import Metrics, Stages
from gateway.reader import Reader
from gateway.recognizer import Recognizer
from gateway.security import with_security_headers
from gateway.settings import Settings
from tfserving.client import ModelClient

log = logging.getLogger("gateway")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_QUIET_ROUTES = ("/healthz", "/readyz", "/metrics")


def create_app(
    settings: Settings, model_client: ModelClient | None = None, is_draining: Callable[[], bool] = lambda: False
) -> Flask:
    """The gateway as a WSGI application; without `model_client` it makes its own, so call this in the worker process."""
    app = Flask("gateway", static_folder=None)
    metrics = Metrics()
    client = model_client or ModelClient(settings.model_server)
    config = Path(settings.models_config) if settings.models_config else None
    catalogue = Catalogue(client, settings.model_names, metrics, config)
    budget = PixelBudget(settings.decoding_pixels)
    app.register_blueprint(predict.blueprint(Recognizer(catalogue, budget, metrics), settings))
    app.register_blueprint(read.blueprint(Reader(catalogue, budget, metrics), settings))
    app.register_blueprint(models.blueprint(catalogue, settings))
    app.register_blueprint(operations.blueprint(catalogue, settings, metrics, is_draining))
    if settings.feedback_dir:
        store = FeedbackStore(Path(settings.feedback_dir), settings.feedback_max_bytes)
        app.register_blueprint(feedback.blueprint(Collector(catalogue, budget, store), settings))
    app.extensions["metrics"] = metrics
    _observe(app, metrics)
    app.register_error_handler(Exception, _answer_error)
    app.wsgi_app = with_security_headers(app.wsgi_app)  # type: ignore[assignment, method-assign]  # as Flask's documentation advises
    return app


def _observe(app: Flask, metrics: Metrics) -> None:
    """Gives each request its id, its samples and its log line."""

    @app.before_request
    def begin() -> None:
        asked = request.headers.get("X-Request-ID", "")
        g.id = asked if _SANE_ID.fullmatch(asked) else str(ULID())
        g.start = perf_counter()
        g.stages = Stages()
        g.log_fields = {}
        metrics.in_flight.inc()
        if request.routing_exception is None:
            _check_accept()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.id
        seconds = perf_counter() - g.start
        route = request.url_rule.rule if request.url_rule else "none"
        metrics.requests.labels(route, request.method, str(response.status_code)).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        for stage, spent in g.stages.seconds.items():
            metrics.stage_seconds.labels(stage).observe(spent)
        _log_request(route, response.status_code, seconds)
        return response

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        if "start" in g:
            metrics.in_flight.dec()


def _check_accept() -> None:
    accepted = request.headers.get("Accept", "*/*")
    if accepted == "*/*" or request.path == "/metrics":
        return
    if not request.accept_mimetypes.best_match(["application/json", "application/problem+json"]):
        raise ProblemError(406, "not_acceptable", f"Accept is {accepted[:80]!r}; this path answers application/json.")


def _answer_error(error: Exception) -> Response:
    problem = to_problem(error)
    if problem.status == 500:
        log.error("request failed", exc_info=error, extra={"fields": {"id": g.id}})
    g.log_fields["error"] = problem.code
    return problem_response(problem)


def _log_request(route: str, status: int, seconds: float) -> None:
    if route in _QUIET_ROUTES and status != 500:
        return  # probes come every few seconds, and what they say is in the metrics
    fields = {
        "id": g.id,
        "route": route,
        "method": request.method,
        "status": status,
        "seconds": round(seconds, 6),
        "stages": {stage: round(spent, 6) for stage, spent in g.stages.seconds.items()},
        **g.log_fields,
    }
    log.log(logging.WARNING if status >= 500 else logging.INFO, "request", extra={"fields": fields})
