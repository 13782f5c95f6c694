"""Everything around the predictions: health, metrics, models, ids, logs, and errors of HTTP itself."""

import json
import logging
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.errors import TITLES
from gateway.settings import Settings
from handwriting.image import to_base64
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


def test_the_gateway_is_alive_without_a_model_server(server: FakeModelServer, client: FlaskClient) -> None:
    server.stop()

    assert client.get("/healthz").status_code == 200


def test_the_gateway_is_ready_when_the_default_model_can_answer(client: FlaskClient) -> None:
    assert client.get("/readyz").get_json()["model"] == {"name": "digits", "versions": [2, 1]}


def test_the_gateway_is_not_ready_while_no_version_can_answer(server: FakeModelServer, client: FlaskClient) -> None:
    server.unload(1)
    server.break_version(2)

    response = client.get("/readyz")

    assert (response.status_code, response.get_json()["code"]) == (503, "model_unavailable")


def test_the_gateway_is_not_ready_without_a_model_server(server: FakeModelServer, client: FlaskClient) -> None:
    server.stop()

    response = client.get("/readyz")

    assert (response.status_code, response.get_json()["code"]) == (503, "model_unavailable")
    assert response.headers["Retry-After"] == "1"


def test_the_probe_counts_the_versions_by_state(server: FakeModelServer, client: FlaskClient) -> None:
    def counted() -> dict[str, float]:
        lines = client.get("/metrics").get_data(as_text=True).splitlines()
        found = (re.fullmatch(r'gateway_model_versions\{model="digits",state="(\w+)"\} (.+)', line) for line in lines)
        return {match[1]: float(match[2]) for match in found if match}

    client.get("/readyz")
    assert counted() == {"START": 0, "LOADING": 0, "AVAILABLE": 2, "UNLOADING": 0, "END": 0}
    server.stop()
    client.get("/readyz")
    assert set(counted().values()) == {0}


def test_a_draining_gateway_is_not_ready_but_still_answers(server: FakeModelServer, png: bytes) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(), model_client, is_draining=lambda: True).test_client()

        assert client.get("/readyz").get_json()["code"] == "draining"
        answer = client.post("/v1/predict", data=png, content_type="image/png")
    assert answer.status_code == 200
    assert answer.headers["Connection"] == "close"  # the next request on it would meet a gateway that is gone


def test_the_models_are_told_with_versions_labels_and_accuracy(server: FakeModelServer, client: FlaskClient) -> None:
    server.break_version(3, text="truncated weights")

    (model,) = client.get("/v1/models").get_json()["models"]

    assert model["name"] == "digits"
    assert model["is_default"] is True
    assert model["classes"] == list("0123456789")
    assert model["input_shape"] == [-1, 28, 28]
    assert model["versions"] == [
        {"version": 3, "state": "END", "labels": [], "accuracy": None, "error": "truncated weights"},
        {"version": 2, "state": "AVAILABLE", "labels": ["canary"], "accuracy": 0.995},
        {"version": 1, "state": "AVAILABLE", "labels": ["stable"], "accuracy": 0.995},
    ]
    assert client.get("/v1/models/digits").get_json() == model


def test_a_model_that_is_not_there_is_told(client: FlaskClient) -> None:
    response = client.get("/v1/models/nope")

    assert (response.status_code, response.get_json()["code"]) == (404, "unknown_model")


def test_a_configured_model_without_a_version_is_left_out(server: FakeModelServer) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(models="letters"), model_client).test_client()

        assert [model["name"] for model in client.get("/v1/models").get_json()["models"]] == ["digits"]


def test_a_model_that_joins_is_listed_without_having_been_asked(server: FakeModelServer, tmp_path: Path) -> None:
    config = tmp_path / "models.config"
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(default_model="other", models_config=str(config)), model_client).test_client()
        before = client.get("/v1/models").get_json()["models"]
        config.write_text('model_config_list { config { name: "digits" } }')

        after = client.get("/v1/models").get_json()["models"]
        config.write_text("model_config_list {")  # broken: model servers go on with what they had, and here nobody fails

        assert client.get("/v1/models").status_code == 200
    assert before == []
    assert [model["name"] for model in after] == ["digits"]


def test_metrics_count_what_happened(client: FlaskClient, png: bytes) -> None:
    client.post("/v1/predict", data=png, content_type="image/png")
    client.post("/v1/predict", data=b"x", content_type="image/png")

    text = client.get("/metrics").text

    assert 'gateway_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in text
    assert 'gateway_requests_total{method="POST",route="/v1/predict",status="415"} 1.0' in text
    assert 'gateway_model_call_total{code="OK"} 2.0' in text
    assert 'gateway_model_version_info{label="stable",model="digits",version="1"} 1.0' in text
    assert "gateway_requests_in_flight 1.0" in text
    assert sum(float(n) for n in re.findall(r"gateway_predictions_total\{.*\} (\S+)", text)) == 1
    for stage in ("decode", "preprocess", "predict", "respond"):
        assert f'gateway_stage_duration_seconds_count{{stage="{stage}"}}' in text


def test_metrics_come_as_openmetrics_to_those_who_ask(client: FlaskClient) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert response.content_type.startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_a_label_that_moves_is_counted_at_one_version(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    client.post("/v1/predict", data=png, content_type="image/png")
    server.move_label("stable", 2)
    client.post("/v1/predict", data=png, content_type="image/png")

    infos = re.findall(r"gateway_model_version_info\{.*stable.*\} 1.0", client.get("/metrics").text)

    assert infos == ['gateway_model_version_info{label="stable",model="digits",version="2"} 1.0']


def test_a_sane_request_id_is_kept(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-123"}).headers["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("text", ["", "x" * 200, "a b", "<script>", "ä"])
def test_another_request_id_is_replaced(client: FlaskClient, text: str) -> None:
    made = client.get("/healthz", headers={"X-Request-ID": text}).headers["X-Request-ID"]

    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", made)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/predict", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_errors_of_http_are_problems_too(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    response = client.open(path, method=method)

    assert (response.status_code, response.get_json()["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    assert ("Allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(("accept", "status"), [("text/html", 406), ("application/json", 200), ("text/html, */*;q=0.1", 200)])
def test_only_json_is_answered(client: FlaskClient, accept: str, status: int) -> None:
    assert client.get("/healthz", headers={"Accept": accept}).status_code == status


def test_a_bug_is_told_as_such_and_logged(
    client: FlaskClient, png: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setitem(client.application.view_functions, "predict.predict", broken)

    response = client.post("/v1/predict", data=png, content_type="image/png")

    assert (response.status_code, response.get_json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert "the secret of the house" in caplog.text


def test_a_request_is_one_line_of_the_log(client: FlaskClient, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gateway"):
        client.post("/v1/predict", json={"image": to_base64(png)}, headers={"X-Request-ID": "one"})
        client.get("/healthz")

    (record,) = [record for record in caplog.records if record.name == "gateway"]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["id"] == "one"
    assert fields["status"] == 200
    assert fields["version"] == 1
    assert set(fields["stages"]) == {"decode", "preprocess", "queue", "predict", "respond"}
    assert to_base64(png) not in json.dumps(fields)


def test_every_code_has_a_title() -> None:
    assert all(re.fullmatch(r"[a-z0-9_]+", code) and title for code, title in TITLES.items())
