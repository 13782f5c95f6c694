"""What `evaluate` asks a version: test images, those of other sources, corrupted ones, and what shows no character."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import corruptions, dataset
from pipelines.comparison import Comparison, IsRight, compare, compare_slices, is_right
from pipelines.data.images import LabelledImages
from pipelines.metrics import Scores
from pipelines.recipe import Recipe
from pipelines.slices import slices

Ask = Callable[[NDArray[np.uint8]], Scores]
"""Images uint8 (N, 28, 28) → scores float32 (N, K)."""

_CORRUPTED = 1_000  # of the test images, at most
_SEED = 0


@dataclass(frozen=True)
class Sets:
    """The images that a version is measured on."""

    sources: dict[str, LabelledImages]
    """By source: the test images first, then others of other sources, such as fonts that were not trained on."""
    corrupted: dict[str, LabelledImages]
    """The same up to 1,000 of the test images by corruption."""
    outliers: NDArray[np.uint8]
    """Images of no character; none where the data set has none."""

    @property
    def test(self) -> LabelledImages:
        return next(iter(self.sources.values()))


@dataclass(frozen=True)
class Answers:
    """A version's scores for each of the `Sets`."""

    sources: dict[str, Scores]
    corrupted: dict[str, Scores]
    outliers: Scores

    @property
    def test(self) -> Scores:
        return next(iter(self.sources.values()))


def read_sets(dataset_dir: Path, source: str) -> Sets:
    """The images of the data set; `source` is what that of the test images is called.

    Raises:
        DataError: the data set is missing or damaged.
    """
    test = dataset.read_part(dataset_dir, "test")
    sources = {source: test}
    for part in (dataset.FONTS, dataset.FEEDBACK):
        if dataset.has_part(dataset_dir, part) and len(data := dataset.read_part(dataset_dir, part)):
            sources[part] = data
    outliers = test.images[:0]
    if dataset.has_part(dataset_dir, dataset.OUTLIERS):
        outliers = dataset.read_part(dataset_dir, dataset.OUTLIERS).images
    chosen = np.sort(np.random.default_rng(_SEED).permutation(len(test))[:_CORRUPTED])
    images, labels = test.images[chosen], test.labels[chosen]
    corrupted = {name: LabelledImages(corruptions.corrupted(name, images), labels) for name in corruptions.SUITE}
    return Sets(sources, corrupted, outliers)


def answers(sets: Sets, ask: Ask) -> Answers:
    """What a version answers to all of them, asked once: each time it is asked it is loaded."""
    labelled = [*sets.sources.values(), *sets.corrupted.values()]
    parts = [part.images for part in labelled] + [sets.outliers]
    scores = np.split(ask(np.concatenate(parts)), np.cumsum([len(part) for part in parts])[:-1])
    count = len(sets.sources)
    return Answers(
        sources=dict(zip(sets.sources, scores[:count], strict=True)),
        corrupted=dict(zip(sets.corrupted, scores[count:-1], strict=True)),
        outliers=scores[-1],
    )


def accuracies(sets: dict[str, LabelledImages], scores: dict[str, Scores]) -> dict[str, float]:
    """The share of right answers, by set."""
    return {name: float((scores[name].argmax(1) == part.labels).mean()) for name, part in sets.items()}


def compared(
    recipe: Recipe, sets: Sets, challenger: Answers, stable: Answers, stable_classes: tuple[str, ...], version: int
) -> Comparison:
    """The challenger beside the stable version, whose classes may be others: right is who names the character."""

    def both(part: LabelledImages, own: Scores, other: Scores) -> tuple[IsRight, IsRight]:
        expected = [recipe.labels[index] for index in part.labels]
        return is_right(own, recipe.labels, expected), is_right(other, stable_classes, expected)

    test = both(sets.test, challenger.test, stable.test)
    parts = compare_slices(*test, slices(sets.test.labels, sets.test.images, recipe.labels))
    if len(sets.sources) > 1:
        parts += [
            compare(f"source {name}", *both(part, challenger.sources[name], stable.sources[name]))
            for name, part in sets.sources.items()
        ]
    corrupted = {name: both(part, challenger.corrupted[name], stable.corrupted[name]) for name, part in sets.corrupted.items()}
    pooled = [np.concatenate(answers) for answers in zip(*corrupted.values(), strict=True)]
    return Comparison(
        version=version,
        overall=compare("all", *test),
        slices=parts,
        corrupted=compare("corrupted images", pooled[0], pooled[1]),
        corruptions=[compare(f"corruption {name}", *answers) for name, answers in corrupted.items()],
    )
