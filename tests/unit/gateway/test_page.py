"""The pages for people, as files: what a browser is served. How they behave is in tests/web."""

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.api.page import load_languages

WEB = Path(__file__).parents[3] / "gateway" / "web"
MOST_BYTES = 60_000


def assets_of(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/web/[^"]+)"', html)


def test_the_page_is_one_html_one_style_sheet_and_one_script(client: FlaskClient) -> None:
    html = client.get("/", headers={"Accept": "text/html"})

    style, script = assets_of(html.text)
    assert html.content_type == "text/html; charset=utf-8"
    assert client.get(style).content_type == "text/css; charset=utf-8"
    assert client.get(script).content_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("language", load_languages())
def test_the_main_page_is_small(client: FlaskClient, language: str) -> None:
    html = client.get(f"/?lang={language}")

    assert len(html.data) + sum(len(client.get(asset).data) for asset in assets_of(html.text)) <= MOST_BYTES


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for file in WEB.iterdir():
        text = file.read_text() if file.is_file() else ""
        assert set(re.findall(r"https?://[^\s'\"]+", text)) <= {"http://www.w3.org/2000/svg"}, file
        assert not re.search(r"<script>|<style| style=| on[a-z]+=\"|innerHTML|eval\(", text), file


def test_the_policy_allows_nothing_inline(client: FlaskClient) -> None:
    response = client.get("/")

    assert "default-src 'none'; script-src 'self'; style-src 'self';" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in response.headers


def test_what_has_been_fetched_is_kept(client: FlaskClient) -> None:
    html = client.get("/")
    style, _ = assets_of(html.text)

    assert client.get("/", headers={"If-None-Match": html.headers["ETag"]}).status_code == 304
    assert html.headers["Cache-Control"] == "no-cache"
    assert client.get(style).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get(style.partition("?")[0]).headers["Cache-Control"] == "no-cache"


def test_another_asset_is_not_found(client: FlaskClient) -> None:
    for name in ("nothing.js", "page.html", "..%2Fapp.py"):
        response = client.get(f"/web/{name}")
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("header", "query", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("fr, es;q=0.5", "", "es"),
        ("fr", "", "en"),
        ("", "", "en"),
        ("de", "?lang=es", "es"),
        ("de", "?lang=../../x", "de"),
    ],
)
def test_the_language_is_the_browsers_or_the_one_that_was_chosen(
    client: FlaskClient, header: str, query: str, language: str
) -> None:
    response = client.get(f"/{query}", headers={"Accept-Language": header} if header else {})

    assert response.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in response.text
    assert "Accept-Language" in response.headers["Vary"]


def test_every_language_has_every_text_with_the_same_places() -> None:
    english, *others = (load_languages()[code] for code in ("en", "de", "es"))

    assert len(load_languages()) == 3
    for other in others:
        assert shape(other) == shape(english)


def shape(texts: dict[str, Any]) -> dict[str, Any]:
    """The names of the texts, and the places in each."""
    return {
        name: shape(text) if isinstance(text, dict) else sorted(re.findall(r"\{\w+\}", text)) for name, text in texts.items()
    }


def test_every_text_is_used() -> None:
    sources = "".join(file.read_text() for file in WEB.iterdir() if file.suffix in (".js", ".html"))
    for section, texts in load_languages()["en"].items():
        for name in texts if isinstance(texts, dict) else ():
            is_used = f"t.{name}" in sources if not section.endswith("_script") else f'"{name}"' in sources
            assert is_used or name in CODES, f"{section}.{name}"


CODES = (
    "form_not_found",
    "image_too_large",
    "unsupported_image",
    "too_many_characters",
    "forbidden",
    "unauthorized",
    "unknown_model",
    "no_ink",
)
"""Texts that stand for a problem's code."""
