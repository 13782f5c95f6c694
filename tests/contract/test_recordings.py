"""Calls that a real TensorFlow Serving answered: the development server answers the same, and we can read all of it."""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from tests.contract.make_tiny_model import models_config
from tests.contract.servers import Caller, DevServer, shared_recordings
from tfserving import tensors, wire_pb2

SHARED = shared_recordings()

pytestmark = pytest.mark.skipif(
    SHARED is None, reason="no recordings: put tfserving/recordings.jsonl into ../shared, or set HCR_SHARED to its folder"
)

RESPONSES: dict[str, Any] = {
    "Predict": wire_pb2.PredictResponse,
    "GetModelMetadata": wire_pb2.GetModelMetadataResponse,
    "GetModelStatus": wire_pb2.GetModelStatusResponse,
    "HandleReloadConfigRequest": wire_pb2.ReloadConfigResponse,
}

FREE_TEXT = {"classes out of range", "wrong height", "garbage bytes", "unknown method"}
"""Calls whose `details` a kernel or gRPC itself makes."""


@dataclass(frozen=True)
class Recording:
    name: str
    path: str
    request: bytes
    code: str
    details: str
    response: bytes | None

    @property
    def method(self) -> str:
        return self.path.rpartition("/")[2]


def recordings() -> list[Recording]:
    if SHARED is None:
        return []
    rows = [json.loads(line) for line in (SHARED / "recordings.jsonl").read_text("utf-8").splitlines()]
    return [
        Recording(
            row["name"],
            row["method"],
            base64.b64decode(row["request"]),
            row["code"],
            row["details"],
            base64.b64decode(row["response"]) if row["code"] == "OK" else None,
        )
        for row in rows
    ]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The development server on a copy of the recorded repository."""
    assert SHARED is not None
    folder = tmp_path_factory.mktemp("recordings")
    shutil.copytree(SHARED / "repository", folder / "repository")
    config = folder / "models.config"
    config.write_text(models_config(folder / "repository" / "digits", {"stable": 1, "canary": 2}), "utf-8")
    flags = (f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models=true")
    with DevServer(folder / "log", *flags) as server, Caller(server.address) as caller:
        yield caller


def answer(caller: Caller, recording: Recording) -> tuple[str, str, bytes | None]:
    try:
        return "OK", "", caller.raw(recording.path, recording.request)
    except grpc.RpcError as error:
        found: Any = error
        return found.code().name, found.details(), None


def test_the_development_server_answers_as_the_real_one_did(caller: Caller) -> None:
    """In order: the last calls move a label, and one looks where it went."""
    for recording in recordings():
        code, details, response = answer(caller, recording)

        assert code == recording.code, f"{recording.name}: {details}"
        if recording.name not in FREE_TEXT:
            assert details == recording.details, recording.name
        if recording.response is not None:
            assert response is not None
            assert_same(RESPONSES[recording.method], response, recording.response, recording.name)


def assert_same(kind: Any, ours: bytes, theirs: bytes, name: str) -> None:
    """Messages are equal; scores within 1e-6, maps in any order."""
    mine, other = kind.FromString(ours), kind.FromString(theirs)
    for message in (mine, other):
        if kind is wire_pb2.GetModelMetadataResponse:
            entry = message.metadata["signature_def"]
            signatures = wire_pb2.SignatureDefMap.FromString(entry.value)
            entry.value = signatures.SerializeToString(deterministic=True)
    if kind is wire_pb2.PredictResponse:
        assert set(mine.outputs) == set(other.outputs), name
        for alias in mine.outputs:
            assert_close(mine.outputs[alias], other.outputs[alias], name)
        mine.ClearField("outputs")
        other.ClearField("outputs")
    assert mine == other, name


def assert_close(mine: wire_pb2.Tensor, other: wire_pb2.Tensor, name: str) -> None:
    """The same field carries the same values; numbers within 1e-6."""
    np.testing.assert_allclose(list(mine.float_val), list(other.float_val), rtol=0, atol=1e-6, err_msg=name)
    for tensor in (mine, other):
        tensor.ClearField("float_val")
    assert mine == other, name


@pytest.mark.parametrize("recording", [r for r in recordings() if r.code == "OK"], ids=lambda recording: recording.name)
def test_the_client_reads_what_the_real_server_answered(recording: Recording) -> None:
    assert recording.response is not None
    message = RESPONSES[recording.method].FromString(recording.response)

    assert len(UnknownFieldSet(message)) == 0
    if recording.method == "Predict":
        for tensor in message.outputs.values():
            array = tensors.to_array(tensor)
            assert array.shape == tuple(dim.size for dim in tensor.tensor_shape.dim)


def test_there_are_recordings_of_each_method() -> None:
    assert {recording.method for recording in recordings()} >= set(RESPONSES)
