"""PredictionService and ModelService: bytes in, bytes out, with TensorFlow Serving's texts."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from tfserving.dev_server import config as configuration
from tfserving.dev_server.errors import Refused
from tfserving.dev_server.library import Library, State
from tfserving.dev_server.messages import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelServerConfig,
    PredictRequest,
    PredictResponse,
    ReloadConfigRequest,
    ReloadConfigResponse,
    SignatureDefMap,
)

log = logging.getLogger("model server")

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"

Handler = Any  # grpc.RpcMethodHandler[bytes, bytes], generic in the stubs only


class Services(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """The methods by path; any other path is UNIMPLEMENTED. Register it last."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._handlers = {
            f"/{PREDICTION_SERVICE}/Predict": _unary(PredictRequest, self.predict),
            f"/{PREDICTION_SERVICE}/GetModelMetadata": _unary(GetModelMetadataRequest, self.metadata),
            f"/{MODEL_SERVICE}/GetModelStatus": _unary(GetModelStatusRequest, self.status),
            f"/{MODEL_SERVICE}/HandleReloadConfigRequest": _unary(ReloadConfigRequest, self.reload),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """gRPC asks here for the method of a call."""
        return self._handlers.get(handler_call_details.method, refusing(StatusCode.UNIMPLEMENTED, ""))

    def predict(self, request: PredictRequest) -> PredictResponse:
        """The signature's outputs, and which version they are from."""
        _require_spec(request)
        with self._library.lend(request.model_spec) as (number, servable):
            response = servable.predict(request)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = number
        return response

    def metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        """The signatures, and the version that a label or no version stands for."""
        _require_spec(request)
        if not request.metadata_field:
            text = "GetModelMetadataRequest must specify at least one metadata_field"
            raise Refused(StatusCode.INVALID_ARGUMENT, text)
        for field in request.metadata_field:
            if field != "signature_def":
                raise Refused(StatusCode.INVALID_ARGUMENT, f"Metadata field {field} is not supported")
        response, signatures = GetModelMetadataResponse(), SignatureDefMap()
        with self._library.lend(request.model_spec) as (number, servable):
            for key, signature in servable.signatures.items():
                signatures.signature_def[key].CopyFrom(signature)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = number
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        """The state of all versions or of one; a label in the request counts for nothing, as in TensorFlow Serving."""
        _require_spec(request)
        name, response = request.model_spec.name, GetModelStatusResponse()
        rows = self._library.status(name)
        if not rows:
            raise Refused(StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        if request.model_spec.HasField("version"):
            number = request.model_spec.version.value
            rows = [row for row in rows if row.number == number]
            if not rows:
                raise Refused(StatusCode.NOT_FOUND, f"Could not find version {number} of model {name}")
        for row in rows:
            entry = response.model_version_status.add(version=row.number, state=int(row.state))
            entry.status.SetInParent()
            entry.status.error_code, entry.status.error_message = row.code, row.message
        return response

    def reload(self, request: ReloadConfigRequest) -> ReloadConfigResponse:
        """OK once the configuration is in force and what it adds has been loaded."""
        if request.config.WhichOneof("config") != "model_config_list":
            text = (
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
            )
            raise Refused(StatusCode.INVALID_ARGUMENT, text)
        configuration.check(request.config)
        self._carry_out(request.config)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        return response

    def _carry_out(self, config: ModelServerConfig) -> None:
        before = self._library.model_names()
        ticket = self._library.configure(config)
        added = {model.name for model in config.model_config_list.config} - before
        if added:
            self._library.wait(ticket)
        failed = [f"{{{{name: {name}}} due to error: {text}}}" for name in sorted(added) if (text := self._failure(name))]
        if failed:
            text = f"{len(failed)} servable(s) did not become available: {{{', '.join(failed)}}}"
            raise Refused(StatusCode.UNKNOWN, text)

    def _failure(self, name: str) -> str:
        """Why nothing of the model serves; empty where something does, or nothing was there to load."""
        rows = self._library.status(name)
        if any(row.state is State.AVAILABLE for row in rows):
            return ""
        return next((row.message for row in rows if row.code), "")


def refusing(code: StatusCode, text: str) -> Handler:
    """A method that answers every call so."""

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, text)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(answer)


def _request_ids(context: grpc.ServicerContext) -> str:
    """Of those who ask, as the gateway hands them on."""
    return next((str(value) for key, value in context.invocation_metadata() if key == "x-request-id"), "an unnamed request")


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise Refused(StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")


def _unary(request_type: Any, answer: Callable[[Any], Any]) -> Handler:
    """The method as gRPC calls it: parses, answers, and turns errors into statuses."""

    def call(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return bytes(answer(request_type.FromString(data)).SerializeToString())
        except DecodeError:
            code, text = StatusCode.INTERNAL, ""
        except Refused as error:
            code, text = error.code, error.message
        except Exception as error:
            log.exception("a call failed for a reason that nobody foresaw; for %s", _request_ids(context))
            code, text = StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        context.abort(code, text)
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(call)
