"""What clients sent back: images with the labels that they should have had, as the gateway stores them.

    <folder>/<model>/<label>/3f79bb7b435b0532.png     the image
    <folder>/<model>/<label>/3f79bb7b435b0532.json    the note beside it; `"confirmed": true` once a human has looked

A fifth is held out, and measured as a slice of its own: which images, depends on their content alone, so that what was held out
once is never trained on. What contradicts a model that was confident is left out until a human confirms it: it may be a
mistake, or malice.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handwriting.errors import ImageError
from handwriting.image import decode
from handwriting.labels import label_of
from handwriting.preprocess import to_tensor
from pipelines.data.images import LabelledImages
from pipelines.data.pictures import SUFFIXES
from pipelines.files import sha256_of

ORIGIN = "feedback"
_HELD_OUT = 5  # one in so many

Ask = Callable[[NDArray[np.uint8]], tuple[list[str], NDArray[np.float32]]]
"""Images uint8 (N, 28, 28) → the character that a version takes each for, and how confident it is."""


@dataclass(frozen=True)
class Corrections:
    """The images of one model that can be read and whose label it has, each picture once."""

    data: LabelledImages
    names: list[str]
    """Their files."""
    is_held_out: NDArray[np.bool_]
    is_confirmed: NDArray[np.bool_]
    left_out: list[str]
    """Other files, each with the reason."""

    def __len__(self) -> int:
        return len(self.data)

    def only(self, chosen: NDArray[np.bool_]) -> "Corrections":
        """The chosen of the images."""
        return Corrections(
            LabelledImages(self.data.images[chosen], self.data.labels[chosen]),
            [name for name, keep in zip(self.names, chosen, strict=True) if keep],
            self.is_held_out[chosen],
            self.is_confirmed[chosen],
            self.left_out,
        )


@dataclass(frozen=True)
class Contradiction:
    """A correction that a confident version does not agree with."""

    name: str
    """The file."""
    image: NDArray[np.uint8]
    label: str
    taken_for: str
    confidence: float

    def told(self) -> str:
        """What contradicts what, in one line."""
        return f"{self.name}: sent as {self.label}, taken for {self.taken_for} at {self.confidence:.1%}"


def load(folder: Path, model: str, characters: Mapping[str, int]) -> Corrections:
    """What the folder holds for the model, labelled with the index of the label that each character is read as.

    An image that is there with several labels has none that can be trusted, and is left out.
    """
    images, labels, names, digests, confirmed, left_out = [], [], [], [], [], []
    files = sorted(path for path in (folder / model).glob("*/*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    contents = [path.read_bytes() for path in files]
    places: dict[str, set[str]] = {}
    for path, content in zip(files, contents, strict=True):
        places.setdefault(sha256_of(content), set()).add(path.parent.name)
    for path, content in zip(files, contents, strict=True):
        label, digest = label_of(path.parent.name), sha256_of(content)
        if label not in characters:
            left_out.append(f"{path}: {label!r} is none of the recipe's labels")
        elif len(places[digest]) > 1:
            left_out.append(f"{path}: is there with several labels")
        elif digest not in digests:
            try:
                images.append(np.asarray(to_tensor(decode(content))))
            except ImageError as error:
                left_out.append(f"{path}: {error}")
                continue
            labels.append(characters[label])
            names.append(str(path))
            digests.append(digest)
            confirmed.append(bool(note(path).get("confirmed")))
    return Corrections(
        LabelledImages(np.array(images, np.uint8).reshape(-1, 28, 28), np.array(labels, np.int64)),
        names,
        np.array([int(digest[:8], 16) % _HELD_OUT == 0 for digest in digests], np.bool_),
        np.array(confirmed, np.bool_),
        left_out,
    )


def note(path: Path) -> dict[str, Any]:
    """What is noted beside the image; nothing where there is no note that can be read."""
    try:
        content = json.loads(path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def contradictions(corrections: Corrections, labels: Sequence[str], ask: Ask, confidence: float) -> dict[int, Contradiction]:
    """Those that a version, asked for all, takes for something else at such a confidence or more, by their index.

    What a human has confirmed is none.
    """
    if not len(corrections):
        return {}
    taken, sure = ask(corrections.data.images)
    found = {}
    for index, name in enumerate(corrections.names):
        label = labels[int(corrections.data.labels[index])]
        if taken[index] != label and sure[index] >= confidence and not corrections.is_confirmed[index]:
            image = corrections.data.images[index]
            found[index] = Contradiction(name, image, label, taken[index], float(sure[index]))
    return found
