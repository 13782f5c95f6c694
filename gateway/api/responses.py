"""Answers as JSON."""

import msgspec
from flask import Response, g, request
from msgspec import UNSET, Struct

from gateway.api import schemas
from gateway.errors import PROBLEM_TYPE, Problem, to_problem
from gateway.recognizer import Answer, Recognition

_encoder = msgspec.json.Encoder()


def json_response(value: Struct, status: int = 200) -> Response:
    return Response(_encoder.encode(value), status, mimetype="application/json")


def problem_response(problem: Problem) -> Response:
    """RFC 9457: application/problem+json, with the request's id."""
    body = schemas.Problem(**problem.as_json(), id=g.id, error=problem.detail if request.path.startswith("/v2") else UNSET)
    response = Response(_encoder.encode(body), problem.status, mimetype=PROBLEM_TYPE)
    response.headers.extend(problem.headers)
    return response


def model_of(answer: Answer) -> schemas.ModelVersion:
    return schemas.ModelVersion(answer.model, answer.version)


def result_of(result: Recognition | Exception) -> schemas.Character | schemas.BatchError:
    """A recognition, or what kept the image from being recognised."""
    if isinstance(result, Recognition):
        return schemas.Character(**vars(result))
    return schemas.BatchError(schemas.Problem(**to_problem(result).as_json()))
