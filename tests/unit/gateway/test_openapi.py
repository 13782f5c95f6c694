"""The API's description tells of the gateway that gives it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.keys import line_for, new_key
from gateway.settings import Settings
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    (tmp_path / "keys").write_text(line_for("me", ("predict",), new_key()))
    return str(tmp_path / "keys")


def described(server: FakeModelServer, **settings: str) -> dict[str, Any]:
    """/openapi.json of a gateway with these settings."""
    with ModelClient(server.address) as model_client:
        told: dict[str, Any] = create_app(Settings(**settings), model_client).test_client().get("/openapi.json").get_json()  # type: ignore[arg-type]
    return told


def statuses(told: dict[str, Any]) -> dict[str, set[str]]:
    """The operations whose answers may be 401, 403 and 429."""
    found: dict[str, set[str]] = {"401": set(), "403": set(), "429": set()}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            for status in found.keys() & operation["responses"].keys():
                found[status].add(f"{method} {path}")
    return found


def test_without_keys_and_limits_there_is_no_word_of_them(server: FakeModelServer) -> None:
    told = described(server)

    assert statuses(told) == {"401": set(), "403": set(), "429": set()}
    assert "securitySchemes" not in told["components"]
    assert [path for path, methods in told["paths"].items() for one in methods.values() if "security" in one] == []


def test_keys_are_described_where_they_are_asked_for(server: FakeModelServer, keys_file: str, tmp_path: Path) -> None:
    told = described(server, keys_file=keys_file, feedback_dir=str(tmp_path))
    scopes = {path: one["security"] for path, methods in told["paths"].items() for one in methods.values() if "security" in one}

    assert told["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert told["components"]["securitySchemes"]["header"]["name"] == "X-API-Key"
    assert scopes["/v1/predict"] == [{"bearer": ["predict"]}, {"header": ["predict"]}]
    assert scopes["/v1/feedback"] == [{"bearer": ["feedback"]}, {"header": ["feedback"]}]
    assert scopes["/metrics"] == [{"bearer": ["operate"]}, {"header": ["operate"]}]
    assert told["paths"].keys() - scopes.keys() == {"/healthz", "/readyz", "/openapi.json", "/docs"}
    assert statuses(told)["401"] == statuses(told)["403"]
    assert len(statuses(told)["401"]) == len(scopes)
    assert statuses(told)["429"] == set()


def test_limits_are_described_where_requests_are_counted(server: FakeModelServer) -> None:
    told = described(server, rate_limit="5/day")
    answers = told["paths"]["/v1/predict"]["post"]["responses"]

    assert {path.partition(" ")[2].split("/")[1] for path in statuses(told)["429"]} == {"v1", "v2"}
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= answers["429"]["headers"].keys()
    assert "RateLimit" in answers["200"]["headers"]
    assert "429" not in told["paths"]["/metrics"]["get"]["responses"]


def test_what_is_described_is_what_comes(server: FakeModelServer, keys_file: str) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(keys_file=keys_file, rate_limit="1/day"), model_client).test_client()
        answers = client.get("/openapi.json").get_json()["paths"]["/v1/models"]["get"]["responses"]
        came = [client.get("/v1/models") for _ in range(2)]

    assert [response.status_code for response in came] == [401, 429]
    for response in came:
        promised = answers[str(response.status_code)]["headers"]
        assert [name for name, header in promised.items() if header["required"] and name not in response.headers] == []
