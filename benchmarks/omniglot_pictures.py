"""Writes one of Omniglot's alphabets as pictures for `hcr evaluate`: a folder per label, for each part of the writers.

    PYTHONPATH=. .venv/bin/python benchmarks/omniglot_pictures.py letters my-omniglot pictures
    .venv/bin/hcr evaluate letters --data pictures

The recipe says the alphabet, the labels and the shares of the writers; my-omniglot is the folder with Omniglot's file.
"""

import sys
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from pipelines.data import omniglot
from pipelines.recipe import load_recipe


def main(recipe_name: str, folder: str, out: str) -> None:
    """Writes `<out>/<part>/<label>/<writer>.png` for the parts train, validation and test."""
    recipe, path = load_recipe(recipe_name), omniglot.find(folder)
    if path is None:
        sys.exit(f"{folder} has no {omniglot.FILE}")
    drawings = omniglot.read(path)[recipe.data.alphabet]
    parts = omniglot.writers(len(drawings[0]), recipe.data.validation, recipe.data.test)
    for part, writers in parts.items():
        for character, by_writer in zip(omniglot.ALPHABETS[recipe.data.alphabet], drawings, strict=True):
            if character not in recipe.characters:
                continue
            label = Path(out, part, quote(recipe.labels[recipe.characters[character]], safe=""))
            label.mkdir(parents=True, exist_ok=True)
            for writer in writers:
                Image.fromarray(by_writer[writer]).save(label / f"{writer:02}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
