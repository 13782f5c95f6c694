"""The client of a model server: TensorFlow Serving, or our development server."""

import copy
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.wrappers_pb2 import Int64Value
from numpy.typing import NDArray

from tfserving import tensors, wire_pb2
from tfserving.errors import InvalidResponse, from_rpc_error

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
REQUEST_ID = "x-request-id"

_MOST_METADATA = 4_000  # characters; gRPC refuses more than 8 KiB of all metadata

_SERVICE_CONFIG: dict[str, Any] = {
    # A server whose calls fail, or hang, gets none for a while; one of several only, and never more than half of them. Calls
    # that fail on a server that is well, for an unknown version say, are not nearly all of its calls.
    "loadBalancingConfig": [
        {
            "outlier_detection_experimental": {
                "interval": "1s",
                "baseEjectionTime": "5s",
                "maxEjectionTime": "30s",
                "maxEjectionPercent": 50,
                "failurePercentageEjection": {
                    "threshold": 85,
                    "enforcementPercentage": 100,
                    "minimumHosts": 2,
                    "requestVolume": 2,
                },
                "childPolicy": [{"round_robin": {}}],
            }
        }
    ],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],  # by a server that ends
            },
        }
    ],
    # After a run of failures retries stop, so that a server in trouble is not given three times the load.
    "retryThrottling": {"maxTokens": 50, "tokenRatio": 0.1},
}
_CHANNEL_OPTIONS = [
    ("grpc.enable_retries", 1),
    ("grpc.experimental.enable_hedging", 1),  # what perAttemptRecvTimeout needs; nothing is hedged
    # Found again within a second of its return.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Also sets TCP_USER_TIMEOUT to the second: a peer that vanished without a word is given up after it.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A model server closes each connection after a while; who then looks for the others must not be told to wait half a minute.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Prediction:
    """What a signature answered, and which version of the model it was."""

    outputs: dict[str, NDArray[Any]]
    version: int


@dataclass(frozen=True)
class VersionStatus:
    """A version's state, by TensorFlow Serving's name, and why it failed where it did."""

    version: int
    state: str
    error_message: str = ""

    @property
    def is_available(self) -> bool:
        return self.state == "AVAILABLE"


@dataclass(frozen=True)
class SignatureShapes:
    """The names of a signature's inputs and outputs, with their shapes; an unknown size is -1."""

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelMetadata:
    """A version's signatures, by name."""

    version: int
    signatures: dict[str, SignatureShapes]


class ModelClient:
    """Speaks to the model servers behind `address`. Thread-safe; does not survive a fork: make it in the worker.

    `address` is `host:port`, whose every resolved address is used in turn, or several `ip:port` with commas between. A server
    that says nothing for `attempt_seconds` is asked no more, and the next one is; a single one, at an IP address, is waited
    for.
    """

    def __init__(self, address: str, attempt_seconds: float = 1.0) -> None:
        self.address = address
        patience = attempt_seconds if _may_be_several(address) else None
        options = [("grpc.service_config", _service_config(patience)), *_CHANNEL_OPTIONS]
        self._channel = grpc.insecure_channel(_target(address), options=options)
        self._predict = self._method(PREDICT, wire_pb2.PredictResponse)
        self._metadata = self._method(METADATA, wire_pb2.GetModelMetadataResponse)
        self._status = self._method(STATUS, wire_pb2.GetModelStatusResponse)

    def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        *,
        signature: str,
        version: int | str | None = None,
        timeout_seconds: float = 5.0,
        request_ids: Sequence[str] = (),
    ) -> Prediction:
        """The signature's outputs for the inputs; `version` is a number, a label, or None for the newest.

        The ids of the requests that ask go along as metadata, `x-request-id`, with commas between; of very many the first.

        Raises:
            ServingError: one of its kinds, see tfserving.errors.
        """
        spec = _spec(model, version, signature)
        request = wire_pb2.PredictRequest(model_spec=spec)
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensors.from_array(array))
        response = _call(self._predict, request, timeout_seconds, _metadata(request_ids))
        outputs = {name: tensors.to_array(tensor) for name, tensor in response.outputs.items()}
        return Prediction(outputs, response.model_spec.version.value)

    def status(self, model: str, *, timeout_seconds: float = 5.0) -> tuple[VersionStatus, ...]:
        """Every version that the server knows of, newest first.

        Raises:
            UnknownModel: the server has never had a version of it.
            ServingError: its other kinds.
        """
        request = wire_pb2.GetModelStatusRequest(model_spec=_spec(model, None))
        response = _call(self._status, request, timeout_seconds)
        versions = [_version_status(status) for status in response.model_version_status]
        return tuple(sorted(versions, key=lambda status: -status.version))

    def metadata(self, model: str, version: int | str | None = None, *, timeout_seconds: float = 5.0) -> ModelMetadata:
        """The signatures of a version; asked by label, it also says which version has the label now.

        Raises:
            ServingError: one of its kinds.
        """
        request = wire_pb2.GetModelMetadataRequest(model_spec=_spec(model, version), metadata_field=["signature_def"])
        response = _call(self._metadata, request, timeout_seconds)
        signatures = wire_pb2.SignatureDefMap()
        try:
            signatures.ParseFromString(response.metadata["signature_def"].value)
        except DecodeError as error:
            raise InvalidResponse(f"metadata of model {model} cannot be read: {error}") from error
        return ModelMetadata(
            response.model_spec.version.value,
            {
                name: SignatureShapes(_shapes(definition.inputs), _shapes(definition.outputs))
                for name, definition in signatures.signature_def.items()
            },
        )

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _method(self, path: str, response: type[Message]) -> Callable[..., Any]:
        return self._channel.unary_unary(
            path, request_serializer=lambda message: message.SerializeToString(), response_deserializer=_decoder(response)
        )


def _service_config(attempt_seconds: float | None) -> str:
    config = copy.deepcopy(_SERVICE_CONFIG)
    if attempt_seconds is not None:
        config["methodConfig"][0]["retryPolicy"]["perAttemptRecvTimeout"] = f"{attempt_seconds:g}s"
    return json.dumps(config)


def _may_be_several(address: str) -> bool:
    """Whether there may be another server to ask: several addresses, or a name that may resolve to several."""
    host = address.rpartition(":")[0].strip().strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True  # a name, or a list
    return False


def _decoder(response: type[Message]) -> Callable[[bytes], Message | None]:
    def decode(data: bytes) -> Message | None:
        try:
            return response.FromString(data)
        except DecodeError:
            return None  # gRPC would call a raised error the server's INTERNAL; _call says what it is

    return decode


def _metadata(request_ids: Sequence[str]) -> tuple[tuple[str, str], ...] | None:
    ids = ",".join(filter(None, request_ids))
    if len(ids) > _MOST_METADATA:
        ids = ids[: ids.rfind(",", 0, _MOST_METADATA)]
    return ((REQUEST_ID, ids),) if ids else None


def _call(
    method: Callable[..., Any], request: Any, timeout_seconds: float, metadata: tuple[tuple[str, str], ...] | None = None
) -> Any:
    try:
        response = method(request, timeout=timeout_seconds, metadata=metadata)
    except grpc.RpcError as error:
        spec = request.model_spec
        version: int | str | None = spec.version_label or (spec.version.value if spec.HasField("version") else None)
        raise from_rpc_error(error, spec.name, version) from error
    if response is None:
        raise InvalidResponse("the model server's answer cannot be decoded")
    return response


def _target(address: str) -> str:
    """The gRPC target of an address list; one name is resolved by DNS, and all that it resolves to are used."""
    parts = [part.strip() for part in address.split(",") if part.strip()]
    if not parts or any(":" not in part for part in parts):
        raise ValueError(f"model server address is {address!r}; expected host:port, or ip:port,ip:port,…")
    if len(parts) == 1:
        return f"dns:///{parts[0]}"
    hosts = [part.rsplit(":", 1)[0].strip("[]") for part in parts]
    try:
        kinds = {ipaddress.ip_address(host).version for host in hosts}
    except ValueError:
        kinds = set()
    if len(kinds) != 1:
        raise ValueError(
            f"model server address is {address!r}; several must all be IPv4 or all IPv6 addresses (for names, give one "
            "that resolves to all of them, such as a headless Service's)"
        )
    return f"ipv{kinds.pop()}:{','.join(parts)}"


def _spec(model: str, version: int | str | None, signature: str = "") -> wire_pb2.ModelSpec:
    spec = wire_pb2.ModelSpec(name=model, signature_name=signature)
    if isinstance(version, int):
        spec.version.CopyFrom(Int64Value(value=version))
    elif version is not None:
        spec.version_label = version
    return spec


def _version_status(status: wire_pb2.ModelVersionStatus) -> VersionStatus:
    try:
        state = wire_pb2.ModelVersionStatus.State.Name(status.state)
    except ValueError:
        state = "UNKNOWN"
    return VersionStatus(status.version, state, status.status.error_message)


def _shapes(tensors_info: Mapping[str, wire_pb2.TensorInfo]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(dim.size for dim in info.tensor_shape.dim) for name, info in tensors_info.items()}


def as_numbers(array: NDArray[Any]) -> NDArray[np.float32]:
    """The array as float32.

    Raises:
        InvalidResponse: it holds something else than finite numbers.
    """
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InvalidResponse("the model server's answer holds something else than finite numbers")
    return array.astype(np.float32, copy=False)
