"""Both clients, over a transport that answers from memory."""

import asyncio
import base64
import inspect
import io
import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import handwriting_client
from handwriting_client import (
    AsyncClient,
    Box,
    Character,
    Client,
    ClientError,
    DeadlineExceeded,
    Failed,
    Forbidden,
    NotFound,
    Problem,
    RateLimited,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnusableImage,
)
from handwriting_client.images import to_file

MODEL = {"name": "digits", "version": 3}
CHARACTER = {"prediction": "7", "confidence": 0.9, "probabilities": {"7": 0.9, "1": 0.1}, "rejected": False}
PREDICTION = {"id": "a", "model": MODEL, **CHARACTER, "later": "added"}
READING = {
    "id": "a", "model": MODEL, "text": "7", "confidence": 0.9, "candidates": [{"text": "7", "probability": 0.8}],
    "lines": [{"text": "7", "confidence": 0.9, "box": [1, 2, 3, 4], "characters": [{**CHARACTER, "box": [1, 2, 3, 4]}]}],
}  # fmt: skip
PROBLEM = {"type": "/docs#no-ink", "title": "Nothing", "status": 422, "code": "no_ink", "detail": "it is blank"}

Handler = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers everything with one status and JSON, and keeps what was asked."""

    def __init__(self, told: object = PREDICTION, status: int = 200, kind: str = "application/json") -> None:
        self.requests: list[httpx.Request] = []
        self._answer = (status, kind, told if isinstance(told, bytes) else json.dumps(told).encode())

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, kind, content = self._answer
        return httpx.Response(status, headers={"Content-Type": kind}, content=content)

    @property
    def client(self) -> Client:
        return Client("http://gateway", retries=0, transport=httpx.MockTransport(self))

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)


def test_a_prediction_is_asked_for_and_typed() -> None:
    gateway = Gateway()
    with gateway.client as client:
        found = client.predict(b"file", model="digits", version="canary", top_k=2, polarity="auto")

    assert (found.prediction, found.confidence, found.rejected, found.model.version) == ("7", 0.9, False, 3)
    assert found.probabilities == {"7": 0.9, "1": 0.1}
    assert found.input is None
    assert (gateway.requests[0].method, gateway.requests[0].url) == ("POST", "http://gateway/v1/predict")
    assert gateway.body == {
        "image": base64.b64encode(b"file").decode(), "model": "digits", "version": "canary", "top_k": 2, "polarity": "auto"
    }  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        found.prediction = "1"  # type: ignore[misc]


def test_what_the_model_saw_comes_as_a_file() -> None:
    seen = {**PREDICTION, "input": base64.b64encode(b"png").decode()}

    assert Gateway(seen).client.predict(b"file", include="input").input == b"png"


def test_a_batch_has_a_character_or_a_problem_for_each_image() -> None:
    gateway = Gateway({"id": "a", "model": MODEL, "results": [CHARACTER, {"error": PROBLEM}]})

    good, bad = gateway.client.predict_many([b"one", b"two"], top_k=1).results

    assert good == Character("7", 0.9, {"7": 0.9, "1": 0.1}, False)
    assert bad == Problem(422, "no_ink", "Nothing", "it is blank")
    assert gateway.requests[0].url.path == "/v1/predict:batch"
    assert len(gateway.body["images"]) == 2


def test_a_field_is_read_with_what_it_must_satisfy() -> None:
    gateway = Gateway({**READING, "satisfies": True})

    found = gateway.client.read(b"file", length=1, charset="0123456789", pattern=r"\d", check="luhn", max_candidates=3)

    assert (found.text, found.satisfies, found.candidates[0].probability) == ("7", True, 0.8)
    assert found.lines[0].characters[0].box == Box(1, 2, 3, 4)
    assert {name: gateway.body[name] for name in ("length", "pattern", "check")} == {
        "length": 1, "pattern": r"\d", "check": "luhn"
    }  # fmt: skip
    assert Gateway(READING).client.read(b"file").satisfies is None


def test_feedback_and_models() -> None:
    gateway = Gateway({"id": "a", "model": MODEL, "label": "7"}, 202)
    version = {"version": 3, "state": "AVAILABLE", "labels": ["stable"], "accuracy": 0.99, "patterns": {"DE": "A"}}
    described = {"name": "digits", "is_default": True, "classes": ["0"], "input_shape": [28, 28], "versions": [version]}

    assert gateway.client.feedback(b"file", "7", model="digits").label == "7"
    assert gateway.body["label"] == "7"
    assert Gateway({"models": [described], "feedback": True}).client.models().models[0].versions[0].patterns["DE"] == "A"
    one = Gateway(described)
    assert one.client.model("a/b").classes == ("0",)
    assert one.requests[0].url.raw_path == b"/v1/models/a%2Fb"


def test_the_key_goes_with_each_request() -> None:
    gateway = Gateway()
    Client("http://gateway", key="hcr_secret", transport=httpx.MockTransport(gateway)).predict(b"file")

    assert gateway.requests[0].headers["Authorization"] == "Bearer hcr_secret"


def test_the_url_may_have_a_path() -> None:
    gateway = Gateway()
    Client("https://example.org/ocr/", transport=httpx.MockTransport(gateway)).predict(b"file")

    assert gateway.requests[0].url == "https://example.org/ocr/v1/predict"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", Refused),
        (400, "invalid_base64", UnusableImage),
        (401, "unauthorized", Unauthorized),
        (403, "forbidden", Forbidden),
        (404, "unknown_version", NotFound),
        (413, "image_too_large", UnusableImage),
        (413, "too_many_images", Refused),
        (415, "unsupported_image", UnusableImage),
        (422, "no_ink", UnusableImage),
        (429, "rate_limited", RateLimited),
        (500, "internal", Failed),
        (503, "overloaded", Unavailable),
        (504, "deadline_exceeded", DeadlineExceeded),
        (507, "feedback_full", Failed),
    ],
)
def test_each_problem_is_an_error_of_its_kind(status: int, code: str, kind: type[Refused]) -> None:
    told = {**PROBLEM, "status": status, "code": code, "id": "7", "errors": [{"pointer": "/x", "detail": "odd"}]}
    with pytest.raises(ClientError) as caught:
        Gateway(told, status, "application/problem+json").client.predict(b"file")

    assert type(caught.value) is kind
    assert isinstance(caught.value, Refused)
    assert isinstance(caught.value, TimedOut) == (status == 504)
    assert (caught.value.problem.code, caught.value.problem.id, caught.value.problem.errors[0].pointer) == (code, "7", "/x")
    assert str(caught.value) == f"{status} {code}: it is blank"


@pytest.mark.parametrize("told", [b"<html>Bad Gateway</html>", b"{}", b"\xff"])
def test_a_refusal_of_something_in_between_is_told_as_one(told: bytes) -> None:
    for kind in ("text/html", "application/problem+json"):
        with pytest.raises(Failed) as caught:
            Gateway(told, 502, kind).client.predict(b"file")
        assert caught.value.problem.code == "unknown"
        assert "502 Bad Gateway" in str(caught.value)


def test_the_sync_client_waits_and_asks_again() -> None:
    answers = iter([httpx.Response(503, headers={"Retry-After": "0"}), httpx.Response(200, json=PREDICTION)])

    assert Client(transport=httpx.MockTransport(lambda _: next(answers))).predict(b"file").prediction == "7"


def test_the_async_client_waits_and_asks_again() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    handlers: list[Handler] = [fail, lambda _: httpx.Response(200, json=PREDICTION)]

    async def ask() -> str:
        transport = httpx.MockTransport(lambda request: handlers.pop(0)(request))
        async with AsyncClient(transport=transport) as client:
            return (await client.predict(b"file")).prediction

    assert asyncio.run(ask()) == "7"


def test_both_clients_have_the_same_methods() -> None:
    ours, theirs = (
        {
            name: [str(parameter) for parameter in inspect.signature(method).parameters.values()]
            for name, method in vars(kind).items()
            if not name.startswith("_") and name not in ("close", "aclose")
        }
        for kind in (Client, AsyncClient)
    )

    assert ours == theirs
    assert len(ours) == 6


@pytest.mark.parametrize("wrong", [{"timeout_seconds": 0.0}, {"retries": -1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .* expected"):
        Client(**wrong)


def decoded(file: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_arrays_become_pngs_of_their_pixels(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)

    assert np.array_equal(decoded(to_file(array)), array)
    assert np.array_equal(decoded(to_file(array[::-1])), array[::-1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pillow_images_become_files(mode: str) -> None:
    image = Image.new("L", (4, 3), 200).convert(mode) if mode != "I;16" else Image.new(mode, (4, 3), 200)

    assert Image.open(io.BytesIO(to_file(image))).size == (4, 3)


def test_how_a_pillow_image_is_turned_goes_along() -> None:
    image = Image.new("RGB", (4, 3))
    image.getexif()[0x0112] = 6

    assert Image.open(io.BytesIO(to_file(image))).getexif()[0x0112] == 6


def test_bytes_and_paths_are_files_already(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"file")

    assert [to_file(image) for image in (b"file", bytearray(b"file"), tmp_path / "image", str(tmp_path / "image"))] == [  # type: ignore[arg-type]
        b"file"
    ] * 4


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (7, TypeError, "type int; bytes, a path"),
        (np.zeros((2, 2)), TypeError, "float64; uint8 is expected"),
        (np.zeros((2, 2, 2), np.uint8), ValueError, r"shape \(2, 2, 2\)"),
        (np.zeros((0, 2), np.uint8), ValueError, r"shape \(0, 2\)"),
        (np.zeros(3, np.uint8), ValueError, r"shape \(3,\)"),
    ],
)
def test_what_is_no_image_is_refused_before_it_is_sent(image: Any, error: type[Exception], text: str) -> None:
    gateway = Gateway()
    with pytest.raises(error, match=text):
        gateway.client.predict(image)

    assert gateway.requests == []


def test_all_that_is_named_is_there() -> None:
    assert [name for name in handwriting_client.__all__ if not hasattr(handwriting_client, name)] == []
