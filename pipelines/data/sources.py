"""The sources that a recipe's `[data] source` can name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.data.images import SourceData
from pipelines.errors import DataError

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

Say = Callable[[str], None]
Source = Callable[["Recipe", Path, Say], SourceData]
"""Gives all labelled images for a recipe; may keep downloads in the folder; says where they came from."""


def _mnist(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import mnist

    return mnist.load(cache_dir / "mnist", say)


def _folder(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import folder  # needs OpenCV

    return folder.load(Path(recipe.data.folder), recipe.labels, recipe.data.test, say)


def _fonts(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import rendered  # needs OpenCV

    data, cache = recipe.data, cache_dir / rendered.FOLDER
    if data.fonts < len(recipe.labels):
        raise DataError(f"data.fonts is {data.fonts}; source fonts needs at least one image of each label")
    train = rendered.fonts(recipe.labels, data.fonts, data.fonts_folder, recipe.seed, cache, say, data.font_set)
    test = rendered.unseen_fonts(recipe.labels, data.fonts, data.fonts_folder, cache, say, data.font_set)
    return SourceData(train, test, {"name": "fonts", "faces": rendered.face_digests(data.fonts_folder, data.font_set)})


SOURCES: dict[str, Source] = {"mnist": _mnist, "folder": _folder, "fonts": _fonts}


def load(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    """All labelled images for the recipe.

    Raises:
        DataError: they are not to be had, or do not fit the recipe's labels.
    """
    data = SOURCES[recipe.data.source](recipe, cache_dir, say)
    for name, part in (("train", data.train), ("test", data.test)):
        counts = np.bincount(part.labels, minlength=len(recipe.labels))
        if len(counts) > len(recipe.labels):
            raise DataError(
                f"{name}: the source has {len(counts)} classes, and recipe {recipe.name} {len(recipe.labels)} labels"
            )
        if not counts.all():
            raise DataError(f"{name}: no images of label {recipe.labels[int(counts.argmin())]!r}")
    return data
