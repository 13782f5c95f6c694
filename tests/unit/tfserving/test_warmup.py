"""Warm-up requests, read without TensorFlow."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tfserving import tensors, warmup, wire_pb2
from tfserving.errors import RepositoryError


def record(content: bytes) -> bytes:
    """As TFRecord has it, with checksums that nobody looks at here."""
    return struct.pack("<Q", len(content)) + bytes(4) + content + bytes(4)


def request(batch: int) -> wire_pb2.PredictRequest:
    made = wire_pb2.PredictRequest(model_spec=wire_pb2.ModelSpec(name="digits", signature_name="characters_v1"))
    made.inputs["images"].CopyFrom(tensors.from_array(np.zeros((batch, 28, 28), np.uint8)))
    return made


def logged(batch: int) -> bytes:
    return wire_pb2.PredictionLog(predict_log=wire_pb2.PredictLog(request=request(batch))).SerializeToString()


def test_the_requests_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(record(logged(1)) + record(logged(16)))

    assert warmup.read(tmp_path / "requests") == [request(1), request(16)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (record(logged(1))[:-9], "cut off within record 0"),
        (record(logged(1)) + b"\x05", "unpack_from requires"),
        (record(b""), "record 0 is no Predict request"),
        (record(b"\xff\xff"), "Error parsing message"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "requests").write_bytes(content)

    with pytest.raises(RepositoryError, match=rf"requests holds no warm-up requests that can be read: .*{reason}"):
        warmup.read(tmp_path / "requests")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match=r"requests holds no warm-up requests that can be read: .*No such file"):
        warmup.read(tmp_path / "requests")
