"""Answers as JSON."""

from typing import Any

import orjson
from flask import Response, g

from gateway.errors import Problem, to_problem
from gateway.recognizer import Answer, Recognition


def json_response(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, mimetype="application/json")


def problem_response(problem: Problem) -> Response:
    """RFC 9457: application/problem+json, with the request's id."""
    body = orjson.dumps({**problem.as_json(), "id": g.id})
    response = Response(body, problem.status, mimetype="application/problem+json")
    response.headers.extend(problem.headers)
    return response


def model_json(answer: Answer) -> dict[str, Any]:
    return {"name": answer.model, "version": answer.version}


def result_json(result: Recognition | Exception) -> dict[str, Any]:
    """A recognition, or what kept the image from being recognised."""
    if isinstance(result, Recognition):
        return {
            "prediction": result.prediction,
            "confidence": result.confidence,
            "probabilities": result.probabilities,
            "rejected": result.rejected,
        }
    return {"error": to_problem(result).as_json()}
