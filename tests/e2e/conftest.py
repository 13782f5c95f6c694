"""The whole house on this machine: `hcr up` trains a small model from MNIST, publishes and serves it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HCR = [sys.executable, "-m", "hcr.main"]
_RECIPE = ROOT / "pipelines" / "recipes" / "digits.toml"


@dataclass(frozen=True)
class House:
    """`hcr up` and what it has started, in a folder of its own."""

    process: subprocess.Popen[str]
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def repository(self) -> Path:
        return self.folder / "models"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def hcr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command in the house's folder."""
        return subprocess.run(
            [*HCR, *arguments], cwd=self.folder, env=_environment(), capture_output=True, text=True, check=False
        )


def start(folder: Path, port: int, *arguments: str) -> House:
    """`hcr up` in a process group of its own, as a shell would start it."""
    command = [*HCR, "up", "--port", str(port), "--model-server-port", str(free_port()), "--repository", "models", *arguments]
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    return House(process, folder, port)


def wait_until_ready(house: House, timeout_seconds: float = 300) -> None:
    """Returns once the house says that it is; fails if it ends before."""
    deadline = time.monotonic() + timeout_seconds
    while "Ready: model" not in house.output:
        assert house.process.poll() is None, house.output
        assert time.monotonic() < deadline, house.output
        time.sleep(0.2)
    with urllib.request.urlopen(f"{house.url}/readyz", timeout=10) as response:
        assert response.status == 200


def stop(house: House) -> None:
    if house.process.poll() is None:
        os.killpg(house.process.pid, signal.SIGINT)
        house.process.wait(30)


def write_small_recipe(path: Path) -> None:
    """digits.toml with a quick training of one epoch of a smaller network: right enough, in a third of the time."""
    text = _RECIPE.read_text()
    head, _, _ = text.partition("[gates]")
    head = re.sub(r"(?m)^(fonts|restyled|fields|outliers) = .*\n", "", head.partition("[presets.")[0])
    path.write_text(
        f"{head}[gates]\naccuracy = 0.95\nrecall = 0.85\nece = 0.1\n\n"
        "[presets.quick]\nnetwork = { channels = [16, 32, 64] }\ntraining = { epochs = 1 }\n"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    """Takes the data set from the checkout's cache, if it is there: one download is enough."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment.pop("MODEL_SERVER", None)
    cache = ROOT / ".hcr" / "data" / "mnist"
    if cache.is_dir():
        environment.setdefault("HCR_DATA_DIR", str(cache))
    return environment


def children_of(pid: int) -> list[int]:
    """The process ids of all descendants."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children_of(child)]
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there, and not only waits for its parent to notice that it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture(scope="session")
def curl() -> str:
    path = shutil.which("curl")
    if path is None:
        pytest.skip("curl is not installed; with it the printed line is tried as it stands")
    return path
