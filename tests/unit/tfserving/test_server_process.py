"""Which model server is started, and what becomes of its process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfserving import server_process
from tfserving.server_process import Program, ServerProcess

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MODEL_SERVER", raising=False)


def executable(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_binary_on_the_path_is_taken_before_ours(tmp_path: Path) -> None:
    ours = server_process.program(tmp_path / "models.config", 8500)
    binary = executable(tmp_path / "tensorflow_model_server")
    theirs = server_process.program(tmp_path / "models.config", 8500)

    assert ours.command[:3] == [PYTHON, "-m", "tfserving.dev_server"]
    assert theirs.command[0] == str(binary)
    assert "--port=8500" in theirs.command


def test_an_executable_may_be_named_and_an_address_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = executable(tmp_path / "mine")

    monkeypatch.setenv("MODEL_SERVER", str(own))
    assert server_process.program(tmp_path / "models.config", 8500).command[0] == str(own)
    monkeypatch.setenv("MODEL_SERVER", "127.0.0.1:8500")
    assert server_process.program(tmp_path / "models.config", 8500).command[0] == PYTHON
    monkeypatch.setenv("MODEL_SERVER", "no-such-server")
    with pytest.raises(ValueError, match="MODEL_SERVER is 'no-such-server'; expected an executable or the host:port"):
        server_process.program(tmp_path / "models.config", 8500)


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "signal SIGABRT"),
        ("print('a'); print('b'); raise SystemExit(3)", "status 3"),
    ],
)
def test_how_it_ended_is_told(tmp_path: Path, code: str, end: str) -> None:
    with ServerProcess(Program("a server", [PYTHON, "-c", code]), tmp_path / "log") as process:
        assert process.end(30) == end
        assert process.last_words() == ("a / b" if end == "status 3" else "")


def test_it_is_killed_at_the_end(tmp_path: Path) -> None:
    with ServerProcess(Program("a server", [PYTHON, "-c", "import time; time.sleep(600)"]), tmp_path / "log") as process:
        assert process.end() is None

    assert process.end() == "signal SIGKILL"


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tfserving.server_process import Program, ServerProcess\n"
        "with ServerProcess(Program('it', [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); "
        "time.sleep(600)']), Path(sys.argv[1])): time.sleep(600)"
    )
    log = tmp_path / "log"
    with subprocess.Popen([PYTHON, "-c", program, str(log)], cwd=Path(__file__).parents[3]) as parent:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = int(log.read_text())
        os.kill(parent.pid, signal.SIGKILL)

    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
