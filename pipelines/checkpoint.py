"""Where the state of a training is kept until its end, and how far it had come."""

import json
from pathlib import Path
from typing import Any

from pipelines import augment, network, provenance
from pipelines.files import sha256_of
from pipelines.recipe import Recipe

FOLDER = "training"
"""The folder in the cache."""

_METADATA = "training_metadata.json"  # Keras's name for it


def key(recipe: Recipe, preset: str, seed: int, manifest: dict[str, Any]) -> str:
    """A folder's name: the same for a training of the same recipe, preset, seed, data, code and libraries."""
    code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (augment, network)]
    parts = [recipe.text, preset, seed, manifest["sha256"], *code, provenance.package_versions()]
    return sha256_of(json.dumps(parts, sort_keys=True).encode())[:32]


def epochs_done(folder: Path) -> int:
    """How many whole epochs the state in the folder is the result of; 0 where there is none."""
    try:
        return int(json.loads((folder / _METADATA).read_text(encoding="utf-8"))["epoch"])
    except (OSError, ValueError, KeyError):
        return 0
