"""Labelled images in IDX files of the user's: EMNIST's splits, or any others that are named as MNIST's.

    emnist-letters-train-images-idx3-ubyte    raw or as .gz; the label files end in labels-idx1-ubyte
    emnist-letters-test-images-idx3-ubyte     or t10k instead of test
    gzip.zip                                  or all of EMNIST, as NIST publishes it, not unpacked

EMNIST (Cohen et al. 2017) exchanges rows and columns. Its images fill 24 of 28 pixels where ours fill 20, so they go through
the same preprocessing as what a client sends.
"""

import io
import multiprocessing
import os
import string
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting.errors import ImageError
from handwriting.preprocess import to_tensor
from pipelines.data import idx
from pipelines.data.download import gunzip
from pipelines.data.images import LabelledImages, SourceData
from pipelines.errors import DataError
from pipelines.files import sha256_of

FOLDER_VARIABLE = "HCR_DATA_DIR"
ARCHIVE = "gzip.zip"
ARCHIVE_DIGEST = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"
"""SHA-256 of EMNIST's archive; of the files in it no digest is published."""

_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"
EMNIST = {
    "emnist-balanced": _MERGED,
    "emnist-bymerge": _MERGED,
    "emnist-byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "emnist-letters": "\0" + string.ascii_uppercase,  # counts from 1
    "emnist-digits": string.digits,
    "emnist-mnist": string.digits,
}
"""For each of EMNIST's splits the characters that its labels stand for. In the merged ones the capital stands for both."""

_MAX_BYTES = 1 << 30  # the largest, byclass, has 522 MiB
_CHUNK = 2000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Files:
    """Where the files are, and how they are to be read."""

    folder: Path
    name: str
    """What their names begin with; may be empty."""
    transposed: bool = False
    sha256: Mapping[str, str] = field(default_factory=dict)
    """The digests that the user expects, by file."""

    @property
    def is_transposed(self) -> bool:
        return self.transposed or self.name in EMNIST


@dataclass(frozen=True)
class _Part:
    """The images of one pair of files, and what each is called by its number there."""

    data: LabelledImages
    names: list[str]
    blank: list[str]
    """The names of those without ink, which are left out."""


def load(files: Files, characters: Mapping[str, int], labels: Sequence[str], say: Say) -> SourceData:
    """The images of every character that is read as a label, as the model sees them; others are left out, and told.

    Raises:
        DataError: a file is missing, damaged, not what was expected, or fits no other.
    """
    read, digests = _reader(files, say), dict[str, str]()
    names = EMNIST.get(files.name, labels)
    parts, blank = {}, list[str]()
    for part in ("train", "test"):
        images, numbers = (read(part, kind, digests) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        parts[part] = _labelled(images, numbers, names, characters, files, part, say)
        blank += [f"{name}: without ink" for name in parts[part].blank]
    if unread := sorted(set(files.sha256) - set(digests)):
        raise DataError(f"data.sha256 names {unread[0]}, which is not read; read are {', '.join(digests)}")
    train, test = parts["train"], parts["test"]
    origin = {"name": "idx", "files": digests}
    return SourceData(train.data, test.data, origin, train_names=train.names, test_names=test.names, unreadable=blank)


def _reader(files: Files, say: Say) -> Callable[[str, str, dict[str, str]], NDArray[np.uint8]]:
    """Gives the array of one file, checked, and notes its digest."""
    archive = files.folder / ARCHIVE
    is_archived = files.name in EMNIST and archive.is_file()
    opened = _verified_archive(archive) if is_archived else None
    if opened:
        say(f"{archive}: digest verified")

    def read(part: str, kind: str, digests: dict[str, str]) -> NDArray[np.uint8]:
        file, content = _member(opened, files.name, part, kind) if opened else _loose(files, part, kind)
        digests[file] = sha256_of(content)
        if (expected := files.sha256.get(file)) and digests[file] != expected:
            raise DataError(f"{file}: SHA-256 is {digests[file][:12]}…, and data.sha256 expects {expected[:12]}…")
        if not opened:
            say(f"{file}: {'digest verified' if expected else f'not verified: SHA-256 {digests[file]}, none to compare with'}")
        return idx.parse(content, file)

    return read


def _verified_archive(path: Path) -> zipfile.ZipFile:
    content = path.read_bytes()
    if (digest := sha256_of(content)) != ARCHIVE_DIGEST:
        raise DataError(
            f"{path} is not EMNIST: SHA-256 {digest[:12]}… after {len(content)} bytes, expected {ARCHIVE_DIGEST[:12]}…"
        )
    return zipfile.ZipFile(io.BytesIO(content))


def _member(archive: zipfile.ZipFile, name: str, part: str, kind: str) -> tuple[str, bytes]:
    file = f"{name}-{part}-{kind}"
    try:
        return file, gunzip(archive.read(f"gzip/{file}.gz"), file, _MAX_BYTES)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{ARCHIVE}: {error}") from None


def _loose(files: Files, part: str, kind: str) -> tuple[str, bytes]:
    """The file's name, uncompressed, and its content."""
    begin = f"{files.name}-" if files.name else ""
    names = [f"{begin}{one}-{kind}" for one in ((part,) if part == "train" else (part, "t10k"))]
    for name in names:
        if (path := files.folder / name).is_file():
            return name, path.read_bytes()
        if (path := files.folder / f"{name}.gz").is_file():
            return name, gunzip(path.read_bytes(), str(path), _MAX_BYTES)
    raise DataError(f"{files.folder} has neither {' nor '.join(names)}, raw or as .gz")


def _labelled(
    images: NDArray[np.uint8],
    numbers: NDArray[np.uint8],
    names: Sequence[str],
    characters: Mapping[str, int],
    files: Files,
    part: str,
    say: Say,
) -> _Part:
    if images.ndim != 3 or numbers.shape != images.shape[:1]:
        raise DataError(f"{part}: images {images.shape} and labels {numbers.shape}; expected (N, height, width) and (N,)")
    if numbers.size and int(numbers.max()) >= len(names):
        raise DataError(f"{part}: a label is {numbers.max()}; {files.name or 'the recipe'} has {len(names)}, counted from 0")
    index_of = np.array([characters.get(name, -1) for name in names])
    labels = index_of[numbers]
    if unknown := sorted({names[number] for number in np.unique(numbers[labels < 0])}):
        say(f"{part}: not in the recipe's labels, left out: {' '.join(unknown)}")
    known = images[labels >= 0]
    seen, is_blank = preprocessed(known.transpose(0, 2, 1) if files.is_transposed else known)
    if is_blank.any():
        say(f"{part}: {int(is_blank.sum())} images without ink left out")
    numbered = [f"{files.name or files.folder.name} {part} image {number}" for number in np.flatnonzero(labels >= 0)]
    return _Part(
        LabelledImages(seen[~is_blank], labels[labels >= 0][~is_blank].astype(np.int64)),
        names=[name for name, blank in zip(numbered, is_blank, strict=True) if not blank],
        blank=[name for name, blank in zip(numbered, is_blank, strict=True) if blank],
    )


def preprocessed(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The images, light ink on dark, as the model sees them: uint8 (N, 28, 28); and for each whether it has no ink."""
    chunks = [np.ascontiguousarray(images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK)]
    if len(chunks) < 2:
        done = [_preprocessed(chunk) for chunk in chunks]
    else:
        with multiprocessing.get_context("spawn").Pool(min(len(os.sched_getaffinity(0)), len(chunks))) as pool:
            done = pool.map(_preprocessed, chunks)
    if not done:
        return np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.bool_)
    return np.concatenate([seen for seen, _ in done]), np.concatenate([is_blank for _, is_blank in done])


def _preprocessed(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    seen, is_blank = np.zeros((len(images), 28, 28), np.uint8), np.zeros(len(images), np.bool_)
    for number, image in enumerate(images):
        try:
            seen[number] = to_tensor(image, "light_on_dark")
        except ImageError:
            is_blank[number] = True
    return seen, is_blank
