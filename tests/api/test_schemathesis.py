"""The gateway keeps what its own description promises, whatever schemathesis asks; all of its checks, none left out.

CASES=20000 .venv/bin/python -m pytest tests/api asks more.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

HOOKS = "tests.api.hooks"
ROOT = Path(__file__).parents[2]
CASES = int(os.environ.get("CASES", "2000"))


@pytest.mark.timeout(1800)
def test_the_gateway_does_as_its_description_says(python: Path, url: str, tmp_path: Path) -> None:
    command = [
        python.parent / "schemathesis",
        "run",
        f"{url}/openapi.json",
        "--checks=all",
        f"--max-examples={CASES // 110}",  # of each operation and kind, and there is more than one of each
        "--request-timeout=30",
        "--seed=1",
        "--no-color",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800, check=False)

    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stderr[-2000:]
    (count,) = re.findall(r"(\d+) generated", done.stdout)
    assert int(count) >= CASES
