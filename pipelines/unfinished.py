"""Runs on this machine that did not come to their end: killed, interrupted, or stopped by a step that failed.

<run>/run.json    what the run was started with; there until its end, and locked while its process lives
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.files import write_atomically

RECORD = "run.json"


@dataclass(frozen=True)
class Arguments:
    """What a run is started with."""

    recipe: str
    """Its text."""
    preset: str
    seed: int | None
    repository: str


@contextmanager
def recorded(folder: Path, arguments: Arguments, instead_of: Path | None = None) -> Iterator[None]:
    """Records the run in its folder until the body has come to its end; then, and where it takes the place of another, that
    one's record is gone."""
    record = folder / RECORD
    write_atomically(record, json.dumps(asdict(arguments), ensure_ascii=False).encode())
    with record.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if instead_of:
            (instead_of / RECORD).unlink(missing_ok=True)
        yield
        record.unlink()


def newest(runs: Path) -> tuple[Path, Arguments] | None:
    """The folder of the newest unfinished run whose process is gone, and what it was started with; None where there is none."""
    for record in sorted(runs.glob(f"*/{RECORD}"), reverse=True):
        try:
            with record.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return record.parent, Arguments(**json.load(file))
        except (OSError, ValueError, TypeError):  # it is running, has just ended, or is none of ours
            continue
    return None
