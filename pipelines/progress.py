"""What a step tells the user while it runs: lines that stay, and a bar that is drawn over.

A step writes to its standard output. HCR_PROGRESS says how: `bar` draws bars in place, `lines` leaves them out, `marked`
writes every message as a line of its own with a mark before it, for the process that started the step (run.py) to show.
Without it, bars are drawn where the output is a terminal.
"""

import os
import shutil
import sys
from typing import TextIO

VARIABLE = "HCR_PROGRESS"
MARKS = {"step": "@@step ", "say": "@@say ", "bar": "@@bar ", "error": "@@error "}
_BAR_WIDTH = 14


def say(text: str) -> None:
    """Shows a line that stays, or several."""
    for line in text.splitlines():
        _write("say", line)


def head(text: str) -> None:
    """Shows which step begins."""
    _write("step", text)


def complain(text: str) -> None:
    """Shows why the step fails."""
    for line in text.splitlines():
        _write("error", line)


def draw(text: str) -> None:
    """Shows a line that the next one replaces."""
    _write("bar", text)


def bar(done: int, total: int) -> str:
    """A bar as text, as `━━━━━━━───`."""
    filled = round(_BAR_WIDTH * done / total)
    return "━" * filled + "─" * (_BAR_WIDTH - filled)


def mode_for(stream: TextIO) -> str:
    """`bar`, `lines` or `marked`: as HCR_PROGRESS says, else by whether the stream is a terminal."""
    return os.environ.get(VARIABLE) or ("bar" if stream.isatty() else "lines")


def render(kind: str, text: str, stream: TextIO, mode: str) -> None:
    """Writes one message in the mode `bar` or `lines`."""
    if mode == "bar":
        line = (
            text[: shutil.get_terminal_size().columns - 1] if kind == "bar" else f"{text}\n"
        )  # one that wraps cannot be redrawn
        stream.write(f"\r\x1b[K{line}")
    elif kind != "bar":
        stream.write(f"{text}\n")
    stream.flush()


def _write(kind: str, text: str) -> None:
    mode = mode_for(sys.stdout)
    if mode == "marked":
        print(MARKS[kind] + text, flush=True)
    else:
        render(kind, text, sys.stdout, mode)
