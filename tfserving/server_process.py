"""A model server that is started on this machine: TensorFlow Serving where its binary is, else the development server."""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

VARIABLE = "MODEL_SERVER"
"""Names the executable; or the host:port of a server that runs already."""
ADDRESS = re.compile(r"[\w.\[\]:-]+:\d+(,[\w.\[\]:-]+:\d+)*")

_BINARY = "tensorflow_model_server"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LAST_LINES = 3
_prctl = ctypes.CDLL(None).prctl


@dataclass(frozen=True)
class Program:
    """A model server that can be started."""

    name: str
    command: list[str]


def program(config_file: Path, port: int) -> Program:
    """The one that MODEL_SERVER names, tensorflow_model_server on PATH, or ours; it listens on that port of 127.0.0.1.

    Raises:
        ValueError: MODEL_SERVER names neither an executable nor an address.
    """
    wanted = os.environ.get(VARIABLE, "")
    if ADDRESS.fullmatch(wanted):
        wanted = ""
    if wanted and not shutil.which(wanted):
        raise ValueError(f"{VARIABLE} is {wanted!r}; expected an executable or the host:port of a running one")
    flags = [
        f"--port={port}",
        f"--model_config_file={config_file}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
    ]
    if executable := shutil.which(wanted or _BINARY):
        return Program("TensorFlow Serving", [executable, *flags, "--rest_api_port=0"])
    return Program("the development model server", [sys.executable, "-m", "tfserving.dev_server", *flags])


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """The program, running; killed at the end of the `with`, and when this process ends in whatever way."""

    def __init__(self, program: Program, log: Path) -> None:
        self._program, self._log = program, log

    def __enter__(self) -> Self:
        with self._log.open("wb") as file:
            self._process = subprocess.Popen(
                self._program.command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=_end_with_the_parent
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def end(self, timeout_seconds: float = 0.0) -> str | None:
        """How it ended, as `signal SIGABRT` or `status 1`; None where it runs still after that time."""
        try:
            status = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"

    def last_words(self) -> str:
        """The end of its log, on one line."""
        lines = [line.strip() for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return " / ".join(lines[-_LAST_LINES:])


def _end_with_the_parent() -> None:
    """In the child, before it starts: SIGKILL for it when its parent is gone, however that came."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
