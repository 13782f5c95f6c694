"""A run that is interrupted leaves no process behind, and can be gone on with."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_steps_end_with_the_run(tmp_path: Path, recipe_text: str, how: signal.Signals) -> None:
    (tmp_path / "shapes.toml").write_text(recipe_text.replace("epochs = 8", "epochs = 10000"), encoding="utf-8")
    program = "from pipelines.run import run_locally; run_locally('shapes.toml')"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=_hear_interrupts
    ) as run:
        assert run.stdout
        while (line := run.stdout.readline()) != "train\n":
            assert line, "the run ended before its step train began"

        os.kill(run.pid, how)  # the run alone, not its group, as a supervisor does

        assert run.wait(timeout=30) != 0
    deadline = time.monotonic() + 30
    while (left := _working_in(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def _hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore them, and so would the run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _working_in(folder: Path) -> list[str]:
    """The command lines of the processes whose working directory is the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            continue
    return found


def test_a_killed_run_is_gone_on_with_and_then_there_is_nothing_left_to_do(tmp_path: Path, recipe_text: str) -> None:
    """One test, because each run takes as long as importing TensorFlow twice."""
    (tmp_path / "shapes.toml").write_text(recipe_text.replace("epochs = 8", "epochs = 20"), encoding="utf-8")
    command = [sys.executable, "-m", "hcr.main", "train", "shapes.toml", "--seed", "5"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout
        while not (line := run.stdout.readline()).startswith("  epoch  3/20"):
            assert line, "the run ended before its third epoch"
        run.kill()
        run.wait(timeout=30)
    deadline = time.monotonic() + 30
    while _working_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)

    resumed = _hcr(tmp_path, "train", "--resume")
    again = _hcr(tmp_path, "train", "shapes.toml", "--seed", "5", "--if-changed")
    nothing = _hcr(tmp_path, "train", "--resume")

    assert resumed.returncode == 0, resumed.stderr
    done = re.search(r"going on after epoch (\d+) of 20", resumed.stdout)
    assert done
    assert int(done[1]) >= 2  # at most the third is lost
    assert "  shapes, preset default, seed 5: " in resumed.stdout
    assert f"  epoch {int(done[1]) + 1:2}/20" in resumed.stdout
    assert f"  epoch {int(done[1]):2}/20" not in resumed.stdout
    assert "shapes version 1: " in resumed.stdout
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith(
        "nothing to do: version 1 of shapes was made of the same data, recipe, preset, seed, code and packages\n"
    )
    assert nothing.returncode == 1
    assert "holds no run that was killed or failed" in nothing.stderr


def _hcr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hcr.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
