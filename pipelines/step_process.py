"""The process in which one step runs: quiet libraries, one-line errors, and an end when the run that started it ends."""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipelines.errors import PipelineError
from pipelines.progress import complain, head

LIFELINE = "HCR_LIFELINE"
"""Names a FIFO whose writing end the run holds open; at its end of file the step has nobody to work for."""

_INTERRUPTED = 130  # the exit status of a command that Ctrl-C ended


@contextmanager
def step(name: str) -> Iterator[None]:
    """Runs the body as the step `name`; an error that says what is wrong becomes one line and exit status 1."""
    be_quiet()
    _end_with_the_run()
    head(name)
    try:
        yield
    except PipelineError as error:
        complain(str(error))
        sys.exit(1)


def be_quiet() -> None:
    """Keeps TensorFlow's chatter out of the output; effective before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")


@contextmanager
def silence() -> Iterator[None]:
    """Drops what the body writes to standard error, native libraries' messages too: TensorFlow's first ones heed no setting."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _end_with_the_run() -> None:
    if fifo := os.environ.get(LIFELINE):
        threading.Thread(target=_exit_at_end_of, args=(fifo,), daemon=True).start()


def _exit_at_end_of(fifo: str) -> None:
    try:
        lifeline = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # a blocking open waits for ever where the run has ended already
        with suppress(BlockingIOError):  # the run lives; without it the read gives the end of file
            os.read(lifeline, 1)
            os._exit(_INTERRUPTED)
        os.set_blocking(lifeline, True)
        os.read(lifeline, 1)  # nobody ever writes: this returns when the run has ended
    except FileNotFoundError:
        pass
    os._exit(_INTERRUPTED)
