"""How a payload is asked for and what the answer says, in the words of each kind of server."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.load import http_request
from benchmarks.payloads import Payload
from handwriting.image import to_base64

Said = list[tuple[str, float]]
"""The label of each image, or the text of a field, with its probability."""
Json = Any


@dataclass(frozen=True)
class Protocol:
    """Path and body of a request, from its payload and its images in base64; and what the body of an answer says."""

    ask: Callable[[Payload, list[str]], tuple[str, Json]]
    hear: Callable[[Payload, Json], Said]

    def requests(self, payload: Payload) -> list[bytes]:
        """The payload's requests as they go over the wire."""
        asked = [self.ask(payload, [to_base64(image) for image in images]) for images in payload.items]
        return [http_request(path, json.dumps(body).encode()) for path, body in asked]

    def said(self, payload: Payload, body: bytes) -> Said:
        """What an answer says.

        Raises:
            ValueError, LookupError, TypeError, AttributeError: it is none.
        """
        return self.hear(payload, json.loads(body))


def _ask_gateway(payload: Payload, images: list[str]) -> tuple[str, Json]:
    if payload.is_field:
        return "/v1/read", {"image": images[0]}
    if len(images) > 1:
        return "/v1/predict:batch", {"images": images}
    return "/v1/predict", {"image": images[0]}


def _hear_json(payload: Payload, answer: Json) -> Said:
    if payload.is_field:
        return [(answer["text"], answer["candidates"][0]["probability"])]
    return [(result["prediction"], result["confidence"]) for result in answer.get("results", [answer])]


def _ask_one_path(path: str) -> Callable[[Payload, list[str]], tuple[str, Json]]:
    def ask(payload: Payload, images: list[str]) -> tuple[str, Json]:
        if payload.is_field:
            return path, {"field": images[0]}
        return path, {"image": images[0]} if len(images) == 1 else {"images": images}

    return ask


def _ask_bentoml(payload: Payload, images: list[str]) -> tuple[str, Json]:
    return ("/read", {"field": images[0]}) if payload.is_field else ("/predict", {"images": images})


def _hear_bentoml(payload: Payload, answer: Json) -> Said:
    return _hear_json(payload, answer if payload.is_field else {"results": answer})


def _ask_inference(payload: Payload, images: list[str]) -> tuple[str, Json]:
    model = "fields" if payload.is_field else "characters"
    tensor = {"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": images}
    return f"/v2/models/{model}/infer", {"inputs": [tensor]}


def _hear_inference(payload: Payload, answer: Json) -> Said:
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    if payload.is_field:
        return [said for reading in outputs["reading"] for said in _hear_json(payload, json.loads(reading))]
    scores, labels = outputs["probabilities"], outputs["label"]
    classes = len(scores) // len(labels)
    return [(label, max(scores[i * classes : (i + 1) * classes])) for i, label in enumerate(labels)]


GATEWAY = Protocol(_ask_gateway, _hear_json)
LITSERVE = Protocol(_ask_one_path("/predict"), _hear_json)
RAY_SERVE = Protocol(_ask_one_path("/"), _hear_json)
BENTOML = Protocol(_ask_bentoml, _hear_bentoml)
OPEN_INFERENCE = Protocol(_ask_inference, _hear_inference)
