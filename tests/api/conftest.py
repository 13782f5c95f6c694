"""The gateway as a process, asked by others' programs, which live in an environment of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.keys import SCOPES, line_for, new_key
from tests.e2e.conftest import ROOT
from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer

PYTHON = ROOT / ".venv-clients" / "bin" / "python"


@pytest.fixture(scope="session")
def python() -> Path:
    """The environment's Python."""
    if not PYTHON.exists():
        pytest.skip("the environment .venv-clients is missing; make .venv-clients/installed makes it")
    return PYTHON


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that does all that it can, in front of a model server with two versions."""
    feedback = str(tmp_path_factory.mktemp("feedback"))
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1, "canary": 2}) as server:
        with gateway(server, GATEWAY_FEEDBACK_DIR=feedback, GATEWAY_LOG_FORMAT="json") as (process, address):
            yield address
            assert process.poll() is None


KEY = new_key()


@pytest.fixture(scope="module")
def closed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, which asks for KEY and counts requests."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "keys").write_text(line_for("me", SCOPES, KEY))
    protection = {"GATEWAY_KEYS_FILE": str(folder / "keys"), "GATEWAY_RATE_LIMIT": "1000/second"}
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1, "canary": 2}) as server:
        with gateway(server, GATEWAY_FEEDBACK_DIR=str(folder / "feedback"), **protection) as (process, address):
            yield address
            assert process.poll() is None
