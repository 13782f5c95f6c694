"""What every answer says to a browser."""

import pytest
from flask import Response
from flask.testing import FlaskClient

from gateway.security import CONTENT_SECURITY_POLICY


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
