"""The data set that `prepare` writes and the other steps read: arrays as .npy files, the recipe, and a manifest."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.images import LabelledImages
from pipelines.errors import DataError
from pipelines.files import sha256_of

PARTS = ("train", "validation", "test")
FONTS = "fonts"
"""The part with characters of fonts that are not in the training images; only where the recipe asks for fonts."""
OUTLIERS = "outliers"
"""The part with images that show none of the labels and that are not in the training images; only where there are some."""
FEEDBACK = "feedback"
"""The part with corrected images that clients sent and that are not trained on; only where the recipe asks for feedback."""
MANIFEST = "manifest.json"
VALIDATION = "validation.html"
"""The report on what the checks found."""


def write_part(folder: Path, part: str, data: LabelledImages) -> dict[str, str]:
    """Writes the images and labels of one part; gives the SHA-256 of each file by name."""
    files = _files(part, data)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: sha256_of(content) for name, content in files.items()}


def digests(part: str, data: LabelledImages) -> dict[str, str]:
    """What `write_part` would give, without writing anything."""
    return {name: sha256_of(content) for name, content in _files(part, data).items()}


def _files(part: str, data: LabelledImages) -> dict[str, memoryview]:
    """The content of each file of one part by name."""
    files = {}
    for name, array in ((f"{part}_images.npy", data.images), (f"{part}_labels.npy", data.labels)):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        files[name] = buffer.getbuffer()
    return files


def has_part(folder: Path, part: str) -> bool:
    """Whether the data set has that part."""
    return (folder / f"{part}_images.npy").is_file()


def read_part(folder: Path, part: str) -> LabelledImages:
    """The images and labels of one part: `train`, `validation`, `test`, `fonts` or `outliers`.

    Raises:
        DataError: they are not there, or damaged.
    """
    try:
        images, labels = (np.load(folder / f"{part}_{what}.npy", allow_pickle=False) for what in ("images", "labels"))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"data set {folder}: {error}") from None
    return LabelledImages(images, labels)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes what the data set holds and where it came from."""
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the data set holds and where it came from."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest
