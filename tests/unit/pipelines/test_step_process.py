"""A step's process: how errors leave it, and that it ends with the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import DataError
from pipelines.progress import VARIABLE
from pipelines.step_process import LIFELINE, silence, step

WAITING = "import time; from pipelines.step_process import step\nwith step('train'): time.sleep(60)"


def test_an_error_becomes_marked_lines_and_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "marked")
    with pytest.raises(SystemExit) as caught, step("prepare"):
        raise DataError("no images\nput some there")

    assert caught.value.code == 1
    assert capsys.readouterr().out == "@@step prepare\n@@error no images\n@@error put some there\n"


def test_a_step_ends_when_its_run_closes_the_lifeline(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lifeline")
    held = os.open(tmp_path / "lifeline", os.O_RDWR)
    environment = {**os.environ, LIFELINE: str(tmp_path / "lifeline")}
    with subprocess.Popen([sys.executable, "-c", WAITING], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "train\n"
        os.close(held)

        assert process.wait(timeout=5) == 130


def test_a_step_ends_whose_run_ended_before_it_began(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lifeline")
    environment = {**os.environ, LIFELINE: str(tmp_path / "lifeline")}

    done = subprocess.run([sys.executable, "-c", WAITING], env=environment, stdout=subprocess.DEVNULL, timeout=10)
    assert done.returncode == 130


def test_what_libraries_write_is_dropped_only_within(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        os.write(2, b"from native code\n")
        print("an answer")
    os.write(2, b"a warning\n")

    assert capfd.readouterr() == ("an answer\n", "a warning\n")
