"""Faults on purpose, for drills: what a gateway does with a server that is slow, flaky or away."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import grpc
from grpc import StatusCode

from tfserving.dev_server.services import refusing

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


@dataclass(frozen=True)
class Faults:
    """How calls go wrong."""

    delay_seconds: float = 0.0
    error_rate: float = 0.0
    refuse: bool = False

    def __bool__(self) -> bool:
        return self.refuse or self.delay_seconds > 0 or self.error_rate > 0


class FaultInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Delays and fails calls to TensorFlow Serving's services; refuses those to the health service as well."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = random.Random(0)  # noqa: S311  # the same calls fail in each run
        self._lock = Lock()

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: grpc.HandlerCallDetails) -> Any:
        """gRPC asks here for the method of a call."""
        if self._faults.refuse:
            return refusing(StatusCode.UNAVAILABLE, "refused on purpose: --fault_refuse")
        handler = continuation(handler_call_details)
        if not handler_call_details.method.startswith("/tensorflow.serving."):
            return handler
        return grpc.unary_unary_rpc_method_handler(self._faulty(handler.unary_unary))

    def _faulty(self, answer: Answer) -> Answer:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            time.sleep(self._faults.delay_seconds)
            if self._fails():
                context.abort(StatusCode.UNAVAILABLE, "failed on purpose: --fault_error_rate")
            return answer(request, context)

        return call

    def _fails(self) -> bool:
        with self._lock:
            return self._random.random() < self._faults.error_rate
