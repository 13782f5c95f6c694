"""One loaded version: signatures in, tensors out."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from grpc import StatusCode
from tensorflow.python.framework.errors_impl import OpError

from tfserving.dev_server import savedmodel, tensors
from tfserving.dev_server.errors import Refused
from tfserving.dev_server.messages import PredictRequest, PredictResponse

DEFAULT_SIGNATURE = "serving_default"


class Servable:
    """A SavedModel that answers; safe to call from many threads."""

    def __init__(self, path: Path) -> None:
        """Loads it. Raises Refused."""
        self._session, meta_graph = savedmodel.open_session(path)
        self.signatures: dict[str, Any] = dict(meta_graph.signature_def)
        self._has_convolutions = savedmodel.has_convolutions(meta_graph)
        self._callables: dict[tuple[str, ...], Callable[..., list[Any]]] = {}

    def predict(self, request: PredictRequest) -> PredictResponse:
        """The answer, without the name and version of who answered.

        Raises:
            Refused: with TensorFlow Serving's codes and texts.
        """
        key = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = self._signature(key)
        inputs = _inputs(signature, request)
        if self._has_convolutions:
            _check_ranks(signature, inputs)
        outputs = _outputs(signature, request.output_filter)
        try:
            arrays = self._callable(key, outputs)(*inputs)
        except OpError as error:
            raise savedmodel.from_tensorflow(error) from None
        response = PredictResponse()
        response.model_spec.signature_name = key
        for alias, array in zip(outputs, arrays, strict=True):
            response.outputs[alias].CopyFrom(tensors.to_proto(array))
        return response

    def close(self) -> None:
        """Frees the weights. Nothing may be running."""
        self._callables.clear()
        self._session.close()

    def _signature(self, key: str) -> Any:
        if key not in self.signatures:
            raise Refused(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        return self.signatures[key]

    def _callable(self, key: str, outputs: tuple[str, ...]) -> Callable[..., list[Any]]:
        """The session's function for a signature and its outputs; made at the first call (twice at worst)."""
        found = self._callables.get((key, *outputs))
        if found is None:
            signature = self.signatures[key]
            feed = [signature.inputs[alias].name for alias in sorted(signature.inputs)]
            fetch = [signature.outputs[alias].name for alias in outputs]
            found = savedmodel.make_callable(self._session, feed=feed, fetch=fetch)
            self._callables[(key, *outputs)] = found
        return found


def _inputs(signature: Any, request: PredictRequest) -> list[Any]:
    """The arrays to feed, in the order of their sorted aliases."""
    _check_size(signature, request)
    arrays = []
    for position, alias in enumerate(sorted(signature.inputs)):
        info = signature.inputs[alias]
        if alias not in request.inputs:
            text = (
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value provided. "
                f"Inputs expected to be in the request {_set(request.inputs)}, or default input alias set: "
            )
            raise Refused(StatusCode.INVALID_ARGUMENT, text)
        arrays.append(_array(alias, request.inputs[alias]))
        _check_type(position, info, request.inputs[alias])
    return arrays


def _check_size(signature: Any, request: PredictRequest) -> None:
    sent, expected = set(request.inputs), set(signature.inputs)
    if len(sent) == len(expected):
        return
    text = (
        f"input size does not match signature: {len(sent)}!={len(expected)} len({_set(sent)}) != len({_set(expected)}). "
        f"Sent extra: {_set(sent - expected)}. Missing but required: {_set(expected - sent)}."
    )
    raise Refused(StatusCode.INVALID_ARGUMENT, text)


def _array(alias: str, tensor: Any) -> Any:
    try:
        return tensors.to_array(tensor)
    except (ValueError, OverflowError, MemoryError):
        raise Refused(StatusCode.INVALID_ARGUMENT, f"tensor parsing error: {alias}") from None


def _check_type(position: int, info: Any, tensor: Any) -> None:
    if tensor.dtype != info.dtype:
        expected, given = tensors.type_name(info.dtype), tensors.type_name(tensor.dtype)
        raise Refused(StatusCode.INVALID_ARGUMENT, f"Expects arg[{position}] to be {expected} but {given} is provided")


def _check_ranks(signature: Any, inputs: list[Any]) -> None:
    for alias, array in zip(sorted(signature.inputs), inputs, strict=True):
        shape = signature.inputs[alias].tensor_shape
        if not shape.unknown_rank and array.ndim != len(shape.dim):
            text = f"input {alias} must be {len(shape.dim)}-dimensional, but has {array.ndim} dimensions"
            raise Refused(StatusCode.INVALID_ARGUMENT, text)


def _outputs(signature: Any, wanted: Iterable[str]) -> tuple[str, ...]:
    """The aliases to fetch: those of the filter, or all."""
    chosen: list[str] = []
    for alias in wanted:
        if alias not in signature.outputs:
            known = _set(signature.outputs)
            text = f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {known}."
            raise Refused(StatusCode.INVALID_ARGUMENT, text)
        if alias in chosen:
            raise Refused(StatusCode.INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")
        chosen.append(alias)
    return tuple(sorted(chosen or signature.outputs))


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
