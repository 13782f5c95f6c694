"""GET /v1/models and /v1/models/{name}."""

from typing import Any

from flask import Blueprint, Response, request

from gateway.api.requests import deadline_of
from gateway.api.responses import json_response
from gateway.catalogue import Catalogue, ModelInfo
from gateway.reader import patterns_of
from gateway.settings import Settings
from tfserving.errors import UnknownModel


def blueprint(catalogue: Catalogue, settings: Settings) -> Blueprint:
    """The routes that tell which models there are."""
    routes = Blueprint("models", __name__)

    @routes.get("/v1/models")
    def models() -> Response:
        deadline = deadline_of(request, settings)
        found = []
        for name in catalogue.model_names:
            try:
                found.append(_model_json(catalogue.describe(name, deadline), settings))
            except UnknownModel:
                continue  # configured, but nothing of it is published yet
        return json_response({"models": found, "feedback": bool(settings.feedback_dir)})

    @routes.get("/v1/models/<name>")
    def model(name: str) -> Response:
        return json_response(_model_json(catalogue.describe(name, deadline_of(request, settings)), settings))

    return routes


def _model_json(model: ModelInfo, settings: Settings) -> dict[str, Any]:
    return {
        "name": model.name,
        "is_default": model.name == settings.default_model,
        "classes": model.classes,
        "input_shape": model.input_shape,
        "versions": [
            {
                "version": version.status.version,
                "state": version.status.state,
                "labels": version.labels,
                "accuracy": _accuracy(version.card),
                **({"patterns": patterns} if (patterns := patterns_of(version.card)) else {}),
                **({"error": version.status.error_message} if version.status.error_message else {}),
            }
            for version in model.versions
        ],
    }


def _accuracy(card: dict[str, Any]) -> float | None:
    metrics = card.get("metrics")
    accuracy = metrics.get("accuracy") if isinstance(metrics, dict) else None
    return accuracy if isinstance(accuracy, float) else None
