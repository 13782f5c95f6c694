"""GET /healthz, /readyz and /metrics."""

from collections.abc import Callable

from flask import Blueprint, Response, request
from prometheus_client.exposition import choose_encoder

from gateway.api.responses import json_response
from gateway.api.schemas import Health, Readiness, ReadyModel
from gateway.catalogue import Catalogue
from gateway.errors import ProblemError
from gateway.metrics import Metrics
from gateway.settings import Settings
from tfserving.errors import ServingError


def blueprint(catalogue: Catalogue, settings: Settings, metrics: Metrics, is_draining: Callable[[], bool]) -> Blueprint:
    """The routes for operators."""
    routes = Blueprint("operations", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return json_response(Health("ok"))

    @routes.get("/readyz")
    def readyz() -> Response:
        versions = ready_versions(catalogue, settings.default_model, is_draining)
        return json_response(Readiness("ready", ReadyModel(settings.default_model, versions)))

    if not settings.metrics_port:

        @routes.get("/metrics")
        def scrape() -> Response:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            return Response(encode(metrics.registry), content_type=content_type)

    return routes


def ready_versions(catalogue: Catalogue, model: str, is_draining: Callable[[], bool]) -> list[int]:
    """The versions of the default model that can answer, newest first.

    Raises:
        ProblemError: 503 `draining` or `model_unavailable`: no request should come here now.
    """
    if is_draining():
        raise ProblemError(503, "draining", "The gateway is shutting down; it takes no new work.")
    try:
        available = catalogue.availability(model)
    except ServingError as error:
        raise ProblemError(503, "model_unavailable", f"Model {model} cannot answer yet: {error}.") from error
    if not available:
        raise ProblemError(503, "model_unavailable", f"Model {model} has no version that is loaded yet.")
    return [status.version for status in available]
