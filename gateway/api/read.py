"""POST /v1/read."""

from typing import Any

from flask import Blueprint, Response, g, request

from gateway.api.requests import deadline_of, one_field
from gateway.api.responses import json_response, result_json
from gateway.reader import FieldAnswer, Reader, TextLine
from gateway.settings import Settings


def blueprint(reader: Reader, settings: Settings) -> Blueprint:
    """The route that reads lines and fields."""
    routes = Blueprint("read", __name__)

    @routes.post("/v1/read")
    def read() -> Response:
        deadline = deadline_of(request, settings)
        with g.stages.measure("decode"):
            asked = one_field(request, settings)
        answer = reader.read(asked.file, asked.options, deadline, g.stages)
        g.log_fields["model"] = answer.model
        g.log_fields["version"] = answer.version
        g.log_fields["characters"] = sum(len(line.characters) for line in answer.lines)
        with g.stages.measure("respond"):
            return json_response({"id": g.id, **_as_json(answer)})

    return routes


def _as_json(answer: FieldAnswer) -> dict[str, Any]:
    told = {
        "model": {"name": answer.model, "version": answer.version},
        "text": answer.text,
        "confidence": round(answer.confidence, 6),
        "lines": [_line_json(line) for line in answer.lines],
        "candidates": [{"text": item.text, "probability": round(item.probability, 6)} for item in answer.candidates],
    }
    return told if answer.satisfies is None else {**told, "satisfies": answer.satisfies}


def _line_json(line: TextLine) -> dict[str, Any]:
    return {
        "text": line.text,
        "confidence": round(line.confidence, 6),
        "box": line.box,
        "characters": [{**result_json(item.recognition), "box": item.box} for item in line.characters],
    }
