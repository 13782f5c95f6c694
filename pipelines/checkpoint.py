"""The state of a training after each whole epoch, kept until its end so that an interrupted one goes on.

    <folder>/0007-4f1a….npz    all variables of model and optimizer after epoch 7; the name holds the file's SHA-256, shortened

These are more than Keras writes into a file of weights, which lacks where the random numbers of dropout have got to. A state
appears by one rename once it is on the disk, and only then the one before the last goes: whenever the process is killed or the
power fails, the last whole epoch or the one before it is there. One that was damaged since is passed over.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import augment, network, provenance
from pipelines.files import sha256_of, write_atomically
from pipelines.progress import say
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    import keras

FOLDER = "training"
"""The folder in the cache."""

_NAME = re.compile(r"(\d{4,})-([0-9a-f]{16})\.npz")
_KEPT = 2
_KEPT_TRAININGS = 5


def key(recipe: Recipe, preset: str, seed: int, manifest: dict[str, Any]) -> str:
    """A folder's name: the same for a training of the same recipe, preset, seed, data, code and libraries."""
    code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (augment, network)]
    parts = [recipe.text, preset, seed, manifest["sha256"], *code, provenance.package_versions()]
    return sha256_of(json.dumps(parts, sort_keys=True).encode())[:32]


def epochs_done(folder: Path) -> int:
    """How many whole epochs the newest state in the folder is the result of; 0 where there is none. Does not read it."""
    return max(_states(folder), default=0)


def save(model: keras.Model, folder: Path, epochs: int) -> None:
    """Keeps the model's state after so many epochs, and that before it."""
    buffer = io.BytesIO()
    np.savez(buffer, *(np.asarray(variable) for variable in _variables(model)))
    content = buffer.getvalue()
    write_atomically(folder / f"{epochs:04}-{sha256_of(content)[:16]}.npz", content)
    for _, path in sorted(_states(folder).items())[:-_KEPT]:
        path.unlink()


def restore(model: keras.Model, folder: Path) -> int:
    """Puts the newest undamaged state into the compiled model; gives the number of its epochs, 0 where there is none."""
    for epochs, path in sorted(_states(folder).items(), reverse=True):
        content = path.read_bytes()
        if f"-{sha256_of(content)[:16]}." not in path.name:
            say(f"passed over, for it is damaged: {path}")
            continue
        model.optimizer.build(model.trainable_variables)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            for variable, name in zip(_variables(model), arrays.files, strict=True):
                variable.assign(arrays[name])
        return epochs
    return 0


def discard(folder: Path) -> None:
    """Removes all states, once what was trained is safe; and of other trainings beside it, never gone on with, the oldest."""
    shutil.rmtree(folder, ignore_errors=True)
    others = [path for path in folder.parent.glob("*") if path.is_dir()]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-_KEPT_TRAININGS]:
        shutil.rmtree(path, ignore_errors=True)


def _variables(model: keras.Model) -> list[keras.Variable]:
    """All that changes as the compiled model is trained, always in the same order."""
    return [*model.variables, *model.optimizer.variables]


def _states(folder: Path) -> dict[int, Path]:
    """For each number of epochs the state after them."""
    named = ((_NAME.fullmatch(path.name), path) for path in folder.glob("*.npz"))
    return {int(match[1]): path for match, path in named if match}
