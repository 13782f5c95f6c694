"""How a published version does on a user's own pictures: of characters, of fields, and of what is neither; by source.

Each picture is read and preprocessed as the gateway does, and scored by the exported graph. One in which no character is
found has no answer; where it shows one, that counts as wrong.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import rejection, servable
from pipelines.data import pictures
from pipelines.data.pictures import Found, Picture, Unread
from pipelines.errors import DataError
from pipelines.field_evaluation import FieldEvaluation, evaluate_fields, unknown_characters
from pipelines.metrics import Labels, Scores, calibration_error, reliability, wilson_interval
from pipelines.rejection import OutlierEvaluation
from pipelines.scorer import Score, Scorer, scorer
from pipelines.servable import Card


@dataclass(frozen=True)
class PictureEvaluation:
    """What a version answered for N pictures of characters that it knows."""

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

    @property
    def predicted(self) -> Labels:
        return np.asarray(self.scores.argmax(1))

    @property
    def is_right(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels)

    @property
    def is_rejected(self) -> NDArray[np.bool_]:
        return ~rejection.accepted(self.scores, self.thresholds)


@dataclass(frozen=True)
class FolderEvaluation:
    """What a version answered for a folder's pictures: None for a kind of which there are none. And what it was not asked."""

    characters: PictureEvaluation | None
    fields: FieldEvaluation | None
    outliers: OutlierEvaluation | None
    unknown: dict[str, int]
    """Labels that are none of the classes → how many pictures were left out for it."""
    unknown_in_fields: dict[str, int]
    """Characters that are in none of the classes → how many fields were left out for them."""
    left_out: dict[str, int]
    """What else was left out: a description → how many."""


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


@dataclass(frozen=True)
class _Chosen:
    """The pictures of which the version is asked, and the labels and characters for which others are not."""

    characters: list[Picture]
    fields: list[Picture]
    outliers: list[Picture]
    unknown: dict[str, int]
    unknown_in_fields: dict[str, int]

    def __len__(self) -> int:
        return len(self.characters) + len(self.fields) + len(self.outliers)


def evaluate_folder(
    version: Path, card: Card, folder: Path, tell: Callable[[int, int], None], score: Score = servable.score
) -> FolderEvaluation:
    """What the version answers for the pictures below `folder`; tells how many of them are read, of how many.

    Raises:
        DataError: no picture has a label that the version knows, or none of those can be read.
        VersionError: the version cannot be run, or its card does not name its classes and thresholds.
    """
    asked = scorer(version, card, score)
    found = pictures.find(folder)
    index_of = _index_of(asked.classes, card)
    chosen = _chosen(found, asked.classes, index_of)
    if not len(chosen):
        labels = sorted({picture.label for picture in (*found.pictures, *found.fields)})
        known = _some(asked.classes)
        raise DataError(f"{folder}: no picture has a label that the model knows; {_some(labels)} there, {known} here")
    characters, outliers, unreadable = _evaluate_pictures(asked, chosen, index_of, lambda done: tell(done, len(chosen)))
    before = len(chosen.characters) + len(chosen.outliers)
    fields = evaluate_fields(asked, chosen.fields, lambda done: tell(before + done, len(chosen))) if chosen.fields else None
    unread = [*(characters.unread if characters else ()), *(fields.unread if fields else ()), *unreadable]
    if len(unread) == len(chosen):
        raise DataError(
            f"{folder}: none of {len(unread)} pictures can be read; the first, {unread[0].picture.name}: {unread[0].reason}"
        )
    left_out = found.left_out | _unreadable(unreadable)
    return FolderEvaluation(characters, fields, outliers, chosen.unknown, chosen.unknown_in_fields, left_out)


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
    chosen = np.array([source is None or picture.source == source for picture in evaluation.pictures], np.bool_)
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


def _chosen(found: Found, classes: Sequence[str], index_of: Mapping[str, int]) -> _Chosen:
    """Those of the pictures whose labels and texts the classes can express, and all outliers."""
    unknown = Counter(item.label for item in found.pictures if item.label not in index_of)
    written = [replace(field, label=_as_read(field.label, classes, index_of)) for field in found.fields]
    lacking = [unknown_characters(field.label, classes) for field in written]
    return _Chosen(
        characters=[item for item in found.pictures if item.label in index_of],
        fields=[field for field, characters in zip(written, lacking, strict=True) if not characters],
        outliers=found.outliers,
        unknown=dict(sorted(unknown.items())),
        unknown_in_fields=dict(sorted(Counter(characters for characters in lacking if characters).items())),
    )


def _as_read(text: str, classes: Sequence[str], index_of: Mapping[str, int]) -> str:
    """The text with each character that is merged into a class as that class."""
    return "".join(classes[index_of[one]] if one in index_of else one for one in unicodedata.normalize("NFC", text))


def _index_of(classes: Sequence[str], card: Card) -> dict[str, int]:
    """For each label of a picture, in Unicode's composed form, the class: its own, or that which it is merged into."""
    merged = card.get("merged", {})
    characters = {other: index for index, label in enumerate(classes) for other in (label, *merged.get(label, ()))}
    return {unicodedata.normalize("NFC", character): index for character, index in characters.items()}


def _evaluate_pictures(
    asked: Scorer, chosen: _Chosen, index_of: Mapping[str, int], tell: Callable[[int], None]
) -> tuple[PictureEvaluation | None, OutlierEvaluation | None, list[Unread]]:
    """What the version answers for the pictures of characters, for those of none, and which of the latter cannot be read."""
    seen, images, unread = pictures.read(chosen.characters, tell)
    others, other_images, refused = pictures.read(chosen.outliers, lambda done: tell(len(chosen.characters) + done))
    together = np.concatenate([part for part in (images, other_images) if len(part)] or [images])
    scores = asked.scores(together) if len(together) else np.zeros((0, len(asked.classes)), np.float32)
    own, other_scores = scores[: len(seen)], scores[len(seen) :]
    labels = np.array([index_of[picture.label] for picture in seen], np.int64)
    characters = PictureEvaluation(asked.classes, asked.thresholds, seen, images, labels, own, unread)
    blank = [item.picture for item in refused if item.is_blank]
    outliers = OutlierEvaluation(
        classes=asked.classes,
        pictures=others,
        images=other_images,
        scores=other_scores,
        blank=blank,
        thresholds=asked.thresholds,
        kept=rejection.kept_share(own, labels, asked.thresholds),
        comparing=rejection.comparing_thresholds(own, labels),
    )
    unreadable = [item for item in refused if not item.is_blank]
    return characters if chosen.characters else None, outliers if others or blank else None, unreadable


def _unreadable(outliers: Sequence[Unread]) -> dict[str, int]:
    """That of the pictures of no character some are no pictures, where there are such: neither accepted nor refused."""
    if not outliers:
        return {}
    first = f"{outliers[0].picture.name}: {outliers[0].reason}"
    return {f"pictures of no character that cannot be read; the first, {first}": len(outliers)}


def _some(labels: Sequence[str], most: int = 10) -> str:
    return ", ".join(labels[:most]) + (" …" if len(labels) > most else "")
