"""What goes on beside a training: a bar with loss and accuracy, a line for each epoch, and the state kept after each."""

import time
from pathlib import Path
from typing import Any

import keras

from pipelines import checkpoint
from pipelines.progress import bar, draw, say

_INTERVAL_SECONDS = 0.2


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Draws the bar a few times a second, and leaves a line at the end of each epoch."""

    def __init__(self, epochs: int, steps: int) -> None:
        super().__init__()
        self._epochs, self._steps = epochs, steps
        self._epoch, self._started, self._drawn = 0, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._started = epoch + 1, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if now - self._drawn < _INTERVAL_SECONDS:
            return
        self._drawn, done = now, batch + 1
        left = (now - self._started) / done * (self._steps - done)
        draw(f"{self._title()}  {bar(done, self._steps)} {done}/{self._steps}  {_measures(logs or {})}  {left:.0f} s left")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = logs or {}
        held_out = f"held out: {_measures(values, 'val_')}"
        say(f"{self._title()}  {time.monotonic() - self._started:5.1f} s  {_measures(values)}  {held_out}")

    def _title(self) -> str:
        return f"epoch {self._epoch:{len(str(self._epochs))}}/{self._epochs}"


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state after each epoch in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        checkpoint.save(self.model, self._folder, epoch + 1)


def _measures(logs: dict[str, Any], prefix: str = "") -> str:
    return f"loss {logs[f'{prefix}loss']:.4f}  accuracy {100 * logs[f'{prefix}accuracy']:.2f} %"
