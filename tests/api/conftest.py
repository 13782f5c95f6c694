"""The gateway as a process, asked by others' programs, which live in an environment of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
