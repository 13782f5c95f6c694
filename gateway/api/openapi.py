"""The API as an OpenAPI 3.1 document, made of the operations in description.py and the types in schemas.py."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.api.description import ALWAYS, OPERATIONS, PROBLEMS, Operation
from gateway.api.product import installed_version
from gateway.api.requests import IMAGE_TYPES
from gateway.api.schemas import SHARED, Problem
from gateway.errors import PROBLEM_TYPE, TITLES
from gateway.settings import Settings

_FILE = {"type": "string", "format": "binary", "description": "an image file"}
_WITH_TIMEOUT = "deadline_exceeded"


def document(paths: Iterable[tuple[str, str]], settings: Settings) -> dict[str, Any]:
    """The description of these methods and paths, those of OPERATIONS that the gateway has."""
    known = set(paths)
    described = {path: operation for path, operation in OPERATIONS.items() if path in known}
    types = [kind for operation in described.values() for kind in _types(operation)]
    _, components = msgspec.json.schema_components([*SHARED, *types], ref_template="#/components/schemas/{name}")
    told: dict[str, dict[str, Any]] = {}
    for (method, path), operation in described.items():
        told.setdefault(path, {})[method.lower()] = _operation(operation, components, settings)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Handwritten Character Recognition",
            "version": installed_version(),
            "description": "Recognises handwritten characters and reads fields of them.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": told,
        "components": {"schemas": components},
    }


def _types(operation: Operation) -> list[type[Struct]]:
    answer = [] if isinstance(operation.answer, tuple) else [operation.answer]
    return [kind for kind in (operation.body, operation.options, operation.query, *answer) if kind is not None]


def _operation(operation: Operation, components: dict[str, Any], settings: Settings) -> dict[str, Any]:
    told: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "parameters": _parameters(operation, components, settings),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": _body(operation, components)}
    return told


def _parameters(operation: Operation, components: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "description": schema["description"], "schema": schema}
        for name, schema in ((name, msgspec.json.schema(kind)) for name, kind in operation.path_parameters.items())
    ]
    in_query = operation.query or operation.options
    options = components[in_query.__name__]["properties"] if in_query else {}
    query = [
        {"name": name, "in": "query", "description": schema.get("description", ""), "schema": schema}
        for name, schema in options.items()
    ]
    header = {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "The request's whole time, in seconds.",
        "schema": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": settings.max_request_timeout_seconds,
            "default": settings.request_timeout_seconds,
        },
    }
    return [*path, *query, *([header] if _WITH_TIMEOUT in operation.problems else [])]


def _body(operation: Operation, components: dict[str, Any]) -> dict[str, Any]:
    assert operation.body is not None
    content: dict[str, Any] = {"application/json": {"schema": _reference(operation.body)}}
    if operation.takes_image:
        content |= {kind: {"schema": _FILE} for kind in IMAGE_TYPES}
    if operation.file_field and operation.options:
        content["multipart/form-data"] = {"schema": _form(operation, components[operation.options.__name__])}
    return content


def _form(operation: Operation, options: dict[str, Any]) -> dict[str, Any]:
    """The options as fields of a form, with its file or files."""
    files = _FILE if operation.takes_image else {"type": "array", "items": _FILE, "minItems": 1}
    return {
        "type": "object",
        "properties": {**options["properties"], operation.file_field: files},
        "required": [*options["required"], operation.file_field],
        "additionalProperties": False,
    }


def _responses(operation: Operation) -> dict[str, Any]:
    if isinstance(operation.answer, tuple):
        content: dict[str, Any] = {kind: {} for kind in operation.answer}
    else:
        content = {"application/json": {"schema": _reference(operation.answer)}}
        content |= {kind: {} for kind in operation.other_types}
    responses = {operation.status: {"description": operation.summary, "headers": _headers(), "content": content}}
    problems = (*operation.problems, *ALWAYS)
    for status in sorted({PROBLEMS[code][0] for code in problems}):
        codes = [code for code in problems if PROBLEMS[code][0] == status]
        responses[status] = {
            "description": "; ".join(f"`{code}`: {TITLES[code]}" for code in codes),
            "headers": _headers(status),
            "content": {PROBLEM_TYPE: {"schema": _reference(Problem)}},
        }
    return {str(status): response for status, response in responses.items()}


def _headers(status: int = 200) -> dict[str, Any]:
    told: dict[str, Any] = {
        "X-Request-ID": {"required": True, "description": "The request's id.", "schema": {"type": "string", "minLength": 1}}
    }
    if status == 503:
        told["Retry-After"] = {"required": True, "description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
    return told


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
