"""What fonts give for a recipe: its labels and all that is merged into them, each character as often as another.

The images of a label drawn in two ways are so twice as many as of one drawn in one.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipelines.data import rendered
from pipelines.data.images import LabelledImages
from pipelines.recipe import Recipe

Say = Callable[[str], None]


def fonts(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """The characters that the recipe wants from the faces for training.

    Raises:
        DataError: no face has some character, or a font cannot be read.
    """
    data = recipe.data
    return _merged(recipe, rendered.fonts(tuple(recipe.characters), data.fonts, data.fonts_folder, recipe.seed, cache_dir, say))


def unseen_fonts(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """Characters from the held-out faces, for the test; the same whatever the seed.

    Raises:
        DataError: no face has some character, or a font cannot be read.
    """
    data = recipe.data
    return _merged(recipe, rendered.unseen_fonts(tuple(recipe.characters), data.fonts, data.fonts_folder, cache_dir, say))


def outliers(recipe: Recipe, cache_dir: Path, say: Say) -> LabelledImages:
    """Images that show nothing which is read as a label, as many as the recipe wants."""
    data = recipe.data
    return rendered.outliers(tuple(recipe.characters), data.outliers, data.fonts_folder, recipe.seed, cache_dir, say)


def _merged(recipe: Recipe, made: LabelledImages) -> LabelledImages:
    """With the index of the label instead of that of the character."""
    return LabelledImages(made.images, np.array(list(recipe.characters.values()), np.int64)[made.labels])
