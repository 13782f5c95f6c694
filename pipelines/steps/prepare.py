"""Verified source → data set: training, validation and test images with labels, checked, and a manifest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import dataset, drift, feedback
from pipelines.data import sources
from pipelines.data.images import OUTLIER, OWN, LabelledImages, Lot, SourceData
from pipelines.drift import Histograms
from pipelines.errors import DataError
from pipelines.feedback import Selection
from pipelines.progress import say
from pipelines.recipe import Recipe
from pipelines.validation import joined, validate
from pipelines.validation_report import write_report
from tfserving.errors import RepositoryError
from tfserving.repository import STABLE, Repository

_RESTYLED_HELD_OUT = 20  # for each image held out of a source that has few


def prepare(
    recipe: Recipe,
    out_dir: Path,
    cache_dir: Path = Path(".hcr/data"),
    preset: str = "default",
    repository: Path | None = None,
) -> dict[str, Any]:
    """The manifest of the data set that it writes to `out_dir`; the same for the same recipe and source.

    Downloads are kept in `cache_dir`. The data are compared with those of the version that is stable in `repository`, where
    there is one. validation.html in `out_dir` tells what the checks found, also where that is too much.

    Raises:
        RecipeError: the recipe has no such preset.
        DataError: the source cannot be had, does not fit the recipe, or the recipe's checks refuse the data.
    """
    recipe = recipe.with_preset(preset)
    gathered = _gathered(recipe, cache_dir, repository)
    out_dir.mkdir(parents=True, exist_ok=True)
    _check(recipe, gathered, out_dir, repository)
    parts = _parts(gathered.lots)
    digests: dict[str, str] = {}
    for name, part in parts.items():
        digests |= dataset.write_part(out_dir, name, part)
    manifest = {
        "recipe": recipe.name,
        "labels": list(recipe.labels),
        "source": gathered.source.origin,
        "added": {kind: getattr(recipe.data, kind) for kind in ("fonts", "mnist", "restyled", "fields", "outliers")}
        | gathered.feedback.counts(),
        "counts": {name: _counts(part, recipe.labels) for name, part in parts.items()},
        "sha256": digests,
    }
    dataset.write_manifest(out_dir, manifest)
    (out_dir / "recipe.toml").write_text(recipe.text, encoding="utf-8")
    say("  ".join(f"{name} {len(part):,}" for name, part in parts.items()) + " images")
    return manifest


def data_digests(recipe: Recipe, cache_dir: Path, preset: str, repository: Path | None = None) -> dict[str, str]:
    """What the manifest's `sha256` would be, without writing the data set; unchecked.

    Raises:
        RecipeError: the recipe has no such preset.
        DataError: the source cannot be had, or does not fit the recipe.
    """
    digests: dict[str, str] = {}
    for name, part in _parts(_gathered(recipe.with_preset(preset), cache_dir, repository).lots).items():
        digests |= dataset.digests(name, part)
    return digests


@dataclass(frozen=True)
class _Gathered:
    """All that the recipe asks for."""

    source: SourceData
    feedback: Selection
    lots: list[Lot]
    """All images by part and origin; those of one part in the order in which they are trained on."""


def _gathered(recipe: Recipe, cache_dir: Path, repository: Path | None) -> _Gathered:
    source = sources.load(recipe, cache_dir, say)
    lots = _lots(recipe, source, cache_dir)
    if not recipe.data.feedback:
        return _Gathered(source, Selection(), lots)
    version = _stable(recipe.name, repository)
    chosen = feedback.select(Path(recipe.data.feedback), recipe, lots, version)
    for line in chosen.lines():
        say(line)
    return _Gathered(source, chosen, [*lots, *chosen.lots])


def _parts(lots: list[Lot]) -> dict[str, LabelledImages]:
    """The images of each part."""
    return {part: joined(lots, part) for part in dict.fromkeys((*dataset.PARTS, *(lot.part for lot in lots)))}


def _check(recipe: Recipe, gathered: _Gathered, out_dir: Path, repository: Path | None) -> None:
    """Writes the report on the data, and their summary; stops where there is more amiss than the recipe allows."""
    lots, chosen = gathered.lots, gathered.feedback
    reference, name = _reference(recipe.name, repository)
    found = validate(lots, recipe.labels, recipe.checks, gathered.source.unreadable, reference, name)
    drift.write(out_dir / drift.SUMMARY, found.summary)
    report = out_dir / dataset.VALIDATION
    write_report(report, f"Data of {recipe.name}", lots, recipe.labels, found, chosen.contradictions, chosen.left_out)
    if found.anomalies:
        told = "\n".join(f"  {finding.check}: {finding.told()}" for finding in found.anomalies)
        advice = "Take away what is wrong, or change [checks] in the recipe"
        raise DataError(f"the data are refused by the recipe's checks:\n{told}\n{advice}. Report: {report}")
    farthest = f", stability index {found.drifts[0].psi:.3f} at most" if found.drifts else ""
    say(f"checked: {len(found.findings)} findings, none too much; compared with: {found.reference}{farthest}")


def _reference(model: str, repository: Path | None) -> tuple[Histograms | None, str]:
    """The summary of the stable version's data, and what it is; None where there is none, and why."""
    if repository is None:
        return None, "nothing, no repository was named"
    if (version := _stable(model, repository)) is None:
        return None, f"nothing, no version of {model} is stable yet"
    if (summary := drift.read(version / drift.ASSET)) is None:
        return None, f"nothing, version {version.name} of {model} has no summary of its data"
    return summary, f"the data of version {version.name} of {model}, which is stable"


def _stable(model: str, repository: Path | None) -> Path | None:
    """The folder of the version that is stable, where there is one."""
    try:
        number = Repository(repository).labels(model).get(STABLE) if repository else None
    except RepositoryError as error:
        raise DataError(f"the stable version, to compare the data with, is not to be found: {error}") from None
    return repository / model / str(number) if repository and number is not None else None


def _lots(recipe: Recipe, source: SourceData, cache_dir: Path) -> list[Lot]:
    """The source's images, and what the recipe has rendered beside them."""
    name = str(source.origin.get("name", OWN))
    own = Lot("train", OWN, source.train, f"{name} training image", source.train_names)
    test = Lot("test", OWN, source.test, f"{name} test image", source.test_names)
    train, validation = _held_out(recipe, source, own, cache_dir)
    if not sum(len(lot.data) for lot in validation):
        raise DataError(
            "no image can be held out for calibration; at least one label needs 3 different images, better all of them"
        )
    return [train, *_additions(recipe, source, train.data, cache_dir), *validation, test]


def _held_out(recipe: Recipe, source: SourceData, own: Lot, cache_dir: Path) -> tuple[Lot, list[Lot]]:
    """The images to train on, and those held out; of the few of a writer, others in another style join those held out."""
    if source.validation is None:
        is_held_out = held_out(own.data, recipe.data.validation, len(recipe.labels))
        return own.only(~is_held_out, "train"), [own.only(is_held_out, "validation")]
    from pipelines.data import rendered  # needs OpenCV

    cache = cache_dir / rendered.FOLDER
    count = _RESTYLED_HELD_OUT * len(source.validation)
    others = rendered.restyled(source.validation, count, 0, cache, say)
    called = f"{own.called.removesuffix('training image')}held-out image"
    return own, [Lot("validation", OWN, source.validation, called), Lot("validation", "restyled", others, f"restyled {called}")]


def _additions(recipe: Recipe, source: SourceData, train: LabelledImages, cache_dir: Path) -> list[Lot]:
    """What the recipe wants beside the source's training images, and the parts with unseen fonts and outliers.

    Nothing of it is held out or in the test. Where fonts stand in for the source, they are not added once more.
    """
    from pipelines.data import alphabet, rendered  # needs OpenCV

    data, cache = recipe.data, cache_dir / rendered.FOLDER
    lots: list[Lot] = []

    def add(part: str, origin: str, images: LabelledImages) -> None:
        lots.append(Lot(part, origin, images, f"{origin} image" if part == "train" else f"unseen {origin} image"))

    if data.fonts and data.source != "fonts" and not source.is_stand_in:
        add("train", "fonts", alphabet.fonts(recipe, cache, say))
        add(dataset.FONTS, "fonts", alphabet.unseen_fonts(recipe, cache, say))
    if data.mnist and data.source != "mnist":
        add("train", "mnist", alphabet.digits(recipe, cache_dir, say))
    if data.restyled and not source.is_stand_in:
        add("train", "restyled", rendered.restyled(train, data.restyled, recipe.seed, cache, say))
    if data.fields:
        add("train", "fields", alphabet.fields(recipe, train, cache, say))
    if data.outliers:
        add("train", "outliers", alphabet.outliers(recipe, cache, say))
        add(dataset.OUTLIERS, "outliers", alphabet.unseen_outliers(recipe, cache, say))
    return lots


def held_out(data: LabelledImages, fraction: float, class_count: int) -> NDArray[np.bool_]:
    """bool (N,): which images are held out: of each class that share, at least one where it has two, at random."""
    generator = np.random.default_rng(0)  # the same whatever the seed of training, so that runs with several seeds compare
    chosen = np.zeros(len(data), np.bool_)
    for index in range(class_count):
        members = generator.permutation(np.flatnonzero(data.labels == index))
        chosen[members[: min(len(members) - 1, max(1, round(len(members) * fraction)))]] = True
    return chosen


def _counts(data: LabelledImages, labels: tuple[str, ...]) -> dict[str, int]:
    """How many images of each label; under the empty one, which no class has, the outliers."""
    known = data.labels[data.labels != OUTLIER]
    counts = dict(zip(labels, np.bincount(known, minlength=len(labels)).tolist(), strict=True))
    return counts | ({"": len(data) - len(known)} if len(known) < len(data) else {})
