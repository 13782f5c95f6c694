"""What every source gives: labelled images, already as the model sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLIER = -1
"""The label of an image that shows none of the recipe's labels; only in training images."""
OWN = "source"
"""The origin of the images that are the source's own."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with the index of each one's label in the recipe's list of labels."""

    images: NDArray[np.uint8]
    """uint8 (N, 28, 28), paper 0, ink 255."""
    labels: NDArray[np.int64]
    """int64 (N,)."""

    def __add__(self, other: "LabelledImages") -> "LabelledImages":
        """These images, then the others."""
        return LabelledImages(np.concatenate([self.images, other.images]), np.concatenate([self.labels, other.labels]))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class SourceData:
    """All that a source has, and where it came from."""

    train: LabelledImages
    test: LabelledImages
    origin: dict[str, Any] = field(default_factory=dict)
    """For the manifest: where the images came from, in what JSON can hold."""
    validation: LabelledImages | None = None
    """What is held out, where the source itself tells it from what is trained on."""
    is_stand_in: bool = False
    """Whether these are characters of fonts, because the user does not have what the recipe names."""
    train_names: Sequence[str] = ()
    """For each image to train on the file that it comes from, where each has one."""
    test_names: Sequence[str] = ()
    """The same for those of the test."""
    unreadable: Sequence[str] = ()
    """Files that were left out, each with the reason."""


@dataclass(frozen=True, eq=False)
class Lot:
    """The images of one part of the data set that come from one place."""

    part: str
    """`train`, `validation`, `test`, `fonts` or `outliers`."""
    origin: str
    """OWN for the source's own images, else what the recipe's `[data]` adds: `fonts`, `mnist`, `restyled`, `fields`, …"""
    data: LabelledImages
    called: str
    """What an image is called that has no file of its own: `mnist training image`, and its number."""
    names: Sequence[str] = ()
    """For each image the file that it comes from, where each has one."""
    numbers: Sequence[int] = ()
    """For each image its number where it comes from, where that is not its number here."""
    weight: int = 1
    """How many times each image is in the part."""

    def name(self, index: int) -> str:
        """What a human finds the image by."""
        if self.names:
            return self.names[index]
        return f"{self.called} {self.numbers[index] if len(self.numbers) else index}"

    def only(self, chosen: NDArray[np.bool_], part: str) -> "Lot":
        """The chosen of its images, as a lot of that part; they keep their names and numbers."""
        indices = np.flatnonzero(chosen).tolist()
        data = LabelledImages(self.data.images[chosen], self.data.labels[chosen])
        names = [self.names[index] for index in indices] if self.names else ()
        numbers = [self.numbers[index] for index in indices] if len(self.numbers) else indices
        return Lot(part, self.origin, data, self.called, names, numbers, self.weight)
