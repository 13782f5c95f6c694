"""A folder per label with pictures of the character in it: any alphabet, any source.

    characters/ä/scan-001.png
    characters/ä/scan-002.png
    characters/%2F/slash.jpg      what a file name cannot hold is percent-encoded

Each picture goes through the same preprocessing as what a client sends.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting.errors import ImageError
from handwriting.image import decode
from handwriting.labels import folder_name, label_of
from handwriting.preprocess import to_tensor
from pipelines.data.images import LabelledImages, SourceData
from pipelines.data.pictures import SUFFIXES
from pipelines.errors import DataError
from pipelines.files import sha256_of

_MAX_NAMED = 5

Say = Callable[[str], None]
Picture = tuple[str, Path, NDArray[np.uint8]]
"""The digest of the file, the file, and the character as the model sees it."""


@dataclass(frozen=True)
class Shelf:
    """A label's pictures."""

    label: str
    pictures: list[Picture]
    """The readable ones without duplicates, in the order of their digests."""
    refused: list[str]
    """The others, each with the reason."""


def load(
    folder: Path, labels: Sequence[str], test_fraction: float, say: Say, merged: Mapping[str, Sequence[str]] | None = None
) -> SourceData:
    """The pictures of every label; of each label's, in the order of their digests, the first are for the test.

    A label's pictures also lie in the folders of the characters that are merged into it.

    So the split depends on nothing but the pictures, equal pictures never lie on both sides, and each label is on both.

    Raises:
        DataError: no such folder, a label without a folder, or with fewer than two different readable pictures.
    """
    folders = label_folders(folder, labels)
    train: list[tuple[int, Picture]] = []
    test: list[tuple[int, Picture]] = []
    unreadable: list[str] = []
    for index, label in enumerate(labels):
        characters = (label, *(merged or {}).get(label, ()))
        own = [path for one in characters for path in folders.pop(unicodedata.normalize("NFC", one), [])]
        pictures, refused = _pictures(folder, own, label, say)
        unreadable += refused
        split = min(len(pictures) - 1, max(1, round(len(pictures) * test_fraction)))
        test += [(index, picture) for picture in pictures[:split]]
        train += [(index, picture) for picture in pictures[split:]]
    if folders:
        say(f"{folder}: not in the recipe's labels, left out: {', '.join(sorted(folders)[:_MAX_NAMED])}")
    say(f"{folder}: {len(train)} pictures to train, {len(test)} to test, {len(labels)} labels")
    return SourceData(
        _stacked(train),
        _stacked(test),
        {"name": "folder", "digest": _digest([*train, *test])},
        train_names=[str(path) for _, (_, path, _) in train],
        test_names=[str(path) for _, (_, path, _) in test],
        unreadable=unreadable,
    )


def label_folders(folder: Path, expected: Sequence[str] = ()) -> dict[str, list[Path]]:
    """The folders by the label that their names stand for, mostly one each; hidden ones are left out.

    Raises:
        DataError: no such folder; names some of the labels that were expected there.
    """
    if not folder.is_dir():
        some = f": {', '.join(expected[:_MAX_NAMED])} …" if expected else ""
        raise DataError(f"{folder} is no folder; expected one with a folder per label{some}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            found.setdefault(label_of(path.name), []).append(path)
    return found


def shelf(label: str, folders: Sequence[Path]) -> Shelf:
    """The label's pictures in these folders."""
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
    contents = {sha256_of(content): (path, content) for path in files for content in [path.read_bytes()]}
    pictures, refused = [], []
    for digest, (path, content) in sorted(contents.items()):
        try:
            pictures.append((digest, path, np.asarray(to_tensor(decode(content)))))
        except ImageError as error:
            refused.append(f"{path.name} ({error})")
    return Shelf(label, pictures, refused)


def _pictures(folder: Path, folders: Sequence[Path], label: str, say: Say) -> tuple[list[Picture], list[str]]:
    """The label's pictures, at least two; and its files that cannot be read, each with the reason."""
    if not folders:
        raise DataError(f"label {label!r} has no folder {folder_name(label)} in {folder}")
    found, name = shelf(label, folders), folders[0]
    if found.refused:
        more = " …" if len(found.refused) > _MAX_NAMED else ""
        say(f"{name}: {len(found.refused)} left out: {', '.join(found.refused[:_MAX_NAMED])}{more}")
    if len(found.pictures) < 2:
        raise DataError(f"{name}: {len(found.pictures)} different readable pictures; at least 2, one to train and one to test")
    return found.pictures, [f"{name}/{reason}" for reason in found.refused]


def _stacked(pictures: list[tuple[int, Picture]]) -> LabelledImages:
    images = np.stack([image for _, (_, _, image) in pictures])
    return LabelledImages(images, np.array([index for index, _ in pictures], np.int64))


def _digest(pictures: list[tuple[int, Picture]]) -> str:
    return sha256_of("".join(f"{index} {digest}\n" for index, (digest, _, _) in pictures).encode())
