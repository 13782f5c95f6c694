"""What fonts give for a recipe: its labels and all that is merged into them, each character as often as another.

The images of a label drawn in two ways are so twice as many as of one drawn in one.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipelines.data import mnist, rendered
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.errors import DataError
from pipelines.recipe import Recipe

Say = Callable[[str], None]


def fonts(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """The characters that the recipe wants from the faces for training.

    Raises:
        DataError: no face has some character, or a font cannot be read.
    """
    data, characters = recipe.data, tuple(recipe.characters)
    made = rendered.fonts(characters, data.fonts, data.fonts_folder, recipe.seed, cache_dir, say, data.font_set)
    return _merged(recipe, made)


def unseen_fonts(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """Characters from the held-out faces, for the test; the same whatever the seed.

    Raises:
        DataError: no face has some character, or a font cannot be read.
    """
    data, characters = recipe.data, tuple(recipe.characters)
    made = rendered.unseen_fonts(characters, data.fonts, data.fonts_folder, cache_dir, say, data.font_set)
    return _merged(recipe, made)


def fields(recipe: Recipe, source: LabelledImages, cache_dir: Path, say: Say) -> LabelledImages:
    """Images cut from fields of the source's images and of the faces', as many as the recipe wants.

    Raises:
        DataError: no face has some character, or a font cannot be read.
    """
    data, characters = recipe.data, recipe.characters
    written = rendered.Written(tuple(characters), tuple(characters.values()), source)
    return _merged(recipe, rendered.fields(written, data.fields, data.fonts_folder, recipe.seed, cache_dir, say, data.font_set))


def digits(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """As many of MNIST's training images as the recipe wants, of the digits among its characters; always the same ones.

    Raises:
        DataError: MNIST is not to be had, or no digit is among the characters.
    """
    index_of = np.array([recipe.characters.get(digit, OUTLIER) for digit in "0123456789"], np.int64)
    if (index_of == OUTLIER).all():
        raise DataError(f"data.mnist is {recipe.data.mnist}, and none of the digits is a label of recipe {recipe.name}")
    source = mnist.load(cache_dir / "mnist", say).train
    known = np.flatnonzero(index_of[source.labels] != OUTLIER)
    chosen = np.random.default_rng(0).permutation(known)[: recipe.data.mnist]
    return LabelledImages(source.images[chosen], index_of[source.labels[chosen]])


def outliers(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """Images that show nothing which is read as a label, as many as the recipe wants."""
    data, characters = recipe.data, tuple(recipe.characters)
    return rendered.outliers(characters, data.outliers, data.fonts_folder, recipe.seed, cache_dir, say, data.font_set)


def unseen_outliers(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """Such images with characters from the held-out faces, for the test; the same whatever the seed."""
    data, characters = recipe.data, tuple(recipe.characters)
    return rendered.unseen_outliers(characters, data.outliers, data.fonts_folder, cache_dir, say, data.font_set)


def _merged(recipe: Recipe, made: LabelledImages) -> LabelledImages:
    """With the index of the label instead of that of the character; outliers stay what they are."""
    indices = np.array([*recipe.characters.values(), OUTLIER], np.int64)
    return LabelledImages(made.images, indices[made.labels])
