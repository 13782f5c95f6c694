"""Logs on stdout: JSON, or text on a terminal. One line per request, at its end. Never an image, never a key."""

import logging
import sys
import time
from typing import Any

import msgspec


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; what `extra={"fields": …}` holds becomes members."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """A record for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(f"{name}={_short(value)}" for name, value in getattr(record, "fields", {}).items())
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(log_format: str) -> None:
    """Sets up the process's logging; `log_format` is json, text or auto."""
    is_text = log_format == "text" or (log_format == "auto" and sys.stdout.isatty())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    # Nobody prints where a record came from, and finding it out takes longer than writing the line (Python's logging HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{_short(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
