"""The Python client against the gateway as a process, in front of a fake model server."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handwriting_client import (
    AsyncClient,
    Client,
    NotFound,
    RateLimited,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from hcr import examples_folder
from tests.e2e.conftest import HCR, ROOT, free_port
from tests.e2e.test_gateway_process import gateway, stroke
from tests.fakes import FakeModelServer

SEVEN = examples_folder() / "seven.png"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1, "canary": 2}) as fake:
        yield fake


@pytest.fixture(scope="module")
def url(server: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(server, GATEWAY_FEEDBACK_DIR=str(tmp_path_factory.mktemp("feedback"))) as (_, address):
        yield address


def test_an_image_is_the_same_however_it_is_given(url: str) -> None:
    with Image.open(SEVEN) as image, Client(url, timeout_seconds=20) as client:
        grey = image.convert("L")
        found = [client.predict(one) for one in (SEVEN, str(SEVEN), SEVEN.read_bytes(), grey, np.asarray(grey))]
        seen = client.predict(SEVEN, include="input", top_k=2, version="canary")

    assert len({one.prediction for one in found}) == 1
    assert found[0].model.version == 1
    assert sum(found[0].probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert (seen.model.version, len(seen.probabilities)) == (2, 2)
    assert seen.input is not None
    assert seen.input.startswith(b"\x89PNG")


def test_batches_fields_feedback_and_models(url: str) -> None:
    with Client(url, timeout_seconds=20) as client:
        batch = client.predict_many([SEVEN, b"no image"], top_k=1)
        reading = client.read(SEVEN, length=1, max_candidates=2)
        receipt = client.feedback(SEVEN, "7")
        models = client.models()
        model = client.model("digits")

    assert [type(one).__name__ for one in batch.results] == ["Character", "Problem"]
    assert reading.satisfies is True
    assert len(reading.text) == 1
    assert reading.lines[0].characters[0].box.width > 0
    assert (receipt.label, receipt.model.name) == ("7", "digits")
    assert models.feedback
    assert models.models == (model,)
    assert [version.labels for version in model.versions] == [("canary",), ("stable",)]


def test_what_the_gateway_refuses_is_told_with_its_reason(url: str) -> None:
    with Client(url, timeout_seconds=20) as client:
        with pytest.raises(NotFound, match="unknown_model"):
            client.predict(SEVEN, model="nope")
        with pytest.raises(Refused) as caught:
            client.read(SEVEN, length=0)
        assert [error.pointer for error in caught.value.problem.errors] == ["/length"]


def test_many_at_once_with_the_async_client(url: str) -> None:
    async def ask() -> list[str]:
        async with AsyncClient(url, timeout_seconds=20) as client:
            found = await asyncio.gather(*[client.predict(stroke()) for _ in range(20)], client.read(SEVEN))
            return [type(one).__name__ for one in found]

    assert asyncio.run(ask()) == ["Prediction"] * 20 + ["Reading"]


def test_a_model_server_that_comes_back_in_time_is_waited_for() -> None:
    with FakeModelServer() as server, gateway(server) as (_, url), Client(url, timeout_seconds=60, retries=30) as client:
        client.predict(SEVEN)
        server.stop()
        with Client(url, retries=0) as impatient, pytest.raises(Unavailable) as caught:
            impatient.predict(SEVEN)
        threading.Timer(1, server.start).start()
        started = time.monotonic()
        found = client.predict(SEVEN)

    assert caught.value.retry_after == 1
    assert found.model.version == 1
    assert time.monotonic() - started >= 1


def test_the_time_of_a_call_is_told_to_the_gateway(server: FakeModelServer, url: str) -> None:
    server.delay(5)
    try:
        with Client(url) as client, pytest.raises(TimedOut):
            client.predict(SEVEN, timeout=0.3)
    finally:
        server.delay(0)


def test_a_key_is_asked_for(server: FakeModelServer, tmp_path: Path) -> None:
    made = subprocess.run([*HCR, "keys", "new", "me"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    (tmp_path / "keys").write_text(made[4])
    with gateway(server, GATEWAY_KEYS_FILE=str(tmp_path / "keys")) as (_, url):
        for key in (None, "hcr_wrong"):
            with Client(url, key=key) as client, pytest.raises(Unauthorized, match="401 unauthorized"):
                client.predict(SEVEN)
        with Client(url, key=made[1], timeout_seconds=20) as client:
            found = client.predict(SEVEN)

    assert found.model.name == "digits"


def test_a_rate_limit_is_waited_for_where_there_is_time(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_RATE_LIMIT="2/second") as (_, url), Client(url, timeout_seconds=60, retries=30) as client:
        assert {client.predict(SEVEN).model.version for _ in range(5)} == {1}

    with gateway(server, GATEWAY_RATE_LIMIT="1/day") as (_, url), Client(url) as client:
        client.predict(SEVEN)
        with pytest.raises(RateLimited) as caught:
            client.predict(SEVEN)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 60


def test_where_nothing_listens_nobody_is_reached() -> None:
    with Client(f"http://127.0.0.1:{free_port()}", retries=1) as client, pytest.raises(Unreachable, match="no answer came"):
        client.predict(SEVEN)
