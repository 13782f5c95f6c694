"""Omniglot (Lake, Salakhutdinov, Tenenbaum 2015): characters of whole alphabets, each drawn once by each of 20 writers.

Read from `data_background_small1.mat` where the user has it, and only if it is the original. The split is by writer: who is in
the test has drawn nothing that is trained on or held out.
"""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import LabelledImages
from pipelines.errors import DataError
from pipelines.files import sha256_of

FILE = "data_background_small1.mat"
DIGEST = "3c71b2d73736c64566d12e55f3abcd2e3968152db2f555b4b82fb9387cc008d0"
"""SHA-256 of the file."""
FOLDER_VARIABLE = "HCR_DATA_DIR"
"""Names the folder that may hold the file."""

ALPHABETS = {
    "Greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "Korean": "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ",
    "Latin": "abcdefghijklmnopqrstuvwxyz",
}
"""Which character each of an alphabet's numbered drawings is: the file does not say it, they were looked at. All of the Latin
letters are small ones."""


@dataclass(frozen=True)
class Writers:
    """The drawings of one alphabet, by whose they are."""

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    counts: dict[str, int]
    """How many writers each part has."""


def find(folder: str) -> Path | None:
    """The file in that folder (with none: in the one that HCR_DATA_DIR names); None where it is not there."""
    place = folder or os.environ.get(FOLDER_VARIABLE, "")
    path = Path(place, FILE)
    return path if place and path.is_file() else None


def load(path: Path, alphabet: str, characters: Mapping[str, int], validation: float, test: float) -> Writers:
    """The alphabet's drawings as the model sees them, for each character the label's index; others are left out.

    `validation` and `test` are shares of the writers, each at least one.

    Raises:
        DataError: not the original file, or too few writers for three parts.
    """
    drawings = read(path)[alphabet]
    chosen = writers(len(drawings[0]), validation, test)
    parts = {part: of_writers(drawings, alphabet, characters, numbers) for part, numbers in chosen.items()}
    return Writers(**parts, counts={part: len(numbers) for part, numbers in chosen.items()})


def writers(count: int, validation: float, test: float) -> dict[str, list[int]]:
    """For each part the numbers of its writers; which writer is where depends on the shares alone.

    Raises:
        DataError: none is left to train on.
    """
    order = np.random.default_rng(0).permutation(count)
    test_count, validation_count = (max(1, round(count * share)) for share in (test, validation))
    if test_count + validation_count >= count:
        raise DataError(
            f"Omniglot: data.test {test:g} and data.validation {validation:g} leave none of {count} writers to train on"
        )
    chosen = np.split(order, [test_count, test_count + validation_count])
    return {part: sorted(numbers.tolist()) for part, numbers in zip(("test", "validation", "train"), chosen, strict=True)}


def of_writers(
    drawings: list[list[NDArray[np.uint8]]], alphabet: str, characters: Mapping[str, int], numbers: list[int]
) -> LabelledImages:
    """What the writers with those numbers drew of the characters, as the model sees it."""
    from handwriting.preprocess import to_tensor  # needs OpenCV

    images, labels = [], []
    for character, by_writer in zip(ALPHABETS[alphabet], drawings, strict=True):
        for writer in numbers:
            if character in characters:
                images.append(to_tensor(by_writer[writer]))
                labels.append(characters[character])
    if not images:
        raise DataError(f"Omniglot: {alphabet} has none of the labels; it has {ALPHABETS[alphabet]}")
    return LabelledImages(np.stack(images), np.array(labels, np.int64))


def read(path: Path) -> dict[str, list[list[NDArray[np.uint8]]]]:
    """For each alphabet its characters' drawings by writer: uint8 (105, 105), paper 255, ink 0.

    Raises:
        DataError: not the original file.
    """
    from scipy.io import loadmat

    content = path.read_bytes()
    if (digest := sha256_of(content)) != DIGEST:
        raise DataError(
            f"{path} is not the original: SHA-256 {digest[:12]}… after {len(content)} bytes, expected {DIGEST[:12]}…"
        )
    table = loadmat(io.BytesIO(content), variable_names=["names", "images"])
    return {
        str(name.item()): [[_pixels(drawing) for drawing in character.flat] for character in images.flat]
        for name, images in zip(table["names"].flat, table["images"].flat, strict=True)
    }


def _pixels(drawing: Any) -> NDArray[np.uint8]:
    return np.asarray(drawing, np.uint8) * np.uint8(255)  # 1 is paper
