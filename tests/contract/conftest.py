"""The servers that the contract is checked on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.make_tiny_model import VERSION_LABELS
from tests.contract.servers import NAME, ROOT, Caller, DevServer, ServerUnderTest
from tests.fakes import FakeModelServer

REAL_ADDRESS = os.environ.get("TFSERVING_ADDRESS", "")


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models.config and the tiny model. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("tiny")
    command = [sys.executable, "-m", "tests.contract.make_tiny_model", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def dev_server(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """The development server on the tiny repository."""
    log = tmp_path_factory.mktemp("dev_server") / "log"
    config = tiny_repository / "models.config"
    flags = (f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models=true")
    with DevServer(log, *flags) as server:
        yield server


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeModelServer]:
    """The fake with the same model."""
    with FakeModelServer(NAME, versions=VERSION_LABELS.values(), version_labels=VERSION_LABELS) as server:
        yield server


@pytest.fixture(scope="session", params=["fake", "dev_server", *(["real"] if REAL_ADDRESS else [])])
def server(request: pytest.FixtureRequest) -> Iterator[ServerUnderTest]:
    """Each server in turn; the real one where there is one."""
    if request.param == "real":
        address, base_path = REAL_ADDRESS, os.environ.get("TFSERVING_BASE_PATH", f"/models/{NAME}")
    elif request.param == "dev_server":
        base_path = str(request.getfixturevalue("tiny_repository") / NAME)
        address = request.getfixturevalue("dev_server").address
    else:
        address, base_path = request.getfixturevalue("fake").address, "/nowhere"
    with Caller(address) as caller:
        yield ServerUnderTest(caller, base_path)


@pytest.fixture
def repository(tiny_repository: Path, tmp_path: Path) -> Path:
    """A copy of the tiny repository for one test."""
    return Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
