"""POST /v1/feedback."""

from flask import Blueprint, Response, g, request

from gateway.api.requests import deadline_of, one_feedback
from gateway.api.responses import json_response
from gateway.api.schemas import FeedbackReceipt, ModelVersion
from gateway.feedback import Collector
from gateway.settings import Settings


def blueprint(collector: Collector, settings: Settings) -> Blueprint:
    """The route that takes images with the labels that they should have had."""
    routes = Blueprint("feedback", __name__)

    @routes.post("/v1/feedback")
    def feedback() -> Response:
        deadline = deadline_of(request, settings)
        asked = one_feedback(request, settings)
        version = collector.take(asked, g.id, deadline)
        g.log_fields.update(model=asked.model, version=version, label=asked.label)
        return json_response(FeedbackReceipt(id=g.id, model=ModelVersion(asked.model, version), label=asked.label), 202)

    return routes
