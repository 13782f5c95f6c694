"""What every source gives: labelled images, already as the model sees them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLIER = -1
"""The label of an image that shows none of the recipe's labels; only in training images."""


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
