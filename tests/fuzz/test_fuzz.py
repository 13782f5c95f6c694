"""No image and no request that a fuzzer makes up is a failure."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.settings import Settings
from handwriting.errors import ImageError
from handwriting.image import open_image, to_base64
from tests.fakes import FakeModelServer
from tests.fuzz.seeds import seeds
from tests.hostile import stroke
from tfserving.client import ModelClient

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 2.0  # of processor time


def test_10_000_inputs_find_no_failure_of_decoding_preprocessing_and_segmentation() -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("there is no atheris: `make .test-tools/installed` brings it, on x86-64")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / ".test-tools")])}
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "fuzz_images.py"), "10000"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=280)

    assert done.returncode == 0, done.stderr[-3000:]
    assert "10,000 inputs" in done.stdout


def test_the_seeds_cover_every_format_and_most_can_be_read() -> None:
    opened = []
    for data in seeds().values():
        try:
            opened.append(open_image(data).format)
        except ImageError:
            continue

    assert set(opened) == {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"}
    assert len(opened) > 50


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    with FakeModelServer() as server, ModelClient(server.address) as model_client:
        yield create_app(Settings(model_server=server.address), model_client).test_client()


TEXT = st.text(max_size=40) | st.sampled_from(["digits", "stable", "auto", "\0", "\ud800", "9" * 400, "[0-9]{5}", "(a|"])
IMAGE = st.sampled_from([to_base64(stroke()), "", "A", "data:image/png;base64,", to_base64(stroke("GIF")[:100])]) | TEXT
NUMBER = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 10**400, 0, 1])
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT | IMAGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
MEMBER = st.sampled_from(
    [
        "image",
        "images",
        "model",
        "version",
        "top_k",
        "polarity",
        "length",
        "charset",
        "pattern",
        "check",
        "max_candidates",
        "include",
    ]
)
PATH = st.sampled_from(["/v1/predict", "/v1/predict:batch", "/v1/read"])
HEADERS = st.dictionaries(
    st.sampled_from(["X-Request-Timeout", "X-Request-ID", "Accept", "Authorization", "Origin", "X-Forwarded-For"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
    max_size=3,
)
MANY = settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(client: FlaskClient, path: str, body: bytes, kind: str, headers: dict[str, str]) -> None:
    start = time.thread_time()
    response = client.post(path, data=body, content_type=kind, headers=headers)

    assert response.status_code < 500 or response.status_code in (503, 504)
    assert response.get_json()["id"]
    assert time.thread_time() - start < MOST_SECONDS


@MANY
@given(PATH, st.dictionaries(MEMBER | TEXT, VALUE, max_size=6), HEADERS)
def test_no_json_is_a_failure(client: FlaskClient, path: str, body: dict[str, object], headers: dict[str, str]) -> None:
    check(client, path, json.dumps(body).encode(), "application/json", headers)


@MANY
@given(
    PATH, st.binary(max_size=300), st.sampled_from(["application/json", "image/png", "image/tiff", "text/plain", ""]), HEADERS
)
def test_no_bytes_are_a_failure(client: FlaskClient, path: str, body: bytes, kind: str, headers: dict[str, str]) -> None:
    check(client, path, body, kind, headers)


@MANY
@given(PATH, st.sampled_from(sorted(seeds().items())), st.integers(0, 8000), st.binary(max_size=8), HEADERS)
def test_no_broken_image_is_a_failure(
    client: FlaskClient, path: str, seed: tuple[str, bytes], place: int, patch: bytes, headers: dict[str, str]
) -> None:
    data = seed[1]
    start = place % len(data)
    check(client, path, data[:start] + patch + data[start + len(patch) :], "image/png", headers)
