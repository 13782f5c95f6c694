import json

import pytest

from benchmarks import protocols
from benchmarks.payloads import Payload
from benchmarks.protocols import Protocol
from benchmarks.suite import FULL, QUICK, is_right

SINGLE = Payload("png28", "small", ((b"first",), (b"second",)))
BATCH = Payload("batch64", "batch", ((b"first", b"second"),))
FIELD = Payload("field5", "field", ((b"12",),), is_field=True)
RESULTS = [{"prediction": "7", "confidence": 0.99}, {"prediction": "1", "confidence": 0.5}]
READING = {"text": "12", "candidates": [{"text": "12", "probability": 0.9}]}


def inference(outputs: dict[str, list[object]]) -> dict[str, object]:
    return {"outputs": [{"name": name, "data": data} for name, data in outputs.items()]}


ANSWERS = [
    (protocols.GATEWAY, SINGLE, RESULTS[0]),
    (protocols.GATEWAY, BATCH, {"results": RESULTS}),
    (protocols.GATEWAY, FIELD, READING),
    (protocols.BENTOML, SINGLE, RESULTS[:1]),
    (protocols.BENTOML, BATCH, RESULTS),
    (protocols.BENTOML, FIELD, READING),
    (protocols.OPEN_INFERENCE, SINGLE, inference({"label": ["7"], "probabilities": [0.01, 0.99]})),
    (protocols.OPEN_INFERENCE, BATCH, inference({"label": ["7", "1"], "probabilities": [0.01, 0.99, 0.5, 0.5]})),
    (protocols.OPEN_INFERENCE, FIELD, inference({"reading": [json.dumps(READING)]})),
]
EXPECTED = {"png28": [("7", 0.99)], "batch64": [("7", 0.99), ("1", 0.5)], "field5": [("12", 0.9)]}


@pytest.mark.parametrize(("protocol", "payload", "answer"), ANSWERS)
def test_a_right_answer_is_known_in_each_protocol(protocol: Protocol, payload: Payload, answer: object) -> None:
    assert is_right(protocol, payload, json.dumps(answer).encode(), EXPECTED[payload.name])


@pytest.mark.parametrize(
    "body",
    [
        b'{"prediction": "1", "confidence": 0.99}',
        b'{"prediction": "7", "confidence": 0.97}',
        b'{"results": []}',
        b'{"error": "no"}',
        b"[]",
        b"<html>",
    ],
)
def test_another_answer_is_wrong(body: bytes) -> None:
    assert not is_right(protocols.GATEWAY, SINGLE, body, EXPECTED["png28"])


@pytest.mark.parametrize(
    "protocol", [protocols.GATEWAY, protocols.LITSERVE, protocols.RAY_SERVE, protocols.BENTOML, protocols.OPEN_INFERENCE]
)
@pytest.mark.parametrize("payload", [SINGLE, BATCH, FIELD], ids=lambda payload: payload.name)
def test_a_payload_has_a_request_for_each_of_its_items(protocol: Protocol, payload: Payload) -> None:
    requests = protocol.requests(payload)

    assert len(requests) == len(payload.items)
    for request, images in zip(requests, payload.items, strict=True):
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body)
        assert all(protocols.to_base64(image) in body.decode() for image in images)


def test_the_full_run_holds_all_that_the_quick_one_measures() -> None:
    assert set(QUICK) <= set(FULL)
    assert {cell.payload for cell in QUICK} == {"png28", "canvas280", "photo12mp", "batch64", "field5"}
