"""The sources that a recipe's `[data] source` can name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
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

    return folder.load(Path(recipe.data.folder), recipe.labels, recipe.data.test, say, recipe.merged)


def _fonts(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import alphabet, rendered  # needs OpenCV

    data, cache = recipe.data, cache_dir / rendered.FOLDER
    if data.fonts < len(recipe.characters):
        raise DataError(f"data.fonts is {data.fonts}; source fonts needs at least one image of each label")
    train, test = alphabet.fonts(recipe, cache, say), alphabet.unseen_fonts(recipe, cache, say)
    return SourceData(train, test, {"name": "fonts", "faces": rendered.face_digests(data.fonts_folder, data.font_set)})


def _omniglot(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import omniglot

    data = recipe.data
    if not data.alphabet:
        raise DataError(f"source omniglot needs data.alphabet, one of {', '.join(omniglot.ALPHABETS)}")
    if (path := omniglot.find(data.folder)) is None:
        where = f"in {data.folder}" if data.folder else f"in a folder that {omniglot.FOLDER_VARIABLE} names"
        say(f"Omniglot: no {omniglot.FILE} {where}; training on fonts alone")
        return replace(_fonts(recipe, cache_dir, say), is_stand_in=True)
    writers = omniglot.load(path, data.alphabet, recipe.characters, data.validation, data.test)
    counts = "  ".join(f"{name} {count}" for name, count in writers.counts.items())
    say(f"Omniglot: {path}, digest verified; writers of {data.alphabet}: {counts}")
    origin = {"name": "omniglot", "alphabet": data.alphabet, "sha256": omniglot.DIGEST, "writers": writers.counts}
    return SourceData(writers.train, writers.test, origin, writers.validation)


def _idx(recipe: Recipe, cache_dir: Path, say: Say) -> SourceData:
    from pipelines.data import idx_files  # needs OpenCV

    data = recipe.data
    folder = data.folder or os.environ.get(idx_files.FOLDER_VARIABLE)
    if not folder:
        raise DataError(f"source idx needs the folder of its files: data.folder, or {idx_files.FOLDER_VARIABLE}")
    files = idx_files.Files(Path(folder), data.idx, data.transposed, data.sha256)
    return idx_files.load(files, recipe.characters, recipe.labels, say)


SOURCES: dict[str, Source] = {"mnist": _mnist, "folder": _folder, "fonts": _fonts, "omniglot": _omniglot, "idx": _idx}


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
