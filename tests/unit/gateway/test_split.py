"""A release under way: the canary's share, its faults, and what it is asked unseen."""

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

import grpc
import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.keys import line_for, new_key
from gateway.settings import Settings
from gateway.split import Releases, Splits
from handwriting.image import to_base64
from tests.fakes import FakeModelServer, TinyModel
from tfserving.client import ModelClient
from tfserving.release import Split

STABLE, CANARY = "1", "2"


class House:
    """A gateway in front of a model server with a stable version and a canary."""

    def __init__(self, app: Flask, path: Path, png: bytes) -> None:
        self.app = app
        self.client = app.test_client()
        self._path = path
        self._png = png

    def split(self, canary: float = 0.0, shadow: float = 0.0, until: float | None = None) -> None:
        self._path.write_text(json.dumps({"digits": {"canary": canary, "shadow": shadow, "until": until}}))
        self.look()

    def look(self) -> None:
        """Lets the gateway look at the file with its next request."""
        splits = self.app.extensions["splits"]
        splits._looked = float("-inf")

    def ask(self, who: int, query: str = "") -> str:
        """The version that answers."""
        with self.post(who, query) as answer:
            assert answer.status_code == 200, answer.text
            assert answer.headers["X-Model-Version"] == str(answer.get_json()["model"]["version"])
            return answer.headers["X-Model-Version"]

    def post(self, who: int, query: str = "", path: str = "/v1/predict") -> TestResponse:
        """The answer, which is sent once it is closed."""
        return self.client.post(
            f"{path}{query}", data=self._png, content_type="image/png", headers={"X-Request-ID": f"someone-{who}"}
        )

    def metric(self, name: str, **labels: str) -> float:
        told = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        found = re.search(rf"^{name}{{{re.escape(told)}}} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@pytest.fixture
def house(server: FakeModelServer, tmp_path: Path, png: bytes) -> Iterator[House]:
    with ModelClient(server.address) as model_client:
        settings = Settings(models_config=str(tmp_path / "models.config"))
        yield House(create_app(settings, model_client), tmp_path / "release.json", png)


def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_release_all_is_answered_by_the_stable_version_and_nothing_counted(house: House) -> None:
    assert {house.ask(who) for who in range(10)} == {STABLE}
    assert "gateway_answers_total{" not in house.client.get("/metrics").text


def test_the_canary_answers_its_share(house: House) -> None:
    house.split(canary=0.25)

    versions = [house.ask(who) for who in range(400)]
    assert 60 <= versions.count(CANARY) <= 140
    counted = house.metric("gateway_answers_total", model="digits", outcome="ok", role="canary", version=CANARY)
    assert counted == versions.count(CANARY)
    waited = house.metric("gateway_model_seconds_count", model="digits", role="stable", version=STABLE)
    assert waited == versions.count(STABLE)


def test_the_same_client_gets_the_same_version_and_a_larger_share_takes_none_back(house: House) -> None:
    house.split(canary=0.3)
    first = [house.ask(who) for who in range(60)]
    assert [house.ask(who) for who in range(60)] == first

    house.split(canary=0.6)
    later = [house.ask(who) for who in range(60)]
    assert all(after == CANARY for before, after in zip(first, later, strict=True) if before == CANARY)
    assert later.count(CANARY) > first.count(CANARY)


def test_who_names_a_version_gets_it(house: House) -> None:
    house.split(canary=1.0)

    assert house.ask(1) == CANARY
    assert house.ask(1, "?version=stable") == STABLE
    assert house.ask(1, "?version=1") == STABLE


def test_batches_and_readings_are_split_too(house: House) -> None:
    house.split(canary=1.0)
    body = {"images": [to_base64(house._png)] * 2}

    answer = house.client.post("/v1/predict:batch", json=body)
    assert answer.get_json()["model"]["version"] == 2
    reading = house.client.post("/v1/read", data=house._png, content_type="image/png")
    assert reading.get_json()["model"]["version"] == 2
    assert reading.headers["X-Model-Version"] == CANARY


def test_a_share_can_be_changed_and_ended_while_the_gateway_runs(house: House) -> None:
    house.split(canary=1.0)
    assert house.ask(1) == CANARY
    house.split(canary=0.0)
    assert house.ask(1) == STABLE
    house.split(canary=1.0)
    assert house.ask(1) == CANARY
    house._path.unlink()
    house.look()
    assert house.ask(1) == STABLE


def test_a_file_that_cannot_be_read_leaves_the_shares_as_they_were(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.split(canary=1.0)
    assert house.ask(1) == CANARY
    house._path.write_text('{"digits": {"canary": 3}}')
    house.look()

    assert house.ask(1) == CANARY
    assert "a number from 0 to 1 is accepted" in caplog.text
    assert house.ask(2) == CANARY
    assert caplog.text.count("0 to 1") == 1


def test_the_file_is_looked_at_once_in_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(Splits, "_look", lambda self, path: looks.append(path))
    splits = Splits(tmp_path / "release.json")
    for _ in range(100):
        splits.of("digits")

    assert len(looks) == 1
    assert Splits(None).of("digits") is None


def test_the_shares_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text('{"digits": {"canary": 0.1, "shadow": 0.5}}')

    splits = Splits(tmp_path / "release.json")
    assert splits.of("digits") == Split(0.1, 0.5)
    assert splits.of("letters") is None


def test_shares_end_by_themselves_at_their_time(house: House) -> None:
    house.split(canary=1.0, until=time.time() + 3600)
    assert house.ask(1) == CANARY

    house.split(canary=1.0, shadow=1.0, until=time.time() - 1)
    assert {house.ask(who) for who in range(5)} == {STABLE}
    assert house.metric("gateway_answers_total", model="digits", outcome="ok", role="shadow", version=CANARY) == 0


def test_a_label_that_is_gone_before_the_share_fails_nobody(house: House, server: FakeModelServer) -> None:
    house.split(canary=1.0)
    assert house.ask(1) == CANARY
    server.move_label("canary", None)

    assert {house.ask(who) for who in range(10)} == {STABLE}
    assert house.metric("gateway_answers_total", model="digits", outcome="error", role="canary", version=CANARY) == 0


@pytest.mark.parametrize("fault", ["nan", "shape", "raises"])
def test_where_the_canary_fails_the_stable_version_answers(house: House, server: FakeModelServer, fault: str) -> None:
    def bad(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if fault == "raises":
            raise RuntimeError("broken")
        scores = TinyModel(2)(images)
        return scores[:, :5] if fault == "shape" else scores * np.float32("nan")

    house.split(canary=1.0)
    assert house.ask(1) == CANARY
    server.publish(2, scores=bad)

    assert {house.ask(who) for who in range(5)} == {STABLE}
    assert house.metric("gateway_answers_total", model="digits", outcome="error", role="canary", version=CANARY) == 5
    assert house.metric("gateway_answers_total", model="digits", outcome="ok", role="stable", version=STABLE) == 5


def test_a_canary_that_hangs_leaves_the_stable_version_half_of_the_time(house: House, server: FakeModelServer) -> None:
    goes_on = Event()

    def slow(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        goes_on.wait(5)  # the fake answers one call at a time
        return TinyModel(2)(images)

    house.split(canary=1.0)
    house.ask(1)
    server.publish(2, scores=slow)
    begun = time.monotonic()
    answer = house.client.post(
        "/v1/predict", data=house._png, content_type="image/png", headers={"X-Request-Timeout": "9", "X-Request-ID": "a"}
    )
    goes_on.set()

    assert answer.status_code == 200
    assert answer.headers["X-Model-Version"] == STABLE
    assert time.monotonic() - begun >= 4.4


def test_where_no_model_server_answers_the_client_is_told(house: House, server: FakeModelServer) -> None:
    house.ask(1, "?version=stable")
    house.split(canary=1.0)
    house.ask(1)
    server.fail_with(grpc.StatusCode.UNAVAILABLE, "gone")

    answer = house.client.post("/v1/predict", data=house._png, content_type="image/png")
    assert answer.status_code == 503
    assert house.metric("gateway_answers_total", model="digits", outcome="error", role="stable", version=STABLE) == 1


def test_the_canary_is_asked_unseen_and_compared(house: House, server: FakeModelServer) -> None:
    server.publish(2, scores=TinyModel(1))
    house.split(shadow=1.0)
    assert {house.ask(who) for who in range(6)} == {STABLE}
    until(lambda: house.metric("gateway_shadow_total", model="digits", outcome="agrees", version=CANARY) == 6)

    server.publish(2, scores=lambda images: np.roll(TinyModel(1)(images), 1, axis=1))
    assert house.ask(7) == STABLE
    until(lambda: house.metric("gateway_shadow_total", model="digits", outcome="differs", version=CANARY) == 1)
    assert house.metric("gateway_answers_total", model="digits", outcome="ok", role="shadow", version=CANARY) == 7
    assert house.metric("gateway_confidence_count", model="digits", version=CANARY) == 7
    assert house.metric("gateway_predictions_total", label="3", model="digits", version=CANARY) == 0


def test_the_canary_is_asked_unseen_only_once_the_answer_has_been_sent(house: House, server: FakeModelServer) -> None:
    house.split(shadow=1.0)
    house.ask(1)
    until(lambda: house.metric("gateway_answers_total", model="digits", outcome="ok", role="shadow", version=CANARY) == 1)
    queue = house.app.extensions["releases"]._mirrored
    calls = len(server.calls_of("Predict"))

    answer = house.post(2)
    assert answer.headers["X-Model-Version"] == STABLE
    assert queue.empty()
    assert len(server.calls_of("Predict")) == calls + 1
    answer.close()
    until(lambda: house.metric("gateway_answers_total", model="digits", outcome="ok", role="shadow", version=CANARY) == 2)


def test_an_answer_that_is_not_mirrored_leaves_nothing_to_do(house: House) -> None:
    releases: Releases = house.app.extensions["releases"]
    house.split(canary=0.5)

    assert [releases.mirrored("digits", None, f"someone-{who}", [], []) for who in range(10)] == [None] * 10
    house.split(canary=0.5, shadow=1.0)
    left = [releases.mirrored("digits", None, f"someone-{who}", [], []) is not None for who in range(10)]
    assert left == [house.ask(who) == STABLE for who in range(10)]
    assert releases.mirrored("digits", "stable", "someone-1", [], []) is None


def test_where_the_canary_lacks_a_named_pattern_the_stable_version_reads(house: House, server: FakeModelServer) -> None:
    server.publish(1, card=json.dumps({"patterns": {"ONE": r"\d"}}))
    server.publish(2, card=json.dumps({"patterns": {"TWO": r"\d"}}))
    house.split(canary=1.0)

    assert [house.post(1, f"?pattern=@{name}", "/v1/read").status_code for name in ("ONE", "TWO", "NONE")] == [200, 200, 400]
    assert house.post(1, "?pattern=@ONE", "/v1/read").headers["X-Model-Version"] == STABLE
    assert house.post(1, "?pattern=@TWO", "/v1/read").headers["X-Model-Version"] == CANARY
    asked_stable = house.post(1, "?pattern=@TWO&version=stable", "/v1/read")
    assert asked_stable.status_code == 400
    # What neither has is the client's mistake; what only the canary lacks speaks against it.
    assert house.metric("gateway_answers_total", model="digits", outcome="error", role="canary", version=CANARY) == 2


def test_a_canary_that_fails_unseen_is_counted(house: House, server: FakeModelServer) -> None:
    house.split(shadow=1.0)
    house.ask(1)
    until(lambda: house.metric("gateway_answers_total", model="digits", outcome="ok", role="shadow", version=CANARY) == 1)
    server.publish(2, scores=lambda images: TinyModel(2)(images) * np.float32("nan"))
    assert house.ask(2) == STABLE

    until(lambda: house.metric("gateway_shadow_total", model="digits", outcome="failed", version=CANARY) == 1)


def test_more_than_can_be_compared_is_dropped_and_delays_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = Event()
    monkeypatch.setattr(Releases, "_compare", lambda self, asked: goes_on.wait(60))
    house.split(shadow=1.0)
    for who in range(70):
        assert house.ask(who) == STABLE
    goes_on.set()

    assert house.metric("gateway_shadow_total", model="digits", outcome="dropped", version="") >= 5


def test_the_key_decides_where_there_is_one(server: FakeModelServer, tmp_path: Path, png: bytes) -> None:
    key = new_key()
    (tmp_path / "keys").write_text(line_for("forms", ("predict",), key) + "\n")
    (tmp_path / "release.json").write_text('{"digits": {"canary": 0.5}}')
    with ModelClient(server.address) as model_client:
        settings = Settings(release_file=str(tmp_path / "release.json"), keys_file=str(tmp_path / "keys"))
        client = create_app(settings, model_client).test_client()
        ask = partial(client.post, "/v1/predict", data=png, content_type="image/png", headers={"X-API-Key": key})
        answers = [ask() for _ in range(20)]

    assert [answer.status_code for answer in answers] == [200] * 20
    assert len({answer.headers["X-Model-Version"] for answer in answers}) == 1
