"""What every answer says to a browser, and to pages from elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Response
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.keys import line_for
from gateway.security import CONTENT_SECURITY_POLICY
from gateway.settings import Settings
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/nothing"), ("GET", "/v1/predict"), ("POST", "/v1/predict")],
)
def test_every_answer_tells_a_browser_to_do_nothing_with_it(client: FlaskClient, method: str, path: str) -> None:
    headers = client.open(path, method=method).headers

    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert headers.getlist("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"]


def test_a_page_may_use_what_comes_from_the_gateway_and_nothing_else(client: FlaskClient) -> None:
    client.application.add_url_rule("/page", view_func=lambda: Response("<p>", mimetype="text/html"))

    headers = client.get("/page").headers

    assert headers.getlist("Content-Security-Policy") == [CONTENT_SECURITY_POLICY]
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Frame-Options"] == "DENY"


def test_an_answer_to_a_bug_has_them_too(client: FlaskClient) -> None:
    def broken() -> Response:
        raise RuntimeError

    client.application.add_url_rule("/broken", view_func=broken)

    response = client.get("/broken")

    assert response.status_code == 500
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture
def asked_by_pages(server: FakeModelServer) -> Iterator[FlaskClient]:
    settings = Settings(cors_origins="https://forms.example, http://localhost:3000")
    with ModelClient(server.address) as model_client:
        yield create_app(settings, model_client).test_client()


@pytest.mark.parametrize("origin", ["https://forms.example", "http://localhost:3000"])
def test_a_page_of_an_allowed_origin_may_ask_and_read_the_answer(asked_by_pages: FlaskClient, png: bytes, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    preflight = asked_by_pages.options("/v1/predict", headers=asked)
    response = asked_by_pages.post("/v1/predict", data=png, content_type="image/png", headers={"Origin": origin})

    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, origin)
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type", "X-API-Key"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    assert all(answer.vary.to_header() == "Origin" for answer in (preflight, response))
    assert all("Access-Control-Allow-Credentials" not in answer.headers for answer in (preflight, response))


@pytest.mark.parametrize(
    "origin", ["https://forms.example.evil", "http://forms.example", "https://forms.example:8443", "null", ""]
)
def test_a_page_of_another_origin_is_told_nothing(asked_by_pages: FlaskClient, origin: str) -> None:
    preflight = asked_by_pages.options("/v1/predict", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    response = asked_by_pages.get("/v1/models", headers={"Origin": origin})

    for answer in (preflight, response):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.vary.to_header() == "Origin"  # a cache must not give this answer to an allowed page


def test_errors_can_be_read_by_the_page_too(asked_by_pages: FlaskClient) -> None:
    response = asked_by_pages.post(
        "/v1/predict", data=b"x", content_type="image/png", headers={"Origin": "https://forms.example"}
    )

    assert response.status_code == 415
    assert response.headers["Access-Control-Allow-Origin"] == "https://forms.example"


def test_only_the_api_is_open_to_pages_elsewhere(asked_by_pages: FlaskClient) -> None:
    response = asked_by_pages.get("/metrics", headers={"Origin": "https://forms.example"})

    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_preflight_needs_no_key(server: FakeModelServer, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line_for("app", ("predict",), "hcr_app"))
    settings = Settings(cors_origins="https://forms.example", keys_file=str(keys))
    asked = {"Origin": "https://forms.example", "Access-Control-Request-Method": "GET"}
    with ModelClient(server.address) as model_client:
        client = create_app(settings, model_client).test_client()

        assert client.options("/v1/models", headers=asked).status_code == 204
        assert client.get("/v1/models", headers={"Origin": "https://forms.example"}).status_code == 401


def test_without_origins_nothing_is_said_of_them(client: FlaskClient) -> None:
    response = client.get("/v1/models", headers={"Origin": "https://forms.example"})

    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Vary" not in response.headers


def test_metrics_with_a_port_of_their_own_are_not_on_the_other(server: FakeModelServer) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(metrics_port=9090), model_client).test_client()

        assert client.get("/metrics").status_code == 404
