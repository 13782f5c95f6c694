"""Whether a data set is fit to be trained and measured on: its schema, balance, copies, blanks, and its drift from before.

What is found above the recipe's thresholds is an anomaly, told with the names of the files, or origin and number of images
that have no file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handwriting import contract
from pipelines import drift, similarity
from pipelines.data.images import OUTLIER, OWN, LabelledImages, Lot
from pipelines.dataset import FEEDBACK
from pipelines.drift import Drift, Histograms
from pipelines.recipe import Checks

HELD_OUT = ("test", "validation", "fonts")
"""The parts that nothing may be trained on of."""

_FAINTEST = 32  # of 255: an image with nothing darker is blank
_MOST_NAMED = 5
_COINCIDENCES = 3  # so many images of a small part may look like others

Place = tuple[Lot, int]
"""A lot, and the index of an image in it."""


@dataclass(frozen=True)
class Finding:
    """What one check found, and whether it is too much."""

    check: str
    """The threshold's name in the recipe's `[checks]`, or `schema`."""
    what: str
    """A sentence, with figures."""
    is_anomaly: bool
    names: list[str] = field(default_factory=list)
    """What the images concerned are found by."""
    places: list[list[Place]] = field(default_factory=list)
    """The same images: those that belong together in one list."""

    def told(self) -> str:
        """The sentence, with some of the names."""
        more = f" … and {len(self.names) - _MOST_NAMED:,} more, see the report" if len(self.names) > _MOST_NAMED else ""
        return f"{self.what}{': ' if self.names else ''}{'; '.join(self.names[:_MOST_NAMED])}{more}"


@dataclass(frozen=True)
class Validation:
    """All that was found in a data set."""

    findings: list[Finding]
    drifts: list[Drift]
    """From the reference, the farthest first; empty where there is none."""
    reference: str
    """What it was compared with, or why it was not."""
    summary: Histograms

    @property
    def anomalies(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_anomaly]


def validate(
    lots: Sequence[Lot],
    labels: Sequence[str],
    checks: Checks,
    unreadable: Sequence[str] = (),
    reference: Histograms | None = None,
    reference_name: str = "no version is stable yet",
) -> Validation:
    """What the checks find in the lots of a data set; `reference` is the summary of the stable version's data."""
    if faults := list(_schema(lots, len(labels))):
        return Validation(faults, [], "not compared: the images are not as they should be", {})
    summary = drift.summarize(lots, labels)
    drifts = drift.compare(reference, summary) if reference else []
    training = [lot for lot in lots if lot.part == "train"]
    findings = [
        *_balance(lots, labels, checks.balance),
        *_unreadable(lots, unreadable, checks.unreadable),
        *_blank(lots, checks.blank),
        *_copies(training, labels, checks),
        *_leaks(lots, checks),
        *_drift(drifts, checks.drift),
    ]
    return Validation(findings, drifts, reference_name, summary)


def _schema(lots: Sequence[Lot], class_count: int) -> Iterator[Finding]:
    """What is not as every later step takes for granted."""
    side = contract.IMAGE_SIZE
    for lot in lots:
        images, labels, where = lot.data.images, lot.data.labels, f"{lot.part}, {lot.origin}"
        if images.shape[1:] != (side, side) or images.dtype != np.uint8:
            came = f"{images.dtype} {images.shape}"
            yield Finding("schema", f"{where}: the images are {came}; expected uint8 (N, {side}, {side})", True)
        elif labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.signedinteger):
            came = f"{labels.dtype} {labels.shape}"
            yield Finding("schema", f"{where}: the labels are {came}; expected whole numbers ({len(images)},)", True)
        else:
            least = OUTLIER if lot.part in ("train", "outliers") else 0
            if len(unknown := np.flatnonzero((labels < least) | (labels >= class_count))):
                what = f"{where}: {len(unknown):,} labels are none of {class_count}; the first is {labels[unknown[0]]}"
                yield Finding("schema", what, True, *_named([[(lot, int(index))] for index in unknown]))


def _balance(lots: Sequence[Lot], labels: Sequence[str], least: float) -> Iterator[Finding]:
    own = [lot.data.labels for lot in lots if lot.part == "train" and lot.origin == OWN]
    counts = np.bincount(np.concatenate([*own, np.zeros(0, np.int64)]), minlength=len(labels))
    rarest, average = int(counts.argmin()), counts.mean()
    share = float(counts[rarest] / average) if average else 0.0
    what = f"the rarest class, {labels[rarest]!r}, has {counts[rarest]:,} of the source's training images"
    yield Finding("balance", f"{what}, {share:.1%} of an average one's; at least {least:.1%}", share < least)


def _unreadable(lots: Sequence[Lot], unreadable: Sequence[str], most: float) -> Iterator[Finding]:
    total = sum(len(lot.data) for lot in lots if lot.origin == OWN) + len(unreadable)
    what = f"{len(unreadable):,} of {total:,} of the source's images could not be read and are left out"
    yield Finding("unreadable", f"{what}; at most {most:.1%}", len(unreadable) > most * total, list(unreadable))


def _blank(lots: Sequence[Lot], most: float) -> Iterator[Finding]:
    for lot in lots:
        pixels = lot.data.images.reshape(len(lot.data), -1)
        is_blank = (pixels.max(1) < _FAINTEST) | (pixels.max(1) == pixels.min(1)) if len(pixels) else np.zeros(0, np.bool_)
        if len(blank := np.flatnonzero(is_blank & (lot.data.labels != OUTLIER))):
            what = f"{lot.part}, {lot.origin}: {len(blank):,} of {len(pixels):,} images are blank or of one shade"
            named = _named([[(lot, int(index))] for index in blank])
            yield Finding("blank", f"{what}; at most {most:.1%}", len(blank) > most * len(pixels), *named)


def _copies(training: Sequence[Lot], labels: Sequence[str], checks: Checks) -> Iterator[Finding]:
    """Training images that are there twice: for each origin, and, with different labels, for all together."""
    for lot in training:
        groups = _equal([lot])
        count = sum(len(group) - 1 for group in groups)
        if count:
            what = f"{lot.origin}: {count:,} of {len(lot.data):,} training images are there already"
            too_many = count > checks.duplicates * len(lot.data)
            yield Finding("duplicates", f"{what}; at most {checks.duplicates:.1%}", too_many, *_named(groups))
    conflicting = [group for group in _equal(training) if len({_label(place) for place in group}) > 1]
    if conflicting:
        total, count = sum(len(lot.data) for lot in training), sum(map(len, conflicting))
        what = f"{count:,} of {total:,} training images are there with another label as well"
        names = [" and ".join(f"{lot.name(index)} ({_text(lot, index, labels)})" for lot, index in one) for one in conflicting]
        too_many = count > checks.conflicts * total
        yield Finding("conflicts", f"{what}; at most {checks.conflicts:.1%}", too_many, names, conflicting)


def _leaks(lots: Sequence[Lot], checks: Checks) -> Iterator[Finding]:
    """For each part that is held out what of it is trained on, too; for the test also what is held out for calibration."""
    for part in HELD_OUT:
        held_out = [lot for lot in lots if lot.part == part and len(lot.data)]
        if not held_out:
            continue
        seen = [lot for lot in lots if lot.part == "train" or (lot.part == "validation" and part == "test")]
        equal, alike = dict[Place, list[Place]](), dict[Place, list[Place]]()
        for lot in held_out:
            for other in seen:
                for mine, theirs, is_equal in _alike(lot, other):
                    for found in (alike, equal) if is_equal else (alike,):
                        found.setdefault((lot, mine), [(lot, mine)]).append((other, theirs))
        total, where = sum(len(lot.data) for lot in held_out), "trained on" + (" or calibrated with" if part == "test" else "")
        for check, found, how, most, least in (
            ("leaked", equal, "are also", checks.leaked, 0),
            ("alike", alike, "look the same as what is", checks.alike, _COINCIDENCES),
        ):
            what = f"{len(found):,} of {total:,} images of the part {part} {how} {where}; at most {most:.1%}"
            yield Finding(check, what, len(found) > max(least, most * total), *_named(list(found.values())))


def _drift(drifts: Sequence[Drift], most: float) -> Iterator[Finding]:
    for one in drifts:
        if one.exceeds(most) and one.origin != FEEDBACK:  # that tells what the world sends, and is there to be learned
            of = f"{one.label!r}: {one.measure}" if one.label else one.measure
            what = f"{one.origin}, {of}: stability index {one.psi:.2f} to the stable version's data; at most {most:g}"
            yield Finding("drift", what, True)


def _equal(lots: Sequence[Lot]) -> list[list[Place]]:
    """The labelled images that are equal and have a shape, in groups."""
    places = [(lot, int(index)) for lot in lots for index in np.flatnonzero(lot.data.labels != OUTLIER)]
    if not places:
        return []
    images = np.concatenate([lot.data.images[lot.data.labels != OUTLIER] for lot in lots])
    groups = similarity.equal_groups(images)
    with_shape = similarity.has_shape(images[[group[0] for group in groups]]) if groups else ()
    return [[places[index] for index in group] for group, shaped in zip(groups, with_shape, strict=True) if shaped]


def _alike(lot: Lot, other: Lot) -> list[tuple[int, int, bool]]:
    """The labelled images of the two lots that look the same and have a shape: their indices, and whether they are equal."""
    mine, theirs = (np.flatnonzero(one.data.labels != OUTLIER) for one in (lot, other))
    images = lot.data.images[mine]
    pairs = sorted(similarity.alike_pairs(images, other.data.images[theirs]))
    if not pairs:
        return []
    with_shape = similarity.has_shape(images[[pair[0] for pair in pairs]])
    return [
        (int(mine[one]), int(theirs[two]), difference == 0)
        for (one, two, difference), shaped in zip(pairs, with_shape, strict=True)
        if shaped
    ]


def _named(groups: Sequence[list[Place]]) -> tuple[list[str], list[list[Place]]]:
    """The names of the images that belong together, joined, and the images."""
    return [" = ".join(lot.name(index) for lot, index in group) for group in groups], list(groups)


def _label(place: Place) -> int:
    lot, index = place
    return int(lot.data.labels[index])


def _text(lot: Lot, index: int, labels: Sequence[str]) -> str:
    return labels[int(lot.data.labels[index])]


def joined(lots: Sequence[Lot], part: str) -> LabelledImages:
    """All images of the part, in the order of its lots, those with a weight as often as it says."""
    chosen = [lot.data for lot in lots if lot.part == part for _ in range(lot.weight)]
    images: NDArray[np.uint8] = np.concatenate([data.images for data in chosen])
    return LabelledImages(images, np.concatenate([data.labels for data in chosen]))
