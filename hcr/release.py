"""What `hcr promote` and `hcr rollback` ask of the model servers: that all of them have the version, and then the label."""

import socket
import time
from collections.abc import Callable

import click

from tfserving.client import ModelClient
from tfserving.errors import RepositoryError, ServingError

_POLL_SECONDS = 0.1


def wait_until_available(address: str, model: str, version: int, timeout_seconds: float) -> None:
    """Returns once every model server behind `address` has the version AVAILABLE.

    Raises:
        RepositoryError: one of them failed to load it, or did not within the time.
    """

    def check(client: ModelClient) -> str | None:
        state = next((status for status in client.status(model, timeout_seconds=2) if status.version == version), None)
        if state is not None and state.state == "END" and state.error_message:
            raise RepositoryError(f"the model server at {client.address} cannot load version {version}: {state.error_message}")
        return None if state and state.is_available else f"its state is {state.state if state else 'unknown'}"

    _wait(address, check, f"to load version {version} of {model}", timeout_seconds)


def wait_until_labelled(address: str, model: str, version: int, label: str, timeout_seconds: float) -> None:
    """Returns once every model server behind `address` answers for the label with the version."""

    def check(client: ModelClient) -> str | None:
        labelled = client.metadata(model, label, timeout_seconds=2).version
        return None if labelled == version else f"{label} is version {labelled} there"

    _wait(address, check, f"to have {label} at version {version} of {model}", timeout_seconds)


def _wait(address: str, check: Callable[[ModelClient], str | None], what: str, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    for server in _each(address):
        with ModelClient(server) as client:
            while problem := _problem(check, client):
                if time.monotonic() > deadline:
                    raise RepositoryError(
                        f"waited {timeout_seconds:.0f} s for the model server at {server} {what}: {problem}. "
                        "Nothing answers there? Start it (hcr up), name another (--model-server), or use --offline"
                    )
                time.sleep(_POLL_SECONDS)


def _problem(check: Callable[[ModelClient], str | None], client: ModelClient) -> str | None:
    try:
        return check(client)
    except ServingError as error:
        return str(error)


def _each(address: str) -> list[str]:
    """Every single server behind an address list or a name."""
    servers = []
    for part in address.split(","):
        host, _, port = part.strip().rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"model server address {part!r} cannot be resolved: {error}") from None
        addresses = {str(info[4][0]) for info in found}
        if host == "localhost":
            addresses = {"127.0.0.1"}
        servers += [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in sorted(addresses)]
    return servers
