"""Which model server there is, and how it is started."""

import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import click

_ADDRESS = re.compile(r"[\w.\[\]:-]+:\d+(,[\w.\[\]:-]+:\d+)*")


@dataclass(frozen=True)
class ModelServer:
    """A model server: its gRPC address, and the command that starts it, None where it runs already."""

    name: str
    address: str
    command: list[str] | None


def find(config_file: Path, port: int) -> ModelServer:
    """What MODEL_SERVER names (an executable, or the address of one that runs), tensorflow_model_server on PATH, or ours."""
    wanted = os.environ.get("MODEL_SERVER", "")
    if wanted and _ADDRESS.fullmatch(wanted):
        return ModelServer(f"the model server at {wanted}", wanted, None)
    if wanted and not shutil.which(wanted):
        raise click.ClickException(f"MODEL_SERVER is {wanted!r}; expected an executable or the host:port of a running one")
    address = f"127.0.0.1:{port}"
    flags = [
        f"--port={port}",
        f"--model_config_file={config_file}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
    ]
    if executable := shutil.which(wanted or "tensorflow_model_server"):
        return ModelServer("TensorFlow Serving", address, [executable, *flags, "--rest_api_port=0"])
    return ModelServer("the development model server", address, [sys.executable, "-m", "tfserving.dev_server", *flags])


def free_port(wanted: int) -> int:
    """The wanted port, or another one where something listens on it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise click.ClickException("no port is free on 127.0.0.1")
