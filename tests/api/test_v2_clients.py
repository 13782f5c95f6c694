"""Stock clients of the Open Inference Protocol work against the gateway."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hcr import examples_folder

IMAGE = examples_folder() / "seven.png"


def said_by(python: Path, script: str, address: str) -> dict[str, Any]:
    """What the script printed."""
    command = [python, Path(__file__).with_name(script), address, IMAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def expected(url: str) -> dict[str, Any]:
    """What /v1/predict says."""
    request = urllib.request.Request(f"{url}/v1/predict", IMAGE.read_bytes(), {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def check_inference(told: dict[str, Any], expected: dict[str, Any], version: str | None = "1") -> None:
    assert (told["id"], told["version"]) == ("mine", version)
    assert told["labels"] == [expected["prediction"]] * 2
    assert told["shape"] == [2, 10]
    for row in told["probabilities"]:
        assert row == pytest.approx(list(expected["probabilities"].values()), abs=1e-6)


def test_tritons_http_client_works(python: Path, url: str, expected: dict[str, Any]) -> None:
    told = said_by(python, "ask_with_triton.py", url.removeprefix("http://"))

    assert [told[name] for name in ("live", "ready", "model_ready", "version_ready")] == [True] * 4
    assert told["missing_ready"] is False
    assert told["server"]["extensions"] == ["binary_tensor_data"]
    assert told["model"]["versions"] == ["2", "1"]
    for way in ("default", "files", "json"):
        check_inference(told[way], expected)
        assert told[way]["dtype"] == "float32"
    assert told["canary"]["version"] == "2"
    assert told["refusal"][0] == "400"
    assert "no base64" in told["refusal"][1]


def test_kserves_rest_client_works(python: Path, url: str, expected: dict[str, Any]) -> None:
    told = said_by(python, "ask_with_kserve.py", url)

    assert [told[name] for name in ("live", "ready", "model_ready", "missing_ready")] == [True, True, True, False]
    for way in ("json", "binary"):
        check_inference(told[way], expected, version=None)  # which the client does not take over from an answer
    assert told["refusal"][0] == 400
    assert "no base64" in told["refusal"][1]
