"""Feedback: images with the labels that they should have had, kept where a recipe can train on them. Knows no HTTP.

FOLDER/digits/7/3f79bb7b435b0532.png    the image as it came; FOLDER/digits is a folder per label, as recipes take it
FOLDER/digits/7/3f79bb7b435b0532.json   what it was said about: model, version, time, the request's id
"""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from uuid import uuid4

from gateway.budget import Baton, Deadline, PixelBudget
from gateway.catalogue import Catalogue
from handwriting.image import open_image
from handwriting.labels import folder_name
from handwriting.preprocess import to_tensor

_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tiff"}
_RECOUNT_SECONDS = 60


class FeedbackFull(Exception):
    """The operator's limit is reached; nothing more is stored until something is taken away."""


class FeedbackUnavailable(Exception):
    """The folder cannot be written to now: a full disk, say, or a read-only one."""


class UnknownLabel(ValueError):
    """The label is none of the classes of the version that was asked about; the message lists those."""


@dataclass(frozen=True)
class Feedback:
    """An image of which someone says what it shows; the version is a number, a label, or None for the stable one."""

    file: bytes
    label: str
    model: str
    version: int | str | None = None


class Collector:
    """Takes what a recipe can train on: images that can be read, with labels that the model has. Thread-safe."""

    def __init__(self, catalogue: Catalogue, baton: Baton, budget: PixelBudget, store: "FeedbackStore") -> None:
        self._catalogue = catalogue
        self._baton = baton
        self._budget = budget
        self._store = store

    def take(self, feedback: Feedback, request_id: str, deadline: Deadline) -> int:
        """The number of the version that the feedback is about, once the image is durably stored.

        Raises:
            UnknownLabel: the label is no class of the version.
            ImageError: no character can be seen on the image.
            Overloaded: there is no memory to decode it now.
            ServingError: no model server told in time which classes there are.
            FeedbackFull, FeedbackUnavailable: it cannot be stored.
        """
        version = self._catalogue.resolve(feedback.model, feedback.version, deadline)
        labels = self._catalogue.classes_of(feedback.model, version, deadline).labels
        label = next((one for one in (feedback.label, unicodedata.normalize("NFC", feedback.label)) if one in labels), None)
        if label is None:
            raise UnknownLabel(f"The label is {feedback.label[:60]!r}; model {feedback.model} has {', '.join(labels)[:2000]}.")
        opened = open_image(feedback.file)
        with self._baton.passed_on_for(opened.pixel_count), self._budget.reserved(opened.memory_pixels):
            to_tensor(opened.decode())
        note = {"label": label, "model": feedback.model, "version": version, "time": _now(), "id": request_id}
        with self._baton.passed_on():
            self._store.keep(feedback.file, _SUFFIXES[opened.format], Path(feedback.model, folder_name(label)), note)
        return version


class FeedbackStore:
    """Keeps images below a folder, up to so many bytes in all. Thread-safe."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._bytes = 0
        self._next_count = 0.0

    def keep(self, file: bytes, suffix: str, place: Path, note: Mapping[str, object]) -> None:
        """Returns once the image and the note are durably stored at the place; the same image is stored there once.

        Raises:
            FeedbackFull: it would be more than the limit.
            FeedbackUnavailable: the folder cannot be written to.
        """
        path = self._folder / place / f"{hashlib.sha256(file).hexdigest()[:32]}{suffix}"
        as_json = json.dumps(note, ensure_ascii=False).encode() + b"\n"
        try:
            _make(path.parent)
            if not path.exists():
                with self._reserved(len(file) + len(as_json)):
                    _write(path.with_suffix(".json"), as_json)  # first, so that no image is without
                    _write(path, file)
            _sync(path.parent)
        except OSError as error:
            raise FeedbackUnavailable(f"the feedback cannot be stored: {error.strerror}") from error

    @contextmanager
    def _reserved(self, count: int) -> Iterator[None]:
        """Counts the bytes as stored, unless the block fails."""
        with self._lock:
            self._check_space(count)
            self._bytes += count
        try:
            yield
        except OSError:
            with self._lock:
                self._bytes -= count
            raise

    def _check_space(self, count: int) -> None:
        """What others have stored or taken away is seen when this process's count is full, at most once a minute."""
        if (not self._next_count or self._bytes + count > self._max_bytes) and monotonic() >= self._next_count:
            self._bytes = sum(map(_size, self._folder.rglob("*")))
            self._next_count = monotonic() + _RECOUNT_SECONDS
        if self._bytes + count > self._max_bytes:
            raise FeedbackFull(
                f"{self._bytes:,} bytes of feedback are stored; with this one's {count:,} they would be more than the "
                f"{self._max_bytes:,} that the operator has set aside"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # another process has just given it its name
        return 0


def _make(folder: Path) -> None:
    """Makes the folder, and those above it, so that they outlast a power cut."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _write(path: Path, content: bytes) -> None:
    """Puts the whole file there, or none; its name lasts once its folder is synced."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
