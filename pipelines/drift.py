"""What a model's training images are like in numbers small enough to be kept with it, and how far other images are from that.

Of each class of each origin the summary counts how much ink its images have, and how dark that ink is. Two summaries are
compared by the population stability index. What has few images strays far by chance: chance alone gives the index times
nm / (n + m) about a chi-squared distribution with bins - 1 degrees of freedom (Yurdakul and Naranjo 2020, "Statistical
properties of the population stability index"), so only what is beyond its 99.99th percentile counts.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.images import OUTLIER, OWN, LabelledImages, Lot
from pipelines.errors import DataError
from pipelines.files import write_atomically

SUMMARY = "data_summary.json"
"""The file's name in a data set; in a version, below assets.extra."""
ASSET = f"assets.extra/{SUMMARY}"

EDGES = {"ink": np.linspace(0, 0.5, 17), "intensity": np.linspace(0, 1, 17)}
"""Share of the image that is ink, and how dark the inked pixels are, from paper 0 to ink 1: the bounds of the bins."""

_FAINTEST = 26  # of 255: from there a pixel counts as inked
_CERTAINTY = 0.9999

Counts = NDArray[np.int64]
Histograms = dict[str, dict[str, dict[str, Counts]]]
"""Origin → label → measure → images in each bin."""


@dataclass(frozen=True)
class Drift:
    """How far one distribution is from the reference's."""

    origin: str
    label: str
    """Empty for the shares of the classes."""
    measure: str
    """`ink`, `intensity` or `class shares`."""
    psi: float
    """The population stability index."""
    by_chance: float
    """What it exceeds by chance once in 10,000 times for so many images, were nothing changed."""

    def exceeds(self, limit: float) -> bool:
        """Whether it is beyond both the limit and chance."""
        return self.psi > max(limit, self.by_chance)


def summarize(lots: Iterable[Lot], labels: Sequence[str]) -> Histograms:
    """The histograms of all labelled images that are trained on, by origin; the source's own include those held out."""
    together: dict[str, list[LabelledImages]] = {}
    for lot in lots:
        if lot.part == "train" or (lot.part == "validation" and lot.origin == OWN):
            together.setdefault(lot.origin, []).append(lot.data)
    summary = {origin: _histograms(parts, labels) for origin, parts in together.items()}
    return {origin: classes for origin, classes in summary.items() if classes}


def write(path: Path, summary: Histograms) -> None:
    """Writes the summary, on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bins = {measure: len(edges) - 1 for measure, edges in EDGES.items()}
    content = {"bins": bins, "histograms": summary}
    write_atomically(path, json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=np.ndarray.tolist).encode())


def read(path: Path) -> Histograms | None:
    """The summary in the file; None where there is no file, or one with other bins.

    Raises:
        DataError: it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        if content["bins"] != {measure: len(edges) - 1 for measure, edges in EDGES.items()}:
            return None
        return {
            origin: {label: {name: _counts(values[name], name) for name in EDGES} for label, values in classes.items()}
            for origin, classes in content["histograms"].items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no summary of training data: {error}") from None


def compare(reference: Histograms, now: Histograms) -> list[Drift]:
    """How far each distribution that both have is from the reference's, the farthest first."""
    found = []
    for origin in sorted(set(reference) & set(now)):
        before, after = reference[origin], now[origin]
        shared = [label for label in after if label in before]
        for label in shared:
            for measure in EDGES:
                found.append(Drift(origin, label, measure, *_psi(before[label][measure], after[label][measure])))
        if len(shared) > 1:
            shares = [np.array([int(one[label]["ink"].sum()) for label in shared]) for one in (before, after)]
            found.append(Drift(origin, "", "class shares", *_psi(*shares)))
    return sorted(found, key=lambda drift: -drift.psi)


def _histograms(parts: Sequence[LabelledImages], labels: Sequence[str]) -> dict[str, dict[str, Counts]]:
    """For each label that has images the histogram of each measure."""
    values = [_measured(part) for part in parts]
    classes = np.concatenate([part.labels for part in parts])
    found = {}
    for index, label in enumerate(labels):
        if (chosen := classes == index).any():
            found[label] = {
                name: np.histogram(np.clip(np.concatenate([one[name] for one in values])[chosen], 0, edges[-1]), edges)[0]
                for name, edges in EDGES.items()
            }
    return found


def _measured(data: LabelledImages) -> Mapping[str, NDArray[np.float64]]:
    """Of each image the measures, from 0 to 1; outliers are not measured, they are 0."""
    pixels = data.images.reshape(len(data), -1)
    ink, intensity = np.zeros(len(data)), np.zeros(len(data))
    for start in range(0, len(data), 10_000):
        some = slice(start, start + 10_000)
        inked = pixels[some] >= _FAINTEST
        ink[some] = pixels[some].mean(1) / 255
        intensity[some] = (pixels[some] * inked).sum(1) / np.maximum(1, inked.sum(1)) / 255
    is_known = data.labels != OUTLIER
    return {"ink": ink * is_known, "intensity": intensity * is_known}


def _psi(before: Counts, after: Counts) -> tuple[float, float]:
    """The index of two histograms, and what chance makes of it. Half an image more in each bin keeps it finite."""
    from scipy.stats import chi2  # takes half a second

    shares = [(one + 0.5) / (one.sum() + 0.5 * len(one)) for one in (before, after)]
    index = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    freedom = max(1, int(((before + after) > 0).sum()) - 1)
    return index, float(chi2.ppf(_CERTAINTY, freedom) * (1 / max(1, before.sum()) + 1 / max(1, after.sum())))


def _counts(values: Any, measure: str) -> Counts:
    counts = np.array(values, np.int64)
    if counts.shape != (len(EDGES[measure]) - 1,) or (counts < 0).any():
        raise ValueError(f"{measure} has {values!r}; expected {len(EDGES[measure]) - 1} counts")
    return counts
