"""Which model server there is, and how it is started."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import click

from tfserving import server_process


@dataclass(frozen=True)
class ModelServer:
    """A model server: its gRPC address, and the command that starts it, None where it runs already."""

    name: str
    address: str
    command: list[str] | None


def find(config_file: Path, port: int) -> ModelServer:
    """What MODEL_SERVER names (an executable, or the address of one that runs), tensorflow_model_server on PATH, or ours."""
    wanted = os.environ.get(server_process.VARIABLE, "")
    if server_process.ADDRESS.fullmatch(wanted):
        return ModelServer(f"the model server at {wanted}", wanted, None)
    try:
        program = server_process.program(config_file, port)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return ModelServer(program.name, f"127.0.0.1:{port}", program.command)


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
