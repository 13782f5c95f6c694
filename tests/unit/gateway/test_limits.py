"""Rate limits, counted in memory."""

import sys
from pathlib import Path
from subprocess import run

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.keys import line_for
from gateway.settings import Settings, SettingsError
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient

ROOT = Path(__file__).parents[3]


@pytest.fixture
def model_client(server: FakeModelServer) -> ModelClient:
    return ModelClient(server.address)


def limited(model_client: ModelClient, limit: str = "3/day", **settings: str) -> FlaskClient:
    return create_app(Settings(rate_limit=limit, **settings), model_client).test_client()  # type: ignore[arg-type]


def statuses(client: FlaskClient, count: int, **headers: str) -> list[int]:
    return [client.get("/v1/models", headers=headers).status_code for _ in range(count)]


def test_what_is_too_much_is_429_with_the_time_to_wait(model_client: ModelClient) -> None:
    client = limited(model_client)

    assert statuses(client, 3) == [200] * 3
    response = client.get("/v1/models")

    assert (response.status_code, response.get_json()["code"]) == (429, "rate_limited")
    assert response.content_type == "application/problem+json"
    assert "3 per 1 day" in response.get_json()["detail"]
    assert 86_390 <= int(response.headers["Retry-After"]) <= 86_401
    assert response.headers["RateLimit"] == f'"3/86400s";r=0;t={response.headers["Retry-After"]}'


def test_what_is_left_is_told_with_every_answer(model_client: ModelClient) -> None:
    client = limited(model_client, "3/day;100/month")

    answers = [client.get("/v1/models").headers for _ in range(2)]

    assert [headers["RateLimit-Policy"] for headers in answers] == [
        '"3/86400s";q=3;w=86400, "100/2592000s";q=100;w=2592000'
    ] * 2
    assert answers[0]["RateLimit"].startswith('"3/86400s";r=2;t=8')
    assert '"100/2592000s";r=98;t=2' in answers[1]["RateLimit"]
    assert all("Retry-After" not in headers for headers in answers)


def test_one_limit_covers_all_of_the_api(model_client: ModelClient, png: bytes) -> None:
    client = limited(model_client)

    first = [client.post("/v1/predict", data=png, content_type="image/png").status_code for _ in range(2)]

    assert first + statuses(client, 2) == [200, 200, 200, 429]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
def test_what_watches_over_the_gateway_is_not_limited(model_client: ModelClient, path: str) -> None:
    client = limited(model_client, "1/day")

    answers = [client.get(path) for _ in range(3)]

    assert 429 not in [response.status_code for response in answers]
    assert all("RateLimit" not in response.headers for response in answers)


def test_addresses_are_counted_apart(model_client: ModelClient) -> None:
    client = limited(model_client, "1/day")

    answers = [client.get("/v1/models", environ_base={"REMOTE_ADDR": f"198.51.100.{host}"}).status_code for host in (1, 2, 1)]

    assert answers == [200, 200, 429]


def test_behind_a_trusted_proxy_its_clients_are_counted_apart_and_cannot_lie(model_client: ModelClient) -> None:
    client = limited(model_client, "1/day", trusted_proxies="127.0.0.0/8")

    answers = [
        statuses(client, 1, **{"X-Forwarded-For": told})[0]
        for told in ("198.51.100.1", "198.51.100.2", "203.0.113.7, 198.51.100.1")
    ]

    assert answers == [200, 200, 429]


def test_without_trusted_proxies_what_is_forwarded_counts_nothing(model_client: ModelClient) -> None:
    client = limited(model_client, "1/day")

    assert [statuses(client, 1, **{"X-Forwarded-For": f"198.51.100.{host}"})[0] for host in (1, 2)] == [200, 429]


def test_keys_are_counted_apart_and_a_wrong_one_by_its_address(model_client: ModelClient, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("\n".join(line_for(name, ("predict",), f"hcr_{name}") for name in ("one", "two")))
    client = limited(model_client, "2/day", keys_file=str(keys))

    assert statuses(client, 3, **{"X-API-Key": "hcr_one"}) == [200, 200, 429]
    assert statuses(client, 3, **{"X-API-Key": "hcr_two"}) == [200, 200, 429]
    assert statuses(client, 3, **{"X-API-Key": "hcr_guess"}) == [401, 401, 429]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GATEWAY_RATE_LIMIT", "many", "'many'; limits such as 100/second"),
        ("GATEWAY_RATE_LIMIT", "10/fortnight", "limits such as"),
        ("GATEWAY_RATE_LIMIT_STORAGE", "mongodb://user:secret@host", "kind 'mongodb'"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.1/8"),
        ("GATEWAY_CORS_ORIGINS", "*", r"'\*' is no origin"),
        ("GATEWAY_CORS_ORIGINS", "https://a.example/", "is no origin"),
        ("GATEWAY_CORS_ORIGINS", "null", "is no origin"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: .*{told}") as caught:
        Settings.from_environment({name: value})

    assert "secret" not in str(caught.value)


def test_without_a_limit_its_library_is_not_loaded() -> None:
    script = (
        "import gateway.app, gateway.wsgi, gateway.settings, sys\n"
        "gateway.app.create_app(gateway.settings.Settings.from_environment({}))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('flask_limiter', 'limits', 'redis')])"
    )

    assert run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip() == "[]"
