"""The API as an OpenAPI 3.1 document, made of the operations in description.py and the types in schemas.py."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.api.description import ALWAYS, OF_KEYS, OF_LIMITS, OPERATIONS, PROBLEMS, Operation
from gateway.api.product import installed_version
from gateway.api.requests import IMAGE_TYPES
from gateway.api.schemas import SHARED, Problem
from gateway.errors import PROBLEM_TYPE, TITLES
from gateway.security import is_limited, scope_of
from gateway.settings import Settings

_FILE = {"type": "string", "format": "binary", "description": "an image file"}
_WITH_TIMEOUT = "deadline_exceeded"
_SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key of the gateway; its scopes are predict, feedback, operate.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, in a header of its own."},
}


def _header(text: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "description": text, "schema": schema}


_EVERY_ANSWER = {"X-Request-ID": _header("The request's id.", {"type": "string", "minLength": 1})}
_OF_LIMITS = {  # not where the storage of the limits has just gone
    "RateLimit": _header("What is left of each limit, and for how many seconds.", {"type": "string"}, required=False),
    "RateLimit-Policy": _header("The limits.", {"type": "string"}, required=False),
}
_RETRY_AFTER = {"Retry-After": _header("Seconds.", {"type": "integer", "minimum": 0})}
_WWW_AUTHENTICATE = {
    "WWW-Authenticate": _header("How to send a key, and what was wrong with the one that came.", {"type": "string"})
}
_OF_STATUS = {401: _WWW_AUTHENTICATE, 403: _WWW_AUTHENTICATE, 429: _RETRY_AFTER, 503: _RETRY_AFTER}


def document(paths: Iterable[tuple[str, str]], settings: Settings) -> dict[str, Any]:
    """The description of these methods and paths, those of OPERATIONS that the gateway has.

    It tells of this gateway: of keys where it asks for them, and of limits where it has some.
    """
    known = set(paths)
    described = {path: operation for path, operation in OPERATIONS.items() if path in known}
    types = [kind for operation in described.values() for kind in _types(operation)]
    _, components = msgspec.json.schema_components([*SHARED, *types], ref_template="#/components/schemas/{name}")
    told: dict[str, dict[str, Any]] = {}
    for (method, path), operation in described.items():
        told.setdefault(path, {})[method.lower()] = _operation(path, operation, components, settings)
    security_schemes = {"securitySchemes": _SECURITY_SCHEMES} if settings.keys_file else {}
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
        "components": {"schemas": components, **security_schemes},
    }


def _types(operation: Operation) -> list[type[Struct]]:
    answer = [] if isinstance(operation.answer, tuple) else [operation.answer]
    return [kind for kind in (operation.body, operation.options, operation.query, *answer) if kind is not None]


def _operation(path: str, operation: Operation, components: dict[str, Any], settings: Settings) -> dict[str, Any]:
    scope = scope_of(path) if settings.keys_file else None
    is_counted = bool(settings.rate_limit) and is_limited(path)
    told: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "parameters": _parameters(operation, components, settings),
        "responses": _responses(operation, is_closed=scope is not None, is_counted=is_counted),
    }
    if scope is not None:
        told["security"] = [{name: [scope]} for name in _SECURITY_SCHEMES]
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


def _responses(operation: Operation, *, is_closed: bool, is_counted: bool) -> dict[str, Any]:
    """The operation's answers; `is_closed` to whom has no key, `is_counted` against a limit."""
    if isinstance(operation.answer, tuple):
        content: dict[str, Any] = {kind: {} for kind in operation.answer}
    else:
        content = {"application/json": {"schema": _reference(operation.answer)}}
        content |= {kind: {} for kind in operation.other_types}
    headers = {**_EVERY_ANSWER, **(_OF_LIMITS if is_counted else {})}
    responses = {operation.status: {"description": operation.summary, "headers": headers, "content": content}}
    problems = (*operation.problems, *ALWAYS, *(OF_KEYS if is_closed else ()), *(OF_LIMITS if is_counted else ()))
    for status in sorted({PROBLEMS[code][0] for code in problems}):
        codes = [code for code in problems if PROBLEMS[code][0] == status]
        responses[status] = {
            "description": "; ".join(f"`{code}`: {TITLES[code]}" for code in codes),
            "headers": {**headers, **_OF_STATUS.get(status, {})},
            "content": {PROBLEM_TYPE: {"schema": _reference(Problem)}},
        }
    return {str(status): response for status, response in responses.items()}


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
