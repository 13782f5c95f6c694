"""How a published version does on a user's own labelled pictures: by source, and picture by picture.

Each picture is read and preprocessed as the gateway does, and scored by the exported graph. One in which no character is
found has no answer, and counts as wrong.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import servable
from pipelines.data import pictures
from pipelines.data.pictures import Picture, Unread
from pipelines.errors import DataError, VersionError
from pipelines.metrics import Labels, Scores, calibration_error, reliability, wilson_interval
from pipelines.servable import Card
from pipelines.step_process import be_quiet, silence

Score = Callable[[Path, NDArray[np.uint8]], Scores]
"""A version's folder and images uint8 (N, 28, 28) → scores (N, K)."""


@dataclass(frozen=True)
class PictureEvaluation:
    """What a version answered for N pictures of characters that it knows, and what it was not asked."""

    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]
    """float32 (K,): the confidence below which an answer is rejected."""
    pictures: list[Picture]
    images: NDArray[np.uint8]
    """uint8 (N, 28, 28), as the model saw them."""
    labels: Labels
    scores: Scores
    unread: list[Unread]
    """No character was found in them."""
    unknown: dict[str, int]
    """Labels that are none of the classes → how many pictures were left out for it."""
    left_out: dict[str, int]
    """What else was left out: a description → how many."""

    @property
    def predicted(self) -> Labels:
        return np.asarray(self.scores.argmax(1))

    @property
    def is_right(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels)

    @property
    def is_rejected(self) -> NDArray[np.bool_]:
        return np.asarray(self.scores.max(1) < self.thresholds[self.predicted])


@dataclass(frozen=True)
class Figures:
    """The measures of some pictures."""

    name: str
    images: int
    right: int
    unread: int
    accuracy: float
    """Of all images, those without an answer too."""
    low: float
    high: float
    """The 95 % Wilson interval of the accuracy."""
    confidence: float
    """The mean over the answers; so are the measures below of answers only."""
    ece: float
    rejected: int
    rejected_share: float
    rejected_wrong: int
    """Of the rejected answers, those that are wrong."""


@dataclass(frozen=True)
class Means:
    """The measures averaged over the sources, each one counting the same."""

    accuracy: float
    confidence: float
    ece: float
    rejected_share: float


def evaluate_pictures(
    version: Path, card: Card, folder: Path, tell: Callable[[int, int], None], score: Score = servable.score
) -> PictureEvaluation:
    """What the version answers for the pictures below `folder`; tells how many of them are read, of how many.

    Raises:
        DataError: no picture has a label that the version knows, or none of those can be read.
        VersionError: the version cannot be run, or its card does not name its classes and thresholds.
    """
    classes, thresholds = _classes(version, card)
    found = pictures.find(folder)
    index_of = _index_of(classes, card)
    known = [picture for picture in found.pictures if picture.label in index_of]
    if not known:
        labels = sorted({picture.label for picture in found.pictures})
        raise DataError(f"{folder}: no picture has a label that the model knows; {_some(labels)} there, {_some(classes)} here")
    seen, images, unread = pictures.read(known, lambda done: tell(done, len(known)))
    if not seen:
        raise DataError(
            f"{folder}: none of {len(known)} pictures can be read; the first, {unread[0].picture.name}: {unread[0].reason}"
        )
    return PictureEvaluation(
        classes=classes,
        thresholds=thresholds,
        pictures=seen,
        images=images,
        labels=np.array([index_of[picture.label] for picture in seen], np.int64),
        scores=_scores(version, images, len(classes), score),
        unread=unread,
        unknown=dict(sorted(Counter(item.label for item in found.pictures if item.label not in index_of).items())),
        left_out=found.left_out,
    )


def by_source(evaluation: PictureEvaluation) -> list[Figures]:
    """The measures of each source, in the order of their names."""
    return [_figures(evaluation, source, source) for source in _sources(evaluation)]


def pooled(evaluation: PictureEvaluation) -> Figures:
    """The measures of all pictures, each one counting the same."""
    return _figures(evaluation, "all", None)


def mean(figures: Sequence[Figures]) -> Means:
    """The measures averaged over the sources."""
    columns = [(item.accuracy, item.confidence, item.ece, item.rejected_share) for item in figures]
    return Means(*np.mean(columns, axis=0).tolist())


def confusions(evaluation: PictureEvaluation) -> list[tuple[str, str, int]]:
    """What was taken for what, and how often: the most frequent first."""
    wrong = np.flatnonzero(~evaluation.is_right)
    pairs = Counter(zip(evaluation.labels[wrong].tolist(), evaluation.predicted[wrong].tolist(), strict=True))
    return [
        (evaluation.classes[label], evaluation.classes[predicted], count)
        for (label, predicted), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    ]


def worst_errors(evaluation: PictureEvaluation) -> list[int]:
    """The indices of the wrong answers, the most confident first."""
    wrong = np.flatnonzero(~evaluation.is_right)
    order: list[int] = wrong[np.argsort(-evaluation.scores[wrong].max(1), kind="stable")].tolist()
    return order


def _figures(evaluation: PictureEvaluation, name: str, source: str | None) -> Figures:
    chosen = np.array([source is None or picture.source == source for picture in evaluation.pictures])
    unread = sum(source is None or item.picture.source == source for item in evaluation.unread)
    scores, is_right = evaluation.scores[chosen], evaluation.is_right[chosen]
    is_rejected = evaluation.is_rejected[chosen]
    right, images = int(is_right.sum()), len(is_right) + unread
    low, high = wilson_interval(right, images)
    return Figures(
        name=name,
        images=images,
        right=right,
        unread=unread,
        accuracy=right / images,
        low=low,
        high=high,
        confidence=float(scores.max(1).mean()) if len(scores) else 0.0,
        ece=calibration_error(reliability(scores, evaluation.labels[chosen])),
        rejected=int(is_rejected.sum()),
        rejected_share=float(is_rejected.mean()) if len(scores) else 0.0,
        rejected_wrong=int((is_rejected & ~is_right).sum()),
    )


def _sources(evaluation: PictureEvaluation) -> list[str]:
    unread = [item.picture for item in evaluation.unread]
    return sorted({picture.source for picture in (*evaluation.pictures, *unread)})


def _index_of(classes: Sequence[str], card: Card) -> dict[str, int]:
    """For each label of a picture, in Unicode's composed form, the class: its own, or that which it is merged into."""
    merged = card.get("merged", {})
    characters = {other: index for index, label in enumerate(classes) for other in (label, *merged.get(label, ()))}
    return {unicodedata.normalize("NFC", character): index for character, index in characters.items()}


def _classes(version: Path, card: Card) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    try:
        classes, thresholds = tuple(map(str, card["labels"])), np.array(card["thresholds"], np.float32)
    except (KeyError, TypeError, ValueError):
        raise VersionError(f"the model card in {version} does not hold labels and thresholds: not a version of ours") from None
    if not classes or thresholds.shape != (len(classes),):
        raise VersionError(f"the model card in {version} has {len(classes)} labels and {thresholds.size} thresholds")
    return classes, thresholds


def _scores(version: Path, images: NDArray[np.uint8], class_count: int, score: Score) -> Scores:
    be_quiet()
    try:
        with silence():
            scores = score(version, images)
    except Exception as error:  # TensorFlow raises a dozen kinds on a broken version
        raise VersionError(f"the version in {version} cannot be run: {error}") from error
    if scores.shape != (len(images), class_count):
        raise VersionError(f"the version in {version} gives scores {scores.shape}; {(len(images), class_count)} are expected")
    return scores


def _some(labels: Sequence[str], most: int = 10) -> str:
    return ", ".join(labels[:most]) + (" …" if len(labels) > most else "")
