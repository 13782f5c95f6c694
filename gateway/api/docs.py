"""GET /openapi.json and /docs: the API's description, for programs and for people."""

from functools import cached_property
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, render_template

from gateway.api.description import OPERATIONS, PROBLEMS
from gateway.api.openapi import document
from gateway.errors import TITLES
from gateway.settings import Settings


def blueprint(app: Flask, settings: Settings) -> Blueprint:
    """The routes that describe the API that `app` has."""
    routes = Blueprint("docs", __name__, template_folder="docs_page", static_folder="docs_page", static_url_path="/docs/assets")
    told = _Description(app, settings)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return Response(told.as_json, mimetype="application/json")

    @routes.get("/docs")
    def page() -> Response:
        return Response(told.as_page, mimetype="text/html")

    return routes


class _Description:
    """The description, made when it is first asked for: all routes are there by then, and a start need not wait for it."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    @cached_property
    def _document(self) -> dict[str, Any]:
        rules = self._app.url_map.iter_rules()
        return document(((method, path_of(rule.rule)) for rule in rules for method in rule.methods or ()), self._settings)

    @cached_property
    def as_json(self) -> bytes:
        return msgspec.json.encode(self._document)

    @cached_property
    def as_page(self) -> str:
        operations = [
            (method, path, OPERATIONS[method.upper(), path], told)
            for path, methods in self._document["paths"].items()
            for method, told in methods.items()
        ]
        problems = [(code, TITLES[code], *PROBLEMS[code]) for code in TITLES]
        return render_template("docs.html", info=self._document["info"], operations=operations, problems=problems)


def path_of(rule: str) -> str:
    """Flask's rule as OpenAPI writes paths."""
    return rule.replace("<", "{").replace(">", "}")
