"""A run that is interrupted leaves no process behind."""

import os
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
