"""Versions that were trained and not measured yet, kept so that the same training is not done twice on this machine.

    <folder>/<key>/    a version, with the manifest of its files

A version appears there by one rename. One whose files were changed since is trained anew.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pipelines.files import sha256_of
from tfserving import manifest
from tfserving.errors import RepositoryError

FOLDER = "trained"
"""The folder in the cache."""

_KEPT = 5


def key(inputs: dict[str, Any]) -> str:
    """A folder's name: the same for a training of the same data, recipe, preset, seed, code and packages."""
    return sha256_of(json.dumps(inputs, sort_keys=True).encode())[:32]


def take(folder: Path, inputs: dict[str, Any], model_dir: Path) -> bool:
    """Copies the version that was made of these inputs to `model_dir`; whether there was one, undamaged."""
    kept = folder / key(inputs)
    try:
        manifest.verify(kept)
    except RepositoryError:
        return False
    shutil.copytree(kept, model_dir, dirs_exist_ok=True)
    (model_dir / manifest.FILE).unlink()
    kept.touch()  # the longest unused goes first
    return True


def keep(folder: Path, inputs: dict[str, Any], model_dir: Path) -> None:
    """Keeps a copy of the version in `model_dir`, and of others those used last."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / key(inputs)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as temporary:
        incoming = Path(temporary, "version")
        shutil.copytree(model_dir, incoming)
        manifest.write(incoming)
        shutil.rmtree(place, ignore_errors=True)
        incoming.rename(place)
    others = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.stat().st_mtime)
    for path in others[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
