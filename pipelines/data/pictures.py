"""Pictures with their labels and where they came from: to measure on, in one of two layouts.

numbers/7/001.png             a folder per label; its name is percent-encoded where it must be
numbers/_none/001.png         what is none of the labels (a label `_none` would be `%5Fnone`)
numbers/photos/7/001.png      folders above that are sources

numbers/labels.csv            or a table with columns path, label and, if you like, source and kind: `single` is a picture of
                              one character, `strings` one of a field, whose text is the label, and `none` one of neither,
                              without a label
"""

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting.errors import ImageError, NoInk
from handwriting.image import decode
from handwriting.labels import NONE_FOLDER, label_of
from handwriting.preprocess import to_tensor
from pipelines.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
TABLE = "labels.csv"
SINGLE, STRINGS, NONE = "single", "strings", "none"
"""The kinds of pictures that a table tells apart."""


@dataclass(frozen=True)
class Picture:
    """One file, not read yet."""

    path: Path
    name: str
    """The path below the folder that was searched."""
    label: str
    """The character, or a field's text; empty where the picture shows neither."""
    source: str


@dataclass(frozen=True)
class Unread:
    """A picture in which no character was found, and why."""

    picture: Picture
    reason: str
    is_blank: bool = False
    """It was decoded, and nothing on it stands out from its background as a character does."""


@dataclass(frozen=True)
class Found:
    """What lies in a folder."""

    pictures: list[Picture]
    """Of one character each."""
    fields: list[Picture]
    outliers: list[Picture]
    left_out: dict[str, int]
    """What is none of them: a description → how many."""


def find(folder: Path) -> Found:
    """The pictures below the folder, each kind by source, label and name.

    Raises:
        DataError: there is none, or labels.csv is not as it should be.
    """
    kinds, left_out = _in_table(folder) if (folder / TABLE).is_file() else _in_folders(folder)
    if not any(kinds.values()):
        others = "".join(f", but {count:,} {what}" for what, count in left_out.items())
        raise DataError(
            f"{folder} holds no labelled pictures{others}; expected {TABLE} with columns path and label, "
            "or a folder per label with pictures in it"
        )
    ordered = {kind: sorted(found, key=lambda item: (item.source, item.label, item.name)) for kind, found in kinds.items()}
    return Found(ordered[SINGLE], ordered[STRINGS], ordered[NONE], left_out)


def read(pictures: Sequence[Picture], tell: Callable[[int], None]) -> tuple[list[Picture], NDArray[np.uint8], list[Unread]]:
    """The pictures in which a character was found, each one as a model sees it (uint8 (N, 28, 28)), and the others.

    Tells how many are done after each one.
    """
    seen, tensors, unread = [], [], []
    for done, picture in enumerate(pictures, 1):
        try:
            tensors.append(to_tensor(decode(picture.path.read_bytes())))
            seen.append(picture)
        except (ImageError, OSError) as error:
            unread.append(unread_for(picture, error))
        tell(done)
    return seen, np.array(tensors, np.uint8), unread


def unread_for(picture: Picture, error: ImageError | OSError) -> Unread:
    """The picture with the reason why nothing was read from it."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Unread(picture, reason, isinstance(error, NoInk))


_Kinds = dict[str, list[Picture]]


def _in_folders(folder: Path) -> tuple[_Kinds, dict[str, int]]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    kinds: _Kinds = {SINGLE: [], STRINGS: [], NONE: []}
    unlabelled = 0
    for path in files:
        *above, name = path.relative_to(folder).parts
        if any(part.startswith(".") for part in (*above, name)):
            continue  # what file managers and Git keep for themselves
        if not above:
            unlabelled += 1
            continue
        *sources, own = above
        kind, label = (NONE, "") if own == NONE_FOLDER else (SINGLE, label_of(own))
        kinds[kind].append(Picture(path, "/".join((*above, name)), label, "/".join(sources) or _own_name(folder)))
    return kinds, {"pictures in no label's folder": unlabelled} if unlabelled else {}


def _in_table(folder: Path) -> tuple[_Kinds, dict[str, int]]:
    kinds: _Kinds = {SINGLE: [], STRINGS: [], NONE: []}
    others = Counter[str]()
    for line, row in _rows(folder / TABLE):
        kind = row.get("kind") or SINGLE
        if kind not in kinds:
            others[kind] += 1
            continue
        if not row["path"]:
            raise DataError(f"{folder / TABLE}, line {line}: no path")
        if bool(row["label"]) == (kind == NONE):
            fault = f"label {row['label']!r}; kind none has no" if kind == NONE else "no"
            raise DataError(f"{folder / TABLE}, line {line}: {fault} label")
        label = unicodedata.normalize("NFC", row["label"])
        kinds[kind].append(Picture(folder / row["path"], row["path"], label, row.get("source") or _own_name(folder)))
    return kinds, {f"rows of kind {kind}": count for kind, count in sorted(others.items())}


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row below the head, with its line number."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True, restval="")
            columns = reader.fieldnames or ()
            if not {"path", "label"} <= set(columns):
                raise DataError(f"{table} has the columns {', '.join(columns)}; at least path and label are expected")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as UTF-8 CSV: {error}") from None


def _own_name(folder: Path) -> str:
    return folder.resolve().name or str(folder)
