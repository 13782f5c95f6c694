"""What a run shows: of all that Kubeflow and the steps print, the steps' own messages; the rest goes to the log."""

import io
import time
from collections import deque
from pathlib import Path
from typing import TextIO

from pipelines.progress import MARKS, mode_for, render

_LAST_LINES = 12


class Screen(io.TextIOBase):
    """A stream in place of standard output: takes marked lines from the steps apart and shows them on `shown`."""

    def __init__(self, shown: TextIO, log: Path) -> None:
        self.step = ""
        self.problems: list[str] = []
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._shown, self._mode = shown, mode_for(shown)
        self._log = log.open("w", encoding="utf-8")
        self._started: list[tuple[str, float]] = []
        self._line, self._is_in_a_bar = "", False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def close(self) -> None:
        if not self.closed:
            self._started.append(("", time.monotonic()))
            if self._is_in_a_bar:
                self._shown.write("\n")
            self._log.close()
        super().close()

    def seconds(self) -> dict[str, float]:
        """How long each step took, from its beginning to the next one's, or to the end of the run; after `close`."""
        pairs = zip(self._started, self._started[1:], strict=False)
        return {name: round(end - start, 1) for (name, start), (_, end) in pairs}

    def _take(self, line: str) -> None:
        for kind, mark in MARKS.items():
            if line.lstrip().startswith(mark):
                self._message(kind, line.lstrip().removeprefix(mark))
                return
        self._log.write(line + "\n")
        if line.strip():
            self.last_lines.append(line.strip())

    def _message(self, kind: str, text: str) -> None:
        if kind != "bar":
            self._log.write(f"{text}\n")
            self._log.flush()
        if kind == "error":
            self.problems.append(text)
        elif kind == "step":
            self.step = text
            self._started.append((text, time.monotonic()))
            self.last_lines.clear()
            render("say", text, self._shown, self._mode)
        else:
            render(kind, f"  {text}", self._shown, self._mode)
            self._is_in_a_bar = kind == "bar" and self._mode == "bar"
