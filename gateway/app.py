"""The composition root: settings and a model client → a Flask application."""

import logging
from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response, g

from gateway.admission import Admission
from gateway.api import docs, feedback, forms, models, operations, page, predict, read, v2
from gateway.api.requests import FORM_BODY_BYTES
from gateway.api.responses import problem_response
from gateway.batching import Batcher
from gateway.bodies import Bodies
from gateway.budget import Baton, PixelBudget
from gateway.catalogue import Catalogue
from gateway.errors import to_problem
from gateway.feedback import Collector, FeedbackStore
from gateway.forms import FormReader
from gateway.metrics import Metrics
from gateway.observation import observe
from gateway.reader import Reader
from gateway.recognizer import Recognizer
from gateway.security import protect, with_security_headers
from gateway.settings import Settings
from gateway.split import Releases, Splits
from tfserving.client import ModelClient

log = logging.getLogger("gateway")

_ALWAYS_ADMITTED = ("/healthz", "/readyz", "/metrics")


def create_app(
    settings: Settings, model_client: ModelClient | None = None, is_draining: Callable[[], bool] = lambda: False
) -> Flask:
    """The gateway as a WSGI application; without `model_client` it makes its own, so call this in the worker process."""
    app = Flask("gateway", static_folder=None)
    metrics = Metrics()
    client = model_client or ModelClient(settings.model_server)
    config = Path(settings.models_config) if settings.models_config else None
    baton = Baton()
    catalogue = Catalogue(client, settings.model_names, baton, metrics, config)
    batcher = Batcher(catalogue, baton, metrics, settings.max_call_images)
    budget = PixelBudget(settings.decoding_pixels)
    app.extensions["splits"] = splits = Splits(settings.release_path)
    app.extensions["releases"] = releases = Releases(splits, catalogue, metrics)
    recognizer = Recognizer(catalogue, releases, batcher, baton, budget, metrics)
    app.register_blueprint(predict.blueprint(recognizer, settings))
    reader = Reader(catalogue, releases, batcher, baton, budget, metrics)
    app.register_blueprint(read.blueprint(reader, settings))
    app.register_blueprint(forms.blueprint(FormReader(reader, baton), settings))
    app.register_blueprint(models.blueprint(catalogue, settings))
    app.register_blueprint(v2.blueprint(recognizer, catalogue, settings, is_draining))
    app.register_blueprint(page.blueprint())
    app.register_blueprint(operations.blueprint(catalogue, settings, metrics, is_draining))
    if settings.feedback_dir:
        store = FeedbackStore(Path(settings.feedback_dir), settings.feedback_max_bytes)
        app.register_blueprint(feedback.blueprint(Collector(catalogue, baton, budget, store), settings))
    app.register_blueprint(docs.blueprint(app, settings))
    app.extensions["metrics"] = metrics
    observe(app, metrics, is_draining)
    app.register_error_handler(Exception, _answer_error)
    protect(app, settings, baton, metrics)
    paths = [rule.rule for rule in app.url_map.iter_rules() if not rule.arguments]
    admission = Admission(app.wsgi_app, baton, metrics, settings.max_requests, _ALWAYS_ADMITTED, paths)
    bodies = Bodies(
        admission, max(FORM_BODY_BYTES, settings.max_request_bytes), settings.receiving_bytes, settings.body_timeout_seconds
    )
    app.extensions["bodies"] = bodies
    app.wsgi_app = with_security_headers(bodies)  # type: ignore[assignment, method-assign]  # as Flask's documentation advises
    return app


def _answer_error(error: Exception) -> Response:
    problem = to_problem(error)
    if problem.status == 500:
        log.error("request failed", exc_info=error, extra={"fields": {"id": g.id}})
    g.log_fields["error"] = problem.code
    return problem_response(problem)
