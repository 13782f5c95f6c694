"""POST /v1/forms:read."""

from flask import Blueprint, Response, g, request
from msgspec import UNSET

from gateway.api import schemas
from gateway.api.requests import deadline_of, one_form
from gateway.api.responses import json_response
from gateway.forms import FilledField, FormReader
from gateway.settings import Settings


def blueprint(reader: FormReader, settings: Settings) -> Blueprint:
    """The route that reads forms."""
    routes = Blueprint("forms", __name__)

    @routes.post("/v1/forms:read")
    def read_form() -> Response:
        deadline = deadline_of(request, settings)
        file, layout = one_form(request, settings)
        fields = reader.read(file, layout, deadline, g.stages)
        g.log_fields["fields"] = len(fields)
        return json_response(schemas.FormReading(id=g.id, fields=[_told(field) for field in fields]))

    return routes


def _told(field: FilledField) -> schemas.FilledField:
    answer = field.answer
    if answer is None:
        return schemas.FilledField(name=field.name, text="", blank=True, corners=list(field.corners))
    return schemas.FilledField(
        name=field.name,
        text=answer.text,
        blank=False,
        corners=list(field.corners),
        model=schemas.ModelVersion(answer.model, answer.version),
        confidence=round(answer.confidence, 6),
        rejected=any(item.recognition.rejected for line in answer.lines for item in line.characters),
        satisfies=UNSET if answer.satisfies is None else answer.satisfies,
        candidates=[schemas.Candidate(item.text, round(item.probability, 6)) for item in answer.candidates],
    )
