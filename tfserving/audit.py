"""The audit log of a repository: who changed what, when and why. A JSON object a line; only ever appended to.

Each entry is durable before the change that it tells of, and carries the digest of the state before and after. Where a crash
came between the two, or someone edited a file by hand, the digests do not fit, and the next entry is preceded by one that
says so. A line that a crash left unfinished is skipped.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "audit.log"
ACTOR_VARIABLE = "HCR_ACTOR"
"""Who is meant to have done it; without it, the system's user at this machine."""

INTERRUPTED, EDITED = "interrupted", "edited"
_MAX_REASON = 500
_TAIL = 16_384  # an entry takes less

Entry = dict[str, Any]


def append(path: Path, before: str, after: str, action: str, why: str = "", **details: Any) -> None:
    """Adds an entry, durably, for a change of the state from one digest to the other.

    Raises:
        OSError: it could not be written whole; the change must not be made.
    """
    entry = {"time": _now(), "who": actor(), "action": action, **details, "before": before, "after": after}
    if why:
        entry["why"] = why[:_MAX_REASON]
    content = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in [*_reconciled(path, before), entry])
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        data = (("" if _ends_with_a_line(path) else "\n") + content).encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[Entry]:
    """The entries, oldest first; none where there is no log."""
    try:
        with path.open("rb") as file:
            yield from filter(None, map(_parsed, file))
    except FileNotFoundError:
        return


def actor() -> str:
    """Who makes the change."""
    if named := os.environ.get(ACTOR_VARIABLE):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _reconciled(path: Path, current: str) -> list[Entry]:
    """An entry on how the state came to differ from what the last one said, where it does."""
    last = _last(path)
    if last is None or last["after"] == current:
        return []
    action = INTERRUPTED if last["before"] == current else EDITED
    what = "the change before was not made: its process ended" if action == INTERRUPTED else "changed by something else"
    return [{"time": _now(), "action": action, "why": what, "before": last["after"], "after": current}]


def _last(path: Path) -> Entry | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    return next(filter(None, map(_parsed, reversed(lines))), None)


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() in (b"", b"\n")


def _parsed(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"action", "before", "after"} <= entry.keys() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
