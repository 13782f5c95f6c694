"""A version's warm-up requests, as TensorFlow Serving keeps them: TFRecord of PredictionLog."""

import struct
from pathlib import Path

from google.protobuf.message import DecodeError

from tfserving import wire_pb2
from tfserving.errors import RepositoryError

_LENGTH = struct.Struct("<Q4x")  # before each record: its length, and a checksum of that; after it a checksum of 4 bytes
_CHECKSUM = 4


def read(path: Path) -> list[wire_pb2.PredictRequest]:
    """The Predict requests in the file, in order. The checksums are for the model server to check.

    Raises:
        RepositoryError: there is no such file, it is cut off, or a record is no Predict request.
    """
    try:
        content = path.read_bytes()
        requests: list[wire_pb2.PredictRequest] = []
        place = 0
        while place < len(content):
            (length,) = _LENGTH.unpack_from(content, place)
            start = place + _LENGTH.size
            place = start + length + _CHECKSUM
            if place > len(content):
                raise ValueError(f"cut off within record {len(requests)}")
            log = wire_pb2.PredictionLog.FromString(content[start : start + length])
            if not log.HasField("predict_log"):
                raise ValueError(f"record {len(requests)} is no Predict request")
            requests.append(log.predict_log.request)
    except (OSError, ValueError, struct.error, DecodeError) as error:
        raise RepositoryError(f"{path} holds no warm-up requests that can be read: {error}") from error
    return requests
