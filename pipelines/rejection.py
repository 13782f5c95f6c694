"""How well a version tells what is none of its characters: how much of it is accepted as one.

An answer is accepted where its confidence reaches the threshold of its class. The thresholds are the version's own; to compare
versions whose thresholds keep different shares of what is right, others are fitted that keep the same share: KEEP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.calibration import fit_thresholds
from pipelines.data.pictures import Picture
from pipelines.metrics import Labels, Scores, wilson_interval

KEEP = 0.97
"""Of the right answers: what the thresholds for comparing keep."""


@dataclass(frozen=True)
class OutlierEvaluation:
    """What a version answered for N pictures that show none of its characters."""

    classes: tuple[str, ...]
    pictures: list[Picture]
    """Those in which the preprocessing found something to recognise."""
    images: NDArray[np.uint8]
    """uint8 (N, 28, 28), as the model saw them."""
    scores: Scores
    blank: list[Picture]
    """Those that the preprocessing refused: nothing on them stands out from the background."""
    thresholds: NDArray[np.float32]
    """float32 (K,): the version's own."""
    kept: float | None
    """The share of the right answers for pictures of characters that these thresholds keep; None where there are none."""
    comparing: NDArray[np.float32] | None
    """float32 (K,): those that keep the share KEEP of these right answers."""

    @property
    def is_accepted(self) -> NDArray[np.bool_]:
        return accepted(self.scores, self.thresholds)


@dataclass(frozen=True)
class RejectionFigures:
    """The measures of some pictures that show none of the characters."""

    name: str
    images: int
    no_ink: int
    """Refused by the preprocessing: not accepted, and known without the model."""
    accepted: int
    accepted_share: float
    """Of all images."""
    low: float
    high: float
    """The 95 % Wilson interval of that share."""
    accepted_share_comparing: float | None
    """The same with thresholds that keep the share KEEP of the right answers; None where there are none."""


def accepted(scores: Scores, thresholds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For each answer whether its confidence reaches the threshold of its class."""
    return np.asarray(scores.max(1) >= thresholds[scores.argmax(1)])


def kept_share(scores: Scores, labels: Labels, thresholds: NDArray[np.float32]) -> float | None:
    """The share of the right answers that the thresholds keep; None where no answer is right."""
    is_right = scores.argmax(1) == labels
    return float(accepted(scores, thresholds)[is_right].mean()) if is_right.any() else None


def comparing_thresholds(scores: Scores, labels: Labels) -> NDArray[np.float32] | None:
    """Thresholds fitted as a version's own are, but to these answers and to keep KEEP; None where no answer is right."""
    return fit_thresholds(scores, labels, KEEP) if (scores.argmax(1) == labels).any() else None


def most_confident_first(scores: Scores, chosen: NDArray[np.bool_]) -> list[int]:
    """The indices of the chosen answers, the most confident first."""
    indices = np.flatnonzero(chosen)
    order: list[int] = indices[np.argsort(-scores[indices].max(1), kind="stable")].tolist()
    return order


def by_source(evaluation: OutlierEvaluation) -> list[RejectionFigures]:
    """The measures of each source, in the order of their names."""
    sources = sorted({picture.source for picture in (*evaluation.pictures, *evaluation.blank)})
    return [_figures(evaluation, source, source) for source in sources]


def pooled(evaluation: OutlierEvaluation) -> RejectionFigures:
    """The measures of all pictures, each one counting the same."""
    return _figures(evaluation, "all", None)


def most_confident(evaluation: OutlierEvaluation) -> list[int]:
    """The indices of the accepted pictures, the most confident first."""
    return most_confident_first(evaluation.scores, evaluation.is_accepted)


def taken_for(evaluation: OutlierEvaluation) -> list[tuple[str, int]]:
    """As which class the accepted pictures were accepted, and how often: the most frequent first."""
    counts = np.bincount(evaluation.scores[evaluation.is_accepted].argmax(1), minlength=len(evaluation.classes))
    return [(evaluation.classes[index], int(counts[index])) for index in np.argsort(-counts, kind="stable") if counts[index]]


def _figures(evaluation: OutlierEvaluation, name: str, source: str | None) -> RejectionFigures:
    chosen = _of(evaluation.pictures, source)
    blank = int(_of(evaluation.blank, source).sum())
    images, count = int(chosen.sum()) + blank, int(evaluation.is_accepted[chosen].sum())
    low, high = wilson_interval(count, images)
    comparing = evaluation.comparing
    return RejectionFigures(
        name=name,
        images=images,
        no_ink=blank,
        accepted=count,
        accepted_share=count / images,
        low=low,
        high=high,
        accepted_share_comparing=(
            None if comparing is None else int(accepted(evaluation.scores[chosen], comparing).sum()) / images
        ),
    )


def _of(pictures: Sequence[Picture], source: str | None) -> NDArray[np.bool_]:
    return np.array([source is None or picture.source == source for picture in pictures], np.bool_)
