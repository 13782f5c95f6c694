"""Fakes with the real interface, for tests that need no TensorFlow.

    with FakeModelServer(labels=("0", "1"), version_labels={"stable": 1}) as server:
        client = ModelClient(server.address)

A `FakeModelServer` is a gRPC server in this process that speaks TensorFlow Serving's API for one model by our contract. The
network is `TinyModel`, which `tests/contract/make_tiny_model.py` also writes as a SavedModel: fake, development server and real
server give the same scores, and the contract suite holds them together.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from handwriting import contract
from tfserving import tensors, wire_pb2
from tfserving.errors import InvalidResponse

DIGITS = tuple("0123456789")

Scores = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""images uint8 (N, 28, 28) → scores float32 (N, K)."""


class TinyModel:
    """Softmax over one matrix, whose values depend on the version alone."""

    def __init__(self, version: int, classes: int = len(DIGITS)) -> None:
        pixels = contract.IMAGE_SIZE**2
        random = np.random.default_rng(version)
        self.weights: NDArray[np.float32] = (random.normal(size=(pixels, classes)) * 0.05).astype(np.float32)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scores of the images, float32 (N, K)."""
        logits = images.reshape(-1, len(self.weights)).astype(np.float32) / 255 @ self.weights
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def tiny_thresholds(classes: int = len(DIGITS)) -> tuple[float, ...]:
    """A threshold for each class, each one different."""
    return tuple(round(0.3 + 0.05 * index, 2) for index in range(classes))


def tiny_card(name: str, version: int) -> str:
    """A model card, as JSON."""
    return json.dumps({"model": name, "version": version, "accuracy": 0.99}, sort_keys=True)


@dataclass(frozen=True)
class Call:
    """A call that the server got: `method` without its service, the message, and `x-request-id` of its metadata."""

    method: str
    request: Any
    request_ids: str = ""


@dataclass(frozen=True)
class _Version:
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    card: str
    scores: Scores
    error: tuple[int, str] | None = None  # failed to load: google.rpc.Code and text


class _Refused(Exception):
    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


@dataclass
class _Fault:
    code: grpc.StatusCode
    text: str
    times: int | None  # None: until further notice


class FakeModelServer:
    """One model in this process, over real gRPC on a port of its own. Start with `with`, or `start()` and `stop()`."""

    def __init__(
        self,
        name: str = "digits",
        *,
        labels: Sequence[str] = DIGITS,
        thresholds: Sequence[float] | None = None,
        card: str | None = None,
        versions: Iterable[int] = (1,),
        version_labels: Mapping[str, int] | None = None,
    ) -> None:
        """`labels`, `thresholds` and `card` are those of each version unless `publish` says otherwise.

        Without `version_labels`, `stable` is the first version, if there is one.
        """
        self.name = name
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._labels, self._thresholds, self._card = tuple(labels), thresholds, card
        self._versions: dict[int, _Version] = {}
        for version in versions:
            self.publish(version)
        first = {"stable": next(iter(self._versions))} if self._versions else {}
        self._version_labels = dict(first if version_labels is None else version_labels)
        self._fault: _Fault | None = None
        self._delay_seconds = 0.0
        self._stopping = threading.Event()
        self._server: grpc.Server | None = None
        self._port = 0

    # Its life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """host:port; stays the same over `stop()` and `start()`."""
        if not self._port:
            raise RuntimeError("the server has not been started: its port is not known yet")
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens, on the same port as before if it was started before."""
        if self._server is not None:
            return
        self._stopping.clear()
        options = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1))
        server = grpc.server(ThreadPoolExecutor(32, thread_name_prefix="fake"), options=options)
        server.add_generic_rpc_handlers((_Methods(self._answer),))
        self._port = server.add_insecure_port(f"127.0.0.1:{self._port}")
        server.start()
        self._server = server

    def stop(self, grace_seconds: float | None = None) -> None:
        """Closes the port; calls under way are cut off unless there is a grace period for them."""
        server, self._server = self._server, None
        if server is None:
            return
        stopped = server.stop(grace_seconds)
        if grace_seconds is None:
            self._stopping.set()  # only now: a delayed call must not answer in time
        stopped.wait()

    # What it serves

    def publish(
        self,
        version: int,
        *,
        labels: Sequence[str] | None = None,
        thresholds: Sequence[float] | None = None,
        card: str | None = None,
        scores: Scores | None = None,
    ) -> None:
        """Serves this version from now on, under its number; `scores` takes the place of the tiny model."""
        chosen = self._labels if labels is None else tuple(labels)
        given = self._thresholds if thresholds is None else thresholds
        if given is None or len(given) != len(chosen):
            given = tiny_thresholds(len(chosen))
        text = card or self._card or tiny_card(self.name, version)
        model = _Version(chosen, tuple(given), text, scores or TinyModel(version, len(chosen)))
        with self._lock:
            self._versions[version] = model

    def unload(self, version: int) -> None:
        """Stops serving the version; a label that names it names nothing then."""
        with self._lock:
            del self._versions[version]

    def break_version(self, version: int, code: int = 11, text: str = "Read less bytes than requested") -> None:
        """Has the version in state END, as if its load had failed with this google.rpc.Code."""
        with self._lock:
            self._versions[version] = _Version((), (), "", TinyModel(version), (code, text))

    def move_label(self, label: str, version: int | None) -> None:
        """Lets the label name that version, or nothing."""
        with self._lock:
            self._version_labels.pop(label, None)
            if version is not None:
                self._version_labels[label] = version

    # How it misbehaves

    def fail_with(self, code: grpc.StatusCode | None, text: str = "failed on purpose", *, times: int | None = None) -> None:
        """Answers the next `times` calls, or all, with this status; None ends it."""
        with self._lock:
            self._fault = None if code is None else _Fault(code, text, times)

    def delay(self, seconds: float) -> None:
        """Waits this long before each answer; 0 ends it."""
        self._delay_seconds = seconds

    def calls_of(self, method: str) -> list[Any]:
        """The requests of one method, oldest first: `calls_of("Predict")`."""
        return [call.request for call in list(self.calls) if call.method == method]

    def wait_for_calls(self, count: int, method: str = "Predict", *, timeout_seconds: float = 5.0) -> None:
        """Returns once that many calls of the method have arrived. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_seconds
        while len(self.calls_of(method)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.calls_of(method))} of {count} calls of {method} after {timeout_seconds} s")
            time.sleep(0.002)

    # Answers

    def _answer(self, path: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            request_type, answer = self._methods()[path]
        except KeyError:
            raise _Refused(grpc.StatusCode.UNIMPLEMENTED, "") from None
        try:
            request = request_type.FromString(data)
        except DecodeError:
            raise _Refused(grpc.StatusCode.INTERNAL, "") from None
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        self.calls.append(Call(path.rpartition("/")[2], request, metadata.get("x-request-id", "")))
        if self._delay_seconds:
            self._stopping.wait(self._delay_seconds)
        self._raise_fault()
        with self._lock:
            return bytes(answer(request).SerializeToString())

    def _methods(self) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
        return {
            "/tensorflow.serving.PredictionService/Predict": (wire_pb2.PredictRequest, self._predict),
            "/tensorflow.serving.PredictionService/GetModelMetadata": (wire_pb2.GetModelMetadataRequest, self._metadata),
            "/tensorflow.serving.ModelService/GetModelStatus": (wire_pb2.GetModelStatusRequest, self._status),
            "/tensorflow.serving.ModelService/HandleReloadConfigRequest": (wire_pb2.ReloadConfigRequest, self._reload),
        }

    def _raise_fault(self) -> None:
        with self._lock:
            fault = self._fault
            if fault is None:
                return
            if fault.times is not None:
                fault.times -= 1
                self._fault = fault if fault.times > 0 else None
        raise _Refused(fault.code, fault.text)

    def _predict(self, request: wire_pb2.PredictRequest) -> wire_pb2.PredictResponse:
        number, version = self._find(request)
        key = request.model_spec.signature_name or "serving_default"
        if key not in _SIGNATURES:
            raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        array = _input(_SIGNATURES[key], request)
        known = _SIGNATURES[key].outputs
        for alias in request.output_filter:
            if alias not in known:
                text = f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {_set(known)}."
                raise _invalid(text)
        response = wire_pb2.PredictResponse(model_spec=_spec(self.name, number, key))
        for alias in request.output_filter or known:
            response.outputs[alias].CopyFrom(_output(version, alias, array))
        return response

    def _find(self, request: Any) -> tuple[int, _Version]:
        """The version that the request's model_spec names."""
        spec = _required_spec(request)
        if not spec.name:
            raise _invalid("ModelSpec has no name specified.")
        versions = {n: v for n, v in self._versions.items() if v.error is None} if spec.name == self.name else {}
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            wanted, number = f"Latest({spec.name})", max(versions, default=0)
        else:
            number = self._number(spec) if choice == "version_label" else spec.version.value
            wanted = f"Specific({spec.name}, {number})"
        if number not in versions:
            raise _Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return number, versions[number]

    def _number(self, spec: wire_pb2.ModelSpec) -> int:
        if spec.name != self.name or spec.version_label not in self._version_labels:
            raise _invalid(f"Unrecognized servable version label: {spec.version_label}")
        return self._version_labels[spec.version_label]

    def _metadata(self, request: wire_pb2.GetModelMetadataRequest) -> wire_pb2.GetModelMetadataResponse:
        _required_spec(request)
        if not request.metadata_field:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise _invalid(f"Metadata field {name} is not supported")
        number, version = self._find(request)
        response = wire_pb2.GetModelMetadataResponse(model_spec=_spec(self.name, number, ""))
        entry = response.metadata["signature_def"]
        entry.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        entry.value = _definitions(len(version.labels)).SerializeToString()
        return response

    def _status(self, request: wire_pb2.GetModelStatusRequest) -> wire_pb2.GetModelStatusResponse:
        spec = _required_spec(request)
        rows = dict(self._versions) if spec.name == self.name else {}
        if not rows:
            raise _Refused(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if spec.WhichOneof("version_choice") == "version":
            rows = {number: version for number, version in rows.items() if number == spec.version.value}
            if not rows:
                text = f"Could not find version {spec.version.value} of model {spec.name}"
                raise _Refused(grpc.StatusCode.NOT_FOUND, text)
        response = wire_pb2.GetModelStatusResponse()
        for number in sorted(rows, reverse=True):
            code, text = rows[number].error or (0, "")
            state = wire_pb2.ModelVersionStatus.END if code else wire_pb2.ModelVersionStatus.AVAILABLE
            status = wire_pb2.Status(error_code=code, error_message=text)
            response.model_version_status.add(version=number, state=state, status=status)
        return response

    def _reload(self, request: wire_pb2.ReloadConfigRequest) -> wire_pb2.ReloadConfigResponse:
        """Takes the labels over; the versions are what `publish` made them."""
        if request.config.WhichOneof("config") is None:
            raise _invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
            )
        for model in request.config.model_config_list.config:
            if not model.base_path.startswith("/"):
                text = f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
                raise _invalid(text)
            if model.name == self.name:
                self._take_labels(dict(model.version_labels))
        return wire_pb2.ReloadConfigResponse(status=wire_pb2.Status())

    def _take_labels(self, labels: dict[str, int]) -> None:
        for number in labels.values():
            if number not in self._versions or self._versions[number].error:
                text = (
                    f"Request to assign label to version {number} of model {self.name}, "
                    "which is not currently available for inference"
                )
                raise _Refused(grpc.StatusCode.FAILED_PRECONDITION, text)
        self._version_labels = labels


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Passes every call on, whatever its path; an error becomes its status."""

    def __init__(self, answer: Callable[[str, bytes, grpc.ServicerContext], bytes]) -> None:
        self._answer = answer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        def call(data: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                return self._answer(handler_call_details.method, data, context)
            except _Refused as error:
                context.abort(error.code, error.text)
                raise AssertionError("abort raises") from None

        return grpc.unary_unary_rpc_method_handler(call)


@dataclass(frozen=True)
class _Signature:
    key: str
    alias: str
    dtype: wire_pb2.DataType
    dims: tuple[int, ...]
    outputs: tuple[str, ...]

    @property
    def feed_name(self) -> str:
        return f"{self.key}_{self.alias}:0"


_PIXELS = (-1, contract.IMAGE_SIZE, contract.IMAGE_SIZE)
_SIGNATURES = {
    key: _Signature(key, alias, dtype, dims, outputs)
    for key, alias, dtype, dims, outputs in (
        ("serving_default", contract.IMAGES, wire_pb2.DT_UINT8, _PIXELS, (contract.SCORES,)),
        (contract.SIGNATURE, contract.IMAGES, wire_pb2.DT_UINT8, _PIXELS, (contract.SCORES,)),
        (contract.CLASSES_SIGNATURE, contract.INDEX, wire_pb2.DT_INT32, (-1,), (contract.LABEL, contract.THRESHOLD)),
        (contract.CARD_SIGNATURE, contract.INDEX, wire_pb2.DT_INT32, (-1,), (contract.CARD,)),
    )
}
_TYPE_NAMES: dict[int, str] = {
    wire_pb2.DT_FLOAT: "float",
    wire_pb2.DT_UINT8: "uint8",
    wire_pb2.DT_INT32: "int32",
    wire_pb2.DT_INT64: "int64",
}


def _input(signature: _Signature, request: wire_pb2.PredictRequest) -> NDArray[Any]:
    """The one input of the signature, checked as TensorFlow Serving checks it."""
    sent, expected = set(request.inputs), {signature.alias}
    if len(sent) != len(expected):
        raise _invalid(
            f"input size does not match signature: {len(sent)}!={len(expected)} len({_set(sent)}) != len({_set(expected)}). "
            f"Sent extra: {_set(sent - expected)}. Missing but required: {_set(expected - sent)}."
        )
    if signature.alias not in request.inputs:
        raise _invalid(
            f"Signature input alias: {signature.alias}(feed name: {signature.feed_name}) not found in request and no default "
            f"value provided. Inputs expected to be in the request {_set(sent)}, or default input alias set: "
        )
    tensor = request.inputs[signature.alias]
    try:
        array = tensors.to_array(tensor)
    except (InvalidResponse, ValueError):
        raise _invalid(f"tensor parsing error: {signature.alias}") from None
    if tensor.dtype != signature.dtype:
        given = _TYPE_NAMES.get(tensor.dtype, "another type")
        raise _invalid(f"Expects arg[0] to be {_TYPE_NAMES[signature.dtype]} but {given} is provided")
    return array


def _output(version: _Version, alias: str, array: NDArray[Any]) -> wire_pb2.Tensor:
    """One output, its numbers in float_val as TensorFlow Serving sends them."""
    if alias == contract.SCORES:
        return _scores(version, array)
    if alias == contract.CARD:
        return _strings([version.card] * array.size)
    if array.size and not 0 <= array.min() <= array.max() < len(version.labels):
        raise _invalid(f"an index is not in [0, {len(version.labels)})")
    if alias == contract.LABEL:
        return _strings([version.labels[index] for index in array])
    return _floats(np.array([version.thresholds[index] for index in array], np.float32))


def _scores(version: _Version, array: NDArray[Any]) -> wire_pb2.Tensor:
    if array.size % contract.IMAGE_SIZE**2:
        raise _invalid(f"Input to reshape is a tensor with {array.size} values")
    return _floats(np.asarray(version.scores(array.reshape(_PIXELS) if array.size else array), np.float32))


def _floats(array: NDArray[np.float32]) -> wire_pb2.Tensor:
    return wire_pb2.Tensor(dtype=wire_pb2.DT_FLOAT, tensor_shape=_shape(array.shape), float_val=array.ravel().tolist())


def _strings(texts: Sequence[str]) -> wire_pb2.Tensor:
    values = [text.encode() for text in texts]
    return wire_pb2.Tensor(dtype=wire_pb2.DT_STRING, tensor_shape=_shape((len(values),)), string_val=values)


def _shape(sizes: Iterable[int]) -> wire_pb2.TensorShape:
    return wire_pb2.TensorShape(dim=[wire_pb2.TensorShape.Dim(size=size) for size in sizes])


def _spec(name: str, number: int, signature: str) -> wire_pb2.ModelSpec:
    spec = wire_pb2.ModelSpec(name=name, signature_name=signature)
    spec.version.value = number
    return spec


def _definitions(classes: int) -> wire_pb2.SignatureDefMap:
    """The signatures as GetModelMetadata answers them."""
    described = wire_pb2.SignatureDefMap()
    for key, signature in _SIGNATURES.items():
        definition = described.signature_def[key]
        definition.method_name = "tensorflow/serving/predict"
        entry = definition.inputs[signature.alias]
        entry.name, entry.dtype = signature.feed_name, signature.dtype
        entry.tensor_shape.CopyFrom(_shape(signature.dims))
        for alias in signature.outputs:
            is_text = alias in (contract.LABEL, contract.CARD)
            definition.outputs[alias].dtype = wire_pb2.DT_STRING if is_text else wire_pb2.DT_FLOAT
            definition.outputs[alias].tensor_shape.CopyFrom(_shape((-1, classes) if alias == contract.SCORES else (-1,)))
    return described


def _required_spec(request: Any) -> wire_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")
    spec: wire_pb2.ModelSpec = request.model_spec
    return spec


def _invalid(text: str) -> _Refused:
    return _Refused(grpc.StatusCode.INVALID_ARGUMENT, text)


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
