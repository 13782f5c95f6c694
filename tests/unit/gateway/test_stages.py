"""Where a request's time goes."""

import re

import pytest
from flask.testing import FlaskClient

from gateway.metrics import Stages


def test_a_request_is_always_in_one_stage() -> None:
    stages = Stages(10.0)
    stages.enter("preprocess", at=10.5)
    stages.enter("queue", at=11.0)
    stages.enter("preprocess", at=13.0)
    stages.enter("respond", at=13.25)

    assert stages.seconds == {"decode": 0.5, "preprocess": 0.75, "queue": 2.0}


def test_the_stages_add_up_to_the_whole(client: FlaskClient, png: bytes) -> None:
    client.post("/v1/predict", data=png, content_type="image/png")
    response = client.post("/v1/predict", data=png, content_type="image/png")

    told = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    metrics = client.get("/metrics").text
    whole = float(re.findall(r'gateway_request_duration_seconds_sum\{route="/v1/predict"\} (\S+)', metrics)[0])
    parts = sum(float(spent) for spent in re.findall(r"gateway_stage_duration_seconds_sum\{.*\} (\S+)", metrics))
    assert set(told) == {"decode", "preprocess", "queue", "predict", "respond"}
    assert parts == pytest.approx(whole, rel=0.01)


def test_what_recognises_nothing_has_no_stages(client: FlaskClient) -> None:
    assert "Server-Timing" not in client.get("/healthz").headers
