"""The gateway keeps what its own description promises, whatever schemathesis asks; all of its checks, none left out.

CASES=20000 .venv/bin/python -m pytest tests/api/test_schemathesis.py asks more.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.api.conftest import KEY

HOOKS = "tests.api.hooks"
ROOT = Path(__file__).parents[2]
CASES = int(os.environ.get("CASES", "2000"))
CASES_WITH_KEYS = CASES // 8


def ask(python: Path, url: str, cases: int, folder: Path, *arguments: str) -> str:
    """What schemathesis says when it has asked for so many cases or more, and found nothing."""
    command = [
        python.parent / "schemathesis",
        "run",
        f"{url}/openapi.json",
        "--checks=all",
        f"--max-examples={max(2, (cases - 1500) // 20)}",  # of each operation; the rest do not depend on it
        "--request-timeout=30",
        "--seed=1",
        "--no-color",
        *arguments,
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=7200, check=False)

    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stderr[-2000:]
    (count,) = re.findall(r"(\d+) generated", done.stdout)
    assert int(count) >= cases
    return done.stdout


@pytest.mark.timeout(7200)
def test_the_gateway_does_as_its_description_says(python: Path, url: str, tmp_path: Path) -> None:
    ask(python, url, CASES, tmp_path)


@pytest.mark.timeout(7200)
def test_a_gateway_with_keys_and_limits_does_as_its_description_says(python: Path, closed_url: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.bearer]\nbearer = "{KEY}"\n')
    record = tmp_path / "record.ndjson"

    ask(python, closed_url, CASES_WITH_KEYS, tmp_path, f"--report-ndjson-path={record}")

    assert {"200", "401"} <= set(re.findall(r'"status_code":\s*(\d+)', record.read_text()))
