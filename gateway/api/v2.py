"""The Open Inference Protocol (KServe's v2) over REST, with Triton's extension for binary tensor data.

https://github.com/kserve/open-inference-protocol, https://github.com/triton-inference-server/server (extension_binary_data.md)
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from flask import Blueprint, Response, g, request
from msgspec import UNSET
from werkzeug.datastructures import MultiDict

from gateway.api import schemas
from gateway.api.content import body_of, json_object, unsupported
from gateway.api.operations import ready_versions
from gateway.api.product import NAME, installed_version
from gateway.api.requests import bytes_or_error, check_count, deadline_of, whose
from gateway.api.responses import json_response
from gateway.api.validation import checked, invalid, values_from_text
from gateway.catalogue import Catalogue
from gateway.errors import ProblemError, to_problem
from gateway.recognizer import Answer, Options, Recognition, Recognizer
from gateway.settings import Settings
from handwriting.errors import InvalidBase64
from tfserving.errors import UnknownVersion

HEADER_LENGTH = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")
_BODY_TYPES = ("application/json", "application/octet-stream", "")  # Triton's client names none


def blueprint(recognizer: Recognizer, catalogue: Catalogue, settings: Settings, is_draining: Callable[[], bool]) -> Blueprint:
    """The routes of the protocol."""
    routes = Blueprint("v2", __name__)

    @routes.get("/v2")
    def server() -> Response:
        return json_response(schemas.ServerMetadata(NAME, installed_version(), ["binary_tensor_data"]))

    @routes.get("/v2/health/live")
    def live() -> Response:
        return json_response(schemas.Live(True))

    @routes.get("/v2/health/ready")
    def ready() -> Response:
        ready_versions(catalogue, settings.default_model, is_draining)
        return json_response(schemas.Ready(True))

    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version>")
    def model(name: str, version: str | None = None) -> Response:
        options = _options(name, version)
        deadline = deadline_of(request, settings)
        number = catalogue.resolve(options.model, options.version, deadline)
        classes = catalogue.classes_of(name, number, deadline).labels
        available = [status.version for status in catalogue.availability(name, deadline.remaining())]
        return json_response(_metadata(name, available if version is None else [number], len(classes)))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str | None = None) -> Response:
        options = _options(name, version)
        deadline = deadline_of(request, settings)
        number = catalogue.resolve(options.model, options.version, deadline)
        if number not in [status.version for status in catalogue.availability(name, deadline.remaining())]:
            raise UnknownVersion(f"model {name} has no version {number} that is loaded")
        return json_response(schemas.ModelReady(name, True))

    @routes.post("/v2/models/<name>/infer")
    @routes.post("/v2/models/<name>/versions/<version>/infer")
    def infer(name: str, version: str | None = None) -> Response:
        options = _options(name, version)
        deadline = deadline_of(request, settings)
        files, asked = _images(settings)
        answer = recognizer.recognize_batch(files, options, deadline, g.stages)
        g.log_fields.update(model=answer.model, version=answer.version, images=len(answer.results))
        return _told(answer, asked)

    return routes


def _options(name: str, version: str | None) -> Options:
    """What the path asks for."""
    values = {"model": name} if version is None else {"model": name, "version": version}
    asked = checked(schemas.ModelChoice, values_from_text(schemas.ModelChoice, MultiDict(values)))
    return Options(name, asked.version or None, whose=whose())


def _metadata(name: str, versions: Iterable[int], classes: int) -> schemas.ModelMetadata:
    outputs = [
        schemas.TensorMetadata("label", "BYTES", [-1]),
        schemas.TensorMetadata("probabilities", "FP32", [-1, classes]),
    ]
    inputs = [schemas.TensorMetadata("image", "BYTES", [-1])]
    return schemas.ModelMetadata(name, [str(number) for number in versions], "tensorflow_savedmodel", inputs, outputs)


def _images(settings: Settings) -> tuple[list[bytes | InvalidBase64], schemas.InferOptions]:
    """The images of the request, and what it says besides."""
    if request.mimetype not in _BODY_TYPES:
        raise unsupported(request, _BODY_TYPES[:2])
    body = body_of(request, settings.max_request_bytes)
    head = body[: _head_length(len(body))]
    values = json_object(head)
    asked: schemas.InferRequest | schemas.BinaryInferRequest
    items: Sequence[str | bytes]
    if len(head) < len(body):
        asked = checked(schemas.BinaryInferRequest, values)
        items = _elements(body[len(head) :], asked.inputs[0].parameters.binary_data_size)
    else:
        asked = checked(schemas.InferRequest, values)
        items = asked.inputs[0].data
    (count,) = asked.inputs[0].shape
    if count != len(items):
        raise invalid([("/inputs/0/shape", f"It is [{count}], and the data holds {len(items)} elements.")])
    check_count(count, settings)
    return [_file(item) for item in items], asked


def _head_length(length: int) -> int:
    """How many bytes of the body are JSON."""
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return length
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) <= length):
        raise invalid([("", f"{HEADER_LENGTH} is {text[:40]!r}; a number up to the body's {length} bytes is expected.")])
    return int(text)


def _elements(data: bytes, size: int) -> list[bytes]:
    """The strings of a BYTES tensor: each behind its length, 4 bytes, the lowest first."""
    found, position = [], 0
    while position + _LENGTH.size <= len(data):
        end = position + _LENGTH.size + _LENGTH.unpack_from(data, position)[0]
        found.append(data[position + _LENGTH.size : end])
        position = end
    if position != len(data) or len(data) != size:
        told = (
            f"{len(data)} bytes came behind the JSON, and binary_data_size is {size}; a BYTES tensor of that size is expected."
        )
        raise invalid([("/inputs/0/parameters/binary_data_size", told)])
    return found


def _file(item: str | bytes) -> bytes | InvalidBase64:
    """The image file: the bytes themselves where they are no text, and every image file holds bytes that are none."""
    is_text = isinstance(item, str) or (item.isascii() and b"\0" not in item)
    return bytes_or_error(item) if is_text else item  # type: ignore[return-value]


def _told(answer: Answer, asked: schemas.InferOptions) -> Response:
    recognitions = _all_recognised(answer.results)
    by_default = asked.parameters.binary_data_output
    outputs, tails = [], []
    for wanted in asked.outputs or [schemas.RequestedOutput("label"), schemas.RequestedOutput("probabilities")]:
        make = _label if wanted.name == "label" else _probabilities
        is_binary = by_default if wanted.parameters.binary_data is UNSET else wanted.parameters.binary_data
        output, tail = make(recognitions, is_binary)
        outputs.append(output)
        tails.append(tail)
    request_id = g.id if asked.id is UNSET else asked.id
    head = msgspec.json.encode(
        schemas.InferAnswer(id=request_id, model_name=answer.model, model_version=str(answer.version), outputs=outputs)
    )
    if not any(tails):
        return Response(head, mimetype="application/json")
    return Response(head + b"".join(tails), mimetype="application/octet-stream", headers={HEADER_LENGTH: str(len(head))})


def _all_recognised(results: Iterable[Recognition | Exception]) -> list[Recognition]:
    """The recognitions; the protocol has no way to tell of an image that failed alone."""
    found = []
    for index, result in enumerate(results):
        if not isinstance(result, Recognition):
            problem = to_problem(result)
            raise ProblemError(problem.status, problem.code, f"image {index}: {problem.detail}")
        found.append(result)
    return found


def _output(
    name: schemas.OutputName, datatype: Literal["BYTES", "FP32"], shape: list[int], data: list[Any], tail: bytes | None
) -> tuple[schemas.InferOutput, bytes]:
    """The output, and what of it comes behind the JSON."""
    if tail is None:
        return schemas.InferOutput(name=name, datatype=datatype, shape=shape, data=data), b""
    place = schemas.OutputPlace(len(tail))
    return schemas.InferOutput(name=name, datatype=datatype, shape=shape, parameters=place), tail


def _label(recognitions: Sequence[Recognition], is_binary: bool) -> tuple[schemas.InferOutput, bytes]:
    labels = [recognition.prediction for recognition in recognitions]
    encoded = [label.encode() for label in labels] if is_binary else []
    tail = b"".join(_LENGTH.pack(len(one)) + one for one in encoded)
    return _output("label", "BYTES", [len(labels)], labels, tail if is_binary else None)


def _probabilities(recognitions: Sequence[Recognition], is_binary: bool) -> tuple[schemas.InferOutput, bytes]:
    rows = [list(recognition.probabilities.values()) for recognition in recognitions]
    tail = np.array(rows, "<f4").tobytes() if is_binary else None
    return _output("probabilities", "FP32", [len(rows), len(rows[0])], [value for row in rows for value in row], tail)
