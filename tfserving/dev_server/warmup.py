"""Replays a version's warm-up requests, so that its first real call is as quick as its hundredth."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow.python.framework.errors_impl import OpError
from tensorflow.python.lib.io._pywrap_record_io import RecordIterator

from tfserving.dev_server.errors import Refused
from tfserving.dev_server.messages import PredictionLog
from tfserving.dev_server.servable import Servable

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(servable: Servable, path: Path) -> int:
    """How many requests were replayed.

    Raises:
        Refused: the file cannot be read, holds more than MAX_RECORDS, or a request in it fails.
    """
    file = path / FILE
    if not file.exists():
        return 0
    count = 0
    for count, record in enumerate(_records(file), start=1):
        if count > MAX_RECORDS:
            text = f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}"
            raise Refused(StatusCode.INVALID_ARGUMENT, text)
        servable.predict(_request(record, file))
    return count


def _records(file: Path) -> Iterator[bytes]:
    try:
        yield from RecordIterator(str(file), "")
    except OpError as error:
        raise Refused(StatusCode.DATA_LOSS, f"Failed to read warmup file {file}: {error.message}") from error


def _request(record: bytes, file: Path):  # type: ignore[no-untyped-def]  # an official message, which has no types
    try:
        entry = PredictionLog.FromString(record)
    except DecodeError:
        raise Refused(StatusCode.INVALID_ARGUMENT, f"Failed to parse warmup record in {file}") from None
    if entry.WhichOneof("log_type") != "predict_log":
        raise Refused(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup in {file}: only predict_log is replayed here")
    return entry.predict_log.request
