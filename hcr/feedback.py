"""`hcr feedback`: what clients sent back, as the gateway stores it, listed, confirmed, copied and taken away."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from handwriting.labels import label_of
from hcr.drawing import columns
from pipelines.data.feedback import note
from pipelines.data.pictures import SUFFIXES
from pipelines.files import write_atomically

_AGE = re.compile(r"(\d{1,6})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_UNFINISHED_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Item:
    """An image that was sent with a label, and what was noted about it."""

    path: Path
    model: str
    label: str
    note: dict[str, Any]

    @property
    def time(self) -> datetime:
        """When it came; of one without a readable note, when its file was written."""
        try:
            return datetime.fromisoformat(self.note["time"])
        except (KeyError, TypeError, ValueError):
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.path, self.path.with_suffix(".json")) if path.exists())


def find(folder: Path, model: str | None, label: str | None, older_than: timedelta | None) -> list[Item]:
    """The images in the folder by model, label and time; of all, of one model, of one label, or those older than that.

    Raises:
        ClickException: there is no such folder.
    """
    if not folder.is_dir():
        raise click.ClickException(f"{folder} is no folder; GATEWAY_FEEDBACK_DIR or --folder names that of the gateway")
    before = datetime.now(UTC) - older_than if older_than is not None else None
    items = [
        item
        for item in _items(folder)
        if (model is None or item.model == model)
        and (label is None or item.label == label)
        and (before is None or item.time < before)
    ]
    return sorted(items, key=lambda item: (item.model, item.label, item.time, item.path.name))


def listed(items: Iterable[Item], folder: Path, as_json: bool) -> str:
    """Models and labels with how many images, or, as JSON, one line for each image."""
    items = list(items)
    if as_json:
        return "\n".join(
            json.dumps({"file": str(item.path), "bytes": item.bytes, **item.note, "label": item.label}, ensure_ascii=False)
            for item in items
        )
    if not items:
        return f"no feedback in {folder}"
    counts = Counter((item.model, item.label) for item in items)
    rows = []
    for (model, label), count in counts.items():
        own = [item for item in items if (item.model, item.label) == (model, label)]
        confirmed = sum(bool(item.note.get("confirmed")) for item in own)
        times = sorted(item.time for item in own)
        size = f"{sum(item.bytes for item in own):,}"
        rows.append((model, label, str(count), str(confirmed), size, f"{times[0]:%Y-%m-%d}", f"{times[-1]:%Y-%m-%d}"))
    header = ("MODEL", "LABEL", "IMAGES", "CONFIRMED", "BYTES", "OLDEST", "NEWEST")
    return f"{columns([header, *rows])}\n{len(items):,} images, {sum(item.bytes for item in items):,} bytes in {folder}"


def export(items: Iterable[Item], out: Path) -> int:
    """Copies images and notes into a folder per model and label, as recipes take them; how many images.

    Raises:
        ClickException: a file cannot be written.
    """
    count = 0
    try:
        for item in items:
            place = out / item.model / item.path.parent.name
            place.mkdir(parents=True, exist_ok=True)
            for path in (item.path.with_suffix(".json"), item.path):
                if path.exists():
                    shutil.copyfile(path, place / path.name)
            count += 1
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from None
    return count


def purge(items: Iterable[Item]) -> tuple[int, int]:
    """Takes images away, each one before its note, and lets that outlast a power cut; how many, and how many bytes."""
    count = size = 0
    folders = set()
    for item in items:
        size += item.bytes
        for path in (item.path, item.path.with_suffix(".json")):
            path.unlink(missing_ok=True)
        folders.add(item.path.parent)
        count += 1
    for folder in folders:
        _sync(folder)
    return count, size


def sweep(folder: Path, older_than: timedelta = _UNFINISHED_AFTER) -> int:
    """Takes away what a crash has left and nothing else would: files half written, notes without an image; how many.

    Younger ones may be on their way in.
    """
    before = datetime.now(UTC) - older_than
    count = 0
    for path in folder.glob("*/*/*"):
        is_left = path.name.startswith(".") or (path.suffix == ".json" and not _has_image(path))
        with suppress(FileNotFoundError):  # it was on its way in, and has arrived
            if is_left and datetime.fromtimestamp(path.stat().st_mtime, UTC) <= before:
                path.unlink()
                count += 1
    return count


def confirm(files: Iterable[Path]) -> int:
    """Notes beside each image that a human has looked at it and that its label is right; how many.

    Raises:
        ClickException: there is no such image.
    """
    count = 0
    for path in files:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise click.ClickException(f"{path} is no image of the feedback; {count} were confirmed before it")
        content = json.dumps({**note(path), "confirmed": True}, ensure_ascii=False).encode() + b"\n"
        write_atomically(path.with_suffix(".json"), content)
        count += 1
    return count


def age(text: str) -> timedelta:
    """The time that a text such as `90d`, `12h` or `30m` names.

    Raises:
        BadParameter: it names none.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r}; expected days, hours or minutes, such as 90d, 12h or 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _items(folder: Path) -> Iterator[Item]:
    for path in folder.glob("*/*/*"):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield Item(path, path.parent.parent.name, label_of(path.parent.name), note(path))


def _has_image(note: Path) -> bool:
    return any(note.with_suffix(suffix).exists() for suffix in SUFFIXES)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
