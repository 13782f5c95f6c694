"""POST /v1/read."""

from flask import Blueprint, Response, g, request
from msgspec import UNSET

from gateway.api import schemas
from gateway.api.requests import deadline_of, one_field
from gateway.api.responses import json_response
from gateway.reader import FieldAnswer, Reader, TextLine
from gateway.settings import Settings


def blueprint(reader: Reader, settings: Settings) -> Blueprint:
    """The route that reads lines and fields."""
    routes = Blueprint("read", __name__)

    @routes.post("/v1/read")
    def read() -> Response:
        deadline = deadline_of(request, settings)
        asked = one_field(request, settings)
        answer = reader.read(asked.file, asked.options, deadline, g.stages)
        g.log_fields["model"] = answer.model
        g.log_fields["version"] = answer.version
        g.log_fields["characters"] = sum(len(line.characters) for line in answer.lines)
        return json_response(_told(answer, g.id))

    return routes


def _told(answer: FieldAnswer, request_id: str) -> schemas.FieldReading:
    return schemas.FieldReading(
        id=request_id,
        model=schemas.ModelVersion(answer.model, answer.version),
        text=answer.text,
        confidence=round(answer.confidence, 6),
        lines=[_told_line(line) for line in answer.lines],
        candidates=[schemas.Candidate(item.text, round(item.probability, 6)) for item in answer.candidates],
        satisfies=UNSET if answer.satisfies is None else answer.satisfies,
    )


def _told_line(line: TextLine) -> schemas.Line:
    characters = [schemas.FieldCharacter(**vars(item.recognition), box=item.box) for item in line.characters]
    return schemas.Line(line.text, round(line.confidence, 6), line.box, characters)
