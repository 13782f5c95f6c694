"""Verified source → data set: training, validation and test images with labels, and a manifest."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines import dataset
from pipelines.data import sources
from pipelines.data.images import OUTLIER, LabelledImages, SourceData
from pipelines.errors import DataError
from pipelines.progress import say
from pipelines.recipe import Recipe

_RESTYLED_HELD_OUT = 20  # for each image held out of a source that has few


def prepare(recipe: Recipe, out_dir: Path, cache_dir: Path = Path(".hcr/data"), preset: str = "default") -> dict[str, Any]:
    """The manifest of the data set that it writes to `out_dir`; the same for the same recipe and source.

    Downloads are kept in `cache_dir`.

    Raises:
        RecipeError: the recipe has no such preset.
        DataError: the source cannot be had, or does not fit the recipe.
    """
    recipe = recipe.with_preset(preset)
    source = sources.load(recipe, cache_dir, say)
    train, validation = _held_out(recipe, source, cache_dir)
    if not len(validation):
        raise DataError(
            "no image can be held out for calibration; at least one label needs 3 different images, better all of them"
        )
    additions, unseen = _additions(recipe, source, train, cache_dir)
    parts = {"train": train + additions, "validation": validation, "test": source.test} | unseen
    out_dir.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = {}
    for name, part in parts.items():
        digests |= dataset.write_part(out_dir, name, part)
    manifest = {
        "recipe": recipe.name,
        "labels": list(recipe.labels),
        "source": source.origin,
        "added": {kind: getattr(recipe.data, kind) for kind in ("fonts", "mnist", "restyled", "fields", "outliers")},
        "counts": {name: _counts(part, recipe.labels) for name, part in parts.items()},
        "sha256": digests,
    }
    dataset.write_manifest(out_dir, manifest)
    (out_dir / "recipe.toml").write_text(recipe.text, encoding="utf-8")
    say("  ".join(f"{name} {len(part):,}" for name, part in parts.items()) + " images")
    return manifest


def _held_out(recipe: Recipe, source: SourceData, cache_dir: Path) -> tuple[LabelledImages, LabelledImages]:
    """The images to train on, and those held out; of the few of a writer, others in another style join those held out."""
    if source.validation is None:
        return split(source.train, recipe.data.validation, len(recipe.labels))
    from pipelines.data import rendered  # needs OpenCV

    cache = cache_dir / rendered.FOLDER
    count = _RESTYLED_HELD_OUT * len(source.validation)
    return source.train, source.validation + rendered.restyled(source.validation, count, 0, cache, say)


def _additions(
    recipe: Recipe, source: SourceData, train: LabelledImages, cache_dir: Path
) -> tuple[LabelledImages, dict[str, LabelledImages]]:
    """What the recipe wants beside the source's training images, and the part with unseen fonts where it has fonts.

    Nothing of it is held out or in the test. Where fonts stand in for the source, they are not added once more.
    """
    from pipelines.data import alphabet, rendered  # needs OpenCV

    data, cache = recipe.data, cache_dir / rendered.FOLDER
    added, unseen = LabelledImages(train.images[:0], train.labels[:0]), {}
    if data.fonts and data.source != "fonts" and not source.is_stand_in:
        added += alphabet.fonts(recipe, cache, say)
        unseen[dataset.FONTS] = alphabet.unseen_fonts(recipe, cache, say)
    if data.mnist and data.source != "mnist":
        added += alphabet.digits(recipe, cache_dir, say)
    if data.restyled and not source.is_stand_in:
        added += rendered.restyled(train, data.restyled, recipe.seed, cache, say)
    if data.fields:
        added += alphabet.fields(recipe, train, cache, say)
    if data.outliers:
        added += alphabet.outliers(recipe, cache, say)
        unseen[dataset.OUTLIERS] = alphabet.unseen_outliers(recipe, cache, say)
    return added, unseen


def split(data: LabelledImages, fraction: float, class_count: int) -> tuple[LabelledImages, LabelledImages]:
    """The images without and with those held out: of each class that share, at least one where it has two, at random."""
    generator = np.random.default_rng(0)  # the same whatever the seed of training, so that runs with several seeds compare
    held_out = np.zeros(len(data), bool)
    for index in range(class_count):
        members = generator.permutation(np.flatnonzero(data.labels == index))
        held_out[members[: min(len(members) - 1, max(1, round(len(members) * fraction)))]] = True
    return _selected(data, ~held_out), _selected(data, held_out)


def _selected(data: LabelledImages, chosen: np.ndarray) -> LabelledImages:
    return LabelledImages(data.images[chosen], data.labels[chosen])


def _counts(data: LabelledImages, labels: tuple[str, ...]) -> dict[str, int]:
    """How many images of each label; under the empty one, which no class has, the outliers."""
    known = data.labels[data.labels != OUTLIER]
    counts = dict(zip(labels, np.bincount(known, minlength=len(labels)).tolist(), strict=True))
    return counts | ({"": len(data) - len(known)} if len(known) < len(data) else {})
