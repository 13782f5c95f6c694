"""A challenger beside the stable version: both asked about the same images, as a whole and slice by slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics import mcnemar

IsRight = NDArray[np.bool_]
"""bool (N,): for each image whether the answer is right."""


@dataclass(frozen=True)
class SliceComparison:
    """How both versions do on some of the images."""

    name: str
    images: int
    accuracy: float
    stable_accuracy: float
    worse: int
    """Images that the stable version alone reads right."""
    better: int
    """Images that the challenger alone reads right."""
    p_value: float
    """Of McNemar's exact test, one-sided: how probable so many worse ones are if neither version is better."""

    @property
    def drop(self) -> float:
        """How far the challenger's accuracy lies below the stable version's; below 0 where it lies above."""
        return (self.worse - self.better) / self.images


@dataclass(frozen=True)
class Comparison:
    """A challenger against the stable version."""

    version: int
    """The stable version's number."""
    overall: SliceComparison
    slices: list[SliceComparison]
    corrupted: SliceComparison
    """On all corrupted images."""
    corruptions: list[SliceComparison]
    """By corruption."""


def is_right(scores: NDArray[np.float32], classes: Sequence[str], expected: Sequence[str]) -> IsRight:
    """Which of the scores (N, K) of these classes name the expected labels. The classes may be other than the expected ones."""
    answers = np.array(classes, object)[scores.argmax(1)]
    return np.asarray(answers == np.array(expected, object), np.bool_)


def compare(name: str, challenger: IsRight, stable: IsRight) -> SliceComparison:
    """Both versions on the same images."""
    worse, better = int((stable & ~challenger).sum()), int((challenger & ~stable).sum())
    return SliceComparison(
        name=name,
        images=len(challenger),
        accuracy=float(challenger.mean()),
        stable_accuracy=float(stable.mean()),
        worse=worse,
        better=better,
        p_value=mcnemar(worse, better),
    )


def compare_slices(challenger: IsRight, stable: IsRight, masks: Mapping[str, NDArray[np.bool_]]) -> list[SliceComparison]:
    """Both versions on each slice of the same images."""
    return [compare(name, challenger[mask], stable[mask]) for name, mask in masks.items()]
