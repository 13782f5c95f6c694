"""A published version that is asked directly, without a model server: its classes, its thresholds, and scores for images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting.contract import FIELD, PAPER
from pipelines import servable
from pipelines.errors import VersionError
from pipelines.metrics import Scores
from pipelines.servable import Card
from pipelines.step_process import be_quiet, silence

Score = Callable[[Path, NDArray[np.uint8]], Scores]
"""A version's folder and images uint8 (N, 28, 28) → scores (N, K)."""


@dataclass(frozen=True)
class Scorer:
    """A version whose card names its classes and thresholds."""

    version: Path
    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]
    """float32 (K,): the confidence below which an answer is rejected."""
    score: Score
    field: object = PAPER
    """What several characters stand on: the card's value for `contract.FIELD`."""

    def scores(self, images: NDArray[np.uint8]) -> Scores:
        """What the exported graph answers for images uint8 (N, 28, 28): float32 (N, K).

        Raises:
            VersionError: the version cannot be run, or answers something else than scores of its classes.
        """
        be_quiet()
        try:
            with silence():
                scores = self.score(self.version, images)
        except Exception as error:  # TensorFlow raises a dozen kinds on a broken version
            raise VersionError(f"the version in {self.version} cannot be run: {error}") from error
        expected = (len(images), len(self.classes))
        if scores.shape != expected:
            raise VersionError(f"the version in {self.version} gives scores {scores.shape}; {expected} are expected")
        return scores


def scorer(version: Path, card: Card, score: Score = servable.score) -> Scorer:
    """The version, ready to be asked.

    Raises:
        VersionError: its card does not name its classes and thresholds.
    """
    try:
        classes, thresholds = tuple(map(str, card["labels"])), np.array(card["thresholds"], np.float32)
    except (KeyError, TypeError, ValueError):
        raise VersionError(f"the model card in {version} does not hold labels and thresholds: not a version of ours") from None
    if not classes or thresholds.shape != (len(classes),):
        raise VersionError(f"the model card in {version} has {len(classes)} labels and {thresholds.size} thresholds")
    return Scorer(version, classes, thresholds, score, card.get(FIELD, PAPER))
