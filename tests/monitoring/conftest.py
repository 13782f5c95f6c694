"""Prometheus's own tool. Where there is none, the tests that need it are skipped and say what would make them run."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool", path=os.pathsep.join([os.environ["PATH"], str(ROOT / ".venv-chart" / "bin")]))
    if not found:
        pytest.skip("promtool is not on PATH; scripts/setup.sh chart fetches it on Debian, elsewhere it comes with Prometheus")
    return found
