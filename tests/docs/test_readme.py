"""README's example in Python runs as it stands, but for the port."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.e2e.test_gateway_process import gateway
from tests.fakes import FakeModelServer

ROOT = Path(__file__).parents[2]


def test_the_example_in_python_prints_what_the_gateway_answers() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    with FakeModelServer() as server, gateway(server) as (_, url):
        code = example.replace("http://127.0.0.1:8080", url)
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        image = (ROOT / "hcr" / "examples" / "seven.png").read_bytes()
        request = urllib.request.Request(f"{url}/v1/predict", image, {"Content-Type": "image/png"})
        with urllib.request.urlopen(request, timeout=30) as response:
            expected = json.load(response)["prediction"]

    assert "http://127.0.0.1:8080" in example
    assert len(example.strip().splitlines()) == 5
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == expected
