"""GET / and the other pages for people: nothing is built beforehand, and nothing comes from elsewhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Blueprint, Response, request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.errors import ProblemError

_FOLDER = Path(__file__).parents[1] / "web"
_DEFAULT_LANGUAGE = "en"
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8'"
    " fill='%232a4b9b'/%3E%3Cpath d='M10 10h12c-5 4-7 8-8 14' fill='none' stroke='white' stroke-width='3.5'"
    " stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E"
)


@dataclass(frozen=True)
class Asset:
    """A style sheet or a script: one request, made of several files where pages share some."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    @property
    def url(self) -> str:
        """Changes with the content, so that what has been fetched can be kept for ever."""
        return f"/web/{self.name}?v={self.digest}"


@dataclass(frozen=True)
class _Page:
    """A page: its template, the names of its texts, and its assets."""

    template: str
    texts: str
    style: Asset
    script: Asset


def blueprint() -> Blueprint:
    """The routes that people open in a browser."""
    routes = Blueprint("page", __name__)
    languages = load_languages()
    pages = {
        "/": _Page("page.html", "page", _asset("page.css", "look.css"), _asset("page.js", "ask.js", "ink.js")),
        "/forms": _Page("forms.html", "forms", _asset("forms.css", "look.css"), _asset("forms.js", "ask.js")),
    }
    assets = {asset.name: asset for page in pages.values() for asset in (page.style, page.script)}
    rendered = {(path, code): _render(page, code, languages) for path, page in pages.items() for code in languages}

    def show() -> Response:
        asked = request.args.get("lang", "")
        chosen = asked if asked in languages else request.accept_languages.best_match(languages, _DEFAULT_LANGUAGE)
        response = _answer(rendered[request.path, chosen], "text/html")
        response.headers["Content-Language"] = chosen
        response.vary.add("Accept-Language")
        return response

    for path in pages:
        routes.add_url_rule(path, endpoint=pages[path].texts, view_func=show)

    @routes.get("/web/<name>")
    def asset(name: str) -> Response:
        found = assets.get(name)
        if found is None:
            raise ProblemError(404, "not_found", f"There is no {name[:80]!r} here; there are {', '.join(assets)}.")
        response = _answer(found.content, _TYPES[Path(name).suffix])
        if request.args.get("v") == found.digest:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    return routes


def load_languages() -> dict[str, dict[str, Any]]:
    """The texts of each language by its code: one JSON file each, and one more is one more language."""
    files = sorted((_FOLDER / "languages").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def _asset(own: str, *shared: str) -> Asset:
    """What pages share first, and then a page's own."""
    return Asset(own, b"\n".join((_FOLDER / name).read_bytes() for name in (*shared, own)))


def _render(page: _Page, language: str, languages: Mapping[str, Mapping[str, Any]]) -> bytes:
    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    texts = languages[language]
    html = environment.get_template(page.template).render(
        language=language,
        languages={code: other["name"] for code, other in languages.items()},
        t=SimpleNamespace(**texts[page.texts]),
        script_texts={**texts["shared_script"], **texts[f"{page.texts}_script"]},
        style=page.style.url,
        script=page.script.url,
        icon=_ICON,
    )
    return html.encode()


def _answer(content: bytes, mimetype: str) -> Response:
    """The content, or 304 to who has it already."""
    response = Response(content, mimetype=mimetype)
    response.set_etag(hashlib.sha256(content).hexdigest()[:16])
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response
