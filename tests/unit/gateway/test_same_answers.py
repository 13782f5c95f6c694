"""The same image and version give the same bytes but for the id: in each way to send it, alone and in company.

The id is the request's own here, so the bodies are compared as they are. The model scores each image by itself: for a real
network see tests/e2e/test_house.py and docs/performance.md.
"""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gateway.app import create_app
from gateway.settings import Settings
from tests.fakes import FakeModelServer, TinyModel
from tfserving.client import ModelClient

KINDS = {"PNG": "image/png", "BMP": "image/bmp", "TIFF": "image/tiff"}
TOGETHER = 6


@st.composite
def pictures(draw: st.DrawFn) -> tuple[bytes, str]:
    """An image file of a few strokes, and its content type."""
    height, width = draw(st.integers(28, 60)), draw(st.integers(28, 90))
    pixels = np.full((height, width), draw(st.integers(200, 255)), np.uint8)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(3, height - 20)), draw(st.integers(3, width - 8))
        pixels[top : top + draw(st.integers(12, 16)), left : left + draw(st.integers(2, 4))] = draw(st.integers(0, 60))
    kind = draw(st.sampled_from(sorted(KINDS)))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue(), KINDS[kind]


class OneByOne:
    """A model whose scores of an image do not depend on what else is in the call; notes how many images came together."""

    def __init__(self) -> None:
        self._model = TinyModel(1)
        self.sizes: list[int] = []

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        return np.concatenate([self._model(image[np.newaxis]) for image in images]) if len(images) else self._model(images)


@pytest.fixture(scope="module")
def model() -> OneByOne:
    return OneByOne()


@pytest.fixture(scope="module")
def server(model: OneByOne) -> Iterator[FakeModelServer]:
    with FakeModelServer() as fake:
        fake.publish(1, scores=model)
        yield fake


@pytest.fixture(scope="module")
def app(server: FakeModelServer) -> Iterator[Flask]:
    with ModelClient(server.address) as model_client:
        yield create_app(Settings(model_server=server.address, request_timeout_seconds=30), model_client)


def asked(app: Flask, path: str, **request: Any) -> bytes:
    """Status and body of the answer."""
    response = app.test_client().post(path, headers={"X-Request-ID": "mine", "X-Request-Timeout": "30"}, **request)
    return b"%d %s" % (response.status_code, response.data)


def in_each_way(app: Flask, path: str, file: bytes, kind: str) -> list[bytes]:
    """The answers to the image as JSON, as itself, and in a form."""
    return [
        asked(app, path, json={"image": base64.b64encode(file).decode()}),
        asked(app, path, data=file, content_type=kind),
        asked(app, path, data={"image": (io.BytesIO(file), "file")}),
    ]


def batch(app: Flask, files: list[bytes], *, as_form: bool = False) -> bytes:
    if as_form:
        return asked(app, "/v1/predict:batch", data={"images": [(io.BytesIO(file), "file") for file in files]})
    return asked(app, "/v1/predict:batch", json={"images": [base64.b64encode(file).decode() for file in files]})


@contextmanager
def company(app: Flask, server: FakeModelServer, files: list[tuple[bytes, str]]) -> Iterator[None]:
    """Others that ask meanwhile, so that calls are shared."""
    over = threading.Event()

    def ask(file: bytes, kind: str) -> None:
        while not over.is_set():
            asked(app, "/v1/predict", data=file, content_type=kind)

    threads = [threading.Thread(target=ask, args=one) for one in files]
    server.delay(0.002)  # a call takes long enough for others to come
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        server.delay(0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(picture=pictures(), others=st.lists(pictures(), min_size=TOGETHER, max_size=TOGETHER))
def test_the_same_image_gives_the_same_bytes(
    app: Flask, server: FakeModelServer, picture: tuple[bytes, str], others: list[tuple[bytes, str]]
) -> None:
    file, kind = picture
    files = [other for other, _ in others[:3]]

    alone = {path: in_each_way(app, path, file, kind) for path in ("/v1/predict", "/v1/read")}
    batches = [batch(app, [file, *files]), batch(app, [file, *files], as_form=True)]
    with company(app, server, others):
        together = {path: in_each_way(app, path, file, kind) for path in ("/v1/predict", "/v1/read")}
        batches += [batch(app, [file, *files])]
    batches += [batch(app, [file, *files])]

    for path in alone:
        assert len({*alone[path], *together[path]}) == 1
    assert len(set(batches)) == 1
    status, _, body = alone["/v1/predict"][0].partition(b" ")
    first = json.loads(batches[0].partition(b" ")[2])["results"][0]
    told = json.loads(body)
    assert status == b"200"
    assert first == {name: value for name, value in told.items() if name not in ("id", "model")}
    assert list(first["probabilities"]) == list(told["probabilities"])


def test_a_lone_image_is_never_alone_in_a_call(app: Flask, model: OneByOne, png: bytes) -> None:
    """TensorFlow multiplies a single row in another way than several, which would show in the last digit."""
    model.sizes.clear()

    for path in ("/v1/predict", "/v1/read"):
        asked(app, path, data=png, content_type="image/png")
    batch(app, [png])

    assert len(model.sizes) == 3
    assert min(model.sizes) == 2


def test_calls_were_shared(app: Flask, server: FakeModelServer, model: OneByOne, png: bytes) -> None:
    """Else there would have been no company."""
    model.sizes.clear()
    with company(app, server, [(png, "image/png")] * TOGETHER):
        for _ in range(10):
            asked(app, "/v1/predict", data=png, content_type="image/png")

    assert max(model.sizes) > 2  # a lone image goes twice
