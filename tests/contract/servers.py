"""Starts the development server as its users do, and calls servers with the bare messages."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import numpy as np

from handwriting import contract
from tfserving import tensors, wire_pb2

ROOT = Path(__file__).parents[2]
NAME = "digits"
PREDICTION = "/tensorflow.serving.PredictionService"
MODEL = "/tensorflow.serving.ModelService"
START_SECONDS = 60  # TensorFlow's import, on a busy machine
FAST_POLLING = ("--model_config_file_poll_wait_seconds=0.05", "--file_system_poll_wait_seconds=0.05")


Value = TypeVar("Value")


class DevServer:
    """`python -m tfserving.dev_server` on a port of its own, with its log in a file."""

    def __init__(self, log: Path, *flags: str, port: int = 0) -> None:
        """Starts it; `wait_until_listening` or `wait` says what became of it."""
        self._log = log
        command = [sys.executable, "-m", "tfserving.dev_server", f"--port={port}", *flags]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text("utf-8")

    @property
    def port(self) -> int:
        """The port that its log names; waits for it."""
        line = eventually(self._listening_line, seconds=START_SECONDS)
        return int(line.rpartition(":")[2])

    @property
    def address(self) -> str:
        """host:port, once it listens."""
        return f"127.0.0.1:{self.port}"

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        """Kills it, if it still runs."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _listening_line(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
        return next((line for line in self.log.splitlines() if " listening on " in line), None)


def eventually(claim: Callable[[], Value | None], *, seconds: float = 15.0) -> Value:
    """The first true value of `claim`; fails if there is none before the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := claim()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {claim}")
        time.sleep(0.01)
    return value


class Caller:
    """Calls a server with our messages, nothing in between."""

    def __init__(self, address: str, name: str = NAME) -> None:
        self.name = name
        self.channel = grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.channel.close()

    def spec(self, version: int | str | None = None, signature: str = "") -> wire_pb2.ModelSpec:
        """The model by number, by label, or its newest."""
        spec = wire_pb2.ModelSpec(name=self.name, signature_name=signature)
        if isinstance(version, str):
            spec.version_label = version
        elif version is not None:
            spec.version.value = version
        return spec

    def predict(self, request: wire_pb2.PredictRequest, seconds: float = 10.0) -> wire_pb2.PredictResponse:
        """Predict."""
        data = self.raw(f"{PREDICTION}/Predict", request.SerializeToString(), seconds)
        return wire_pb2.PredictResponse.FromString(data)

    def scores(self, images: np.ndarray, version: int | str | None = None) -> tuple[int, np.ndarray]:
        """The version that answered, and the scores of the images."""
        request = wire_pb2.PredictRequest(model_spec=self.spec(version, contract.SIGNATURE))
        request.inputs[contract.IMAGES].CopyFrom(tensors.from_array(images))
        response = self.predict(request)
        return response.model_spec.version.value, tensors.to_array(response.outputs[contract.SCORES])

    def metadata(self, spec: wire_pb2.ModelSpec | None, *fields: str) -> wire_pb2.GetModelMetadataResponse:
        """GetModelMetadata."""
        request = wire_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=fields)
        data = self.raw(f"{PREDICTION}/GetModelMetadata", request.SerializeToString())
        return wire_pb2.GetModelMetadataResponse.FromString(data)

    def status(self, spec: wire_pb2.ModelSpec | None) -> list[wire_pb2.ModelVersionStatus]:
        """GetModelStatus, newest version first."""
        request = wire_pb2.GetModelStatusRequest(model_spec=spec)
        data = self.raw(f"{MODEL}/GetModelStatus", request.SerializeToString())
        return list(wire_pb2.GetModelStatusResponse.FromString(data).model_version_status)

    def states(self) -> dict[int, str]:
        """Version → name of its state; empty where the model has none."""
        try:
            rows = self.status(self.spec())
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {row.version: wire_pb2.ModelVersionStatus.State.Name(row.state) for row in rows}

    def reload(self, request: wire_pb2.ReloadConfigRequest) -> wire_pb2.ReloadConfigResponse:
        """HandleReloadConfigRequest."""
        data = self.raw(f"{MODEL}/HandleReloadConfigRequest", request.SerializeToString())
        return wire_pb2.ReloadConfigResponse.FromString(data)

    def raw(self, path: str, data: bytes, seconds: float = 10.0) -> bytes:
        """Bytes for bytes."""
        answer: bytes = self.channel.unary_unary(path)(data, timeout=seconds, wait_for_ready=False)
        return answer


@dataclass(frozen=True)
class ServerUnderTest:
    """A server with the tiny model in versions 1 and 2, labels stable = 1 and canary = 2."""

    caller: Caller
    base_path: str


@contextmanager
def refused(code: str, text: str | None = None) -> Iterator[None]:
    """Fails unless the block is answered with this status and, where given, with exactly this text."""
    try:
        yield
    except grpc.RpcError as error:
        found: Any = error
        assert found.code().name == code, found.details()
        if text is not None:
            assert found.details() == text
        return
    raise AssertionError(f"answered, and should have been refused with {code}")


def blank(count: int = 1) -> np.ndarray:
    """Empty paper, uint8 (count, 28, 28)."""
    return np.zeros((count, contract.IMAGE_SIZE, contract.IMAGE_SIZE), np.uint8)


def shared_recordings() -> Path | None:
    """The folder of the recorded calls: HCR_SHARED/tfserving, or ../shared/tfserving beside the checkout."""
    shared = Path(os.environ.get("HCR_SHARED", ROOT.parent / "shared")) / "tfserving"
    return shared if (shared / "recordings.jsonl").exists() else None
