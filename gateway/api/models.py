"""GET /v1/models and /v1/models/{name}."""

from typing import Any

from flask import Blueprint, Response, request
from msgspec import UNSET

from gateway.api.requests import deadline_of
from gateway.api.responses import json_response
from gateway.api.schemas import ModelDescription, ModelList, VersionDescription
from gateway.catalogue import Catalogue, ModelInfo, VersionInfo
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
                found.append(_described(catalogue.describe(name, deadline), settings))
            except UnknownModel:
                continue  # configured, but nothing of it is published yet
        return json_response(ModelList(found, bool(settings.feedback_dir)))

    @routes.get("/v1/models/<name>")
    def model(name: str) -> Response:
        return json_response(_described(catalogue.describe(name, deadline_of(request, settings)), settings))

    return routes


def _described(model: ModelInfo, settings: Settings) -> ModelDescription:
    return ModelDescription(
        model.name,
        model.name == settings.default_model,
        list(model.classes),
        list(model.input_shape),
        [_described_version(version) for version in model.versions],
    )


def _described_version(version: VersionInfo) -> VersionDescription:
    return VersionDescription(
        version=version.status.version,
        state=version.status.state,
        labels=list(version.labels),
        accuracy=_accuracy(version.card),
        patterns=patterns_of(version.card) or UNSET,
        error=version.status.error_message or UNSET,
    )


def _accuracy(card: dict[str, Any]) -> float | None:
    metrics = card.get("metrics")
    accuracy = metrics.get("accuracy") if isinstance(metrics, dict) else None
    return accuracy if isinstance(accuracy, float) else None
