"""The model card: what a version is, what it was made of and how good it is."""

import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handwriting import contract
from pipelines.files import sha256_of
from pipelines.recipe import Recipe

LOCK = "lock.txt"
"""A copy of the lock file in the environment; scripts/setup.sh and the image put it there."""

_PACKAGES = ("handwritten-character-recognition", "tensorflow-cpu", "tensorflow", "keras", "numpy", "opencv-python-headless")


def draft_card(
    recipe: Recipe,
    preset: str,
    seed: int,
    manifest: dict[str, Any],
    temperature: float,
    thresholds: NDArray[np.float32],
    training: dict[str, Any],
) -> dict[str, Any]:
    """The card of a version that is trained but not measured: without metrics, not blessed."""
    return {
        "name": recipe.name,
        "labels": list(recipe.labels),
        "merged": {label: list(others) for label, others in recipe.merged.items()},
        contract.FIELD: recipe.field,
        contract.PATTERNS: recipe.patterns,
        "recipe": {"sha256": sha256_of(recipe.text.encode()), "text": recipe.text},
        "preset": preset,
        "seed": seed,
        "data": {key: manifest[key] for key in ("source", "added", "counts", "sha256")},
        "temperature": temperature,
        "thresholds": [round(float(threshold), 6) for threshold in thresholds],
        "training": training,
        "metrics": None,
        "blessing": {"is_blessed": False, "reasons": ["not evaluated"]},
        "code_revision": code_revision(),
        "code_sha256": code_digest(),
        "lock_sha256": lock_digest(),
        "environment_sha256": environment_digest(),
        "packages": package_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def inputs(recipe: Recipe, preset: str, seed: int, data: dict[str, str]) -> dict[str, Any]:
    """All that a version is made of, by content: what is the same in two trainings gives the same version on one machine.

    `data` is the SHA-256 of each file of the data set.
    """
    return {
        "data": data,
        "recipe": sha256_of(recipe.text.encode()),
        "preset": preset,
        "seed": seed,
        "code": code_digest(),
        "packages": environment_digest(),
    }


def inputs_of(card: dict[str, Any]) -> dict[str, Any]:
    """The same of a version that exists; None for what its card, from before it was noted, does not tell."""
    return {
        "data": (card.get("data") or {}).get("sha256"),
        "recipe": (card.get("recipe") or {}).get("sha256"),
        "preset": card.get("preset"),
        "seed": card.get("seed"),
        "code": card.get("code_sha256"),
        "packages": card.get("environment_sha256"),
    }


def changed(card: dict[str, Any], inputs: dict[str, Any]) -> list[str]:
    """Which of the inputs are others than those of the version with that card."""
    before = inputs_of(card)
    return [name for name, value in inputs.items() if before[name] != value]


def code_digest() -> str:
    """SHA-256 of all Python files that shape a version: those of this package and of the preprocessing."""
    root = Path(__file__).parent.parent
    files = sorted(path for package in ("handwriting", "pipelines") for path in (root / package).rglob("*.py"))
    digests = "".join(f"{path.relative_to(root)} {sha256_of(path.read_bytes())}\n" for path in files)
    return sha256_of(digests.encode())


def lock_digest() -> str | None:
    """SHA-256 of the lock file that this environment was installed from; None where it was made in another way."""
    path = Path(sys.prefix, LOCK)
    return sha256_of(path.read_bytes()) if path.is_file() else None


def environment_digest() -> str:
    """SHA-256 of the names and versions of all installed packages and of Python's, whatever the lock says."""
    installed = {f"{one.metadata['Name'].lower()}=={one.version}" for one in metadata.distributions()}
    return sha256_of("\n".join([sys.version, *sorted(installed)]).encode())


def code_revision() -> str | None:
    """The Git commit of this code, with `+changes` where files differ from it; None where it is not in a Git checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if commit.returncode != 0:
        return None
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def package_versions() -> dict[str, str]:
    """The versions of the packages that shape a model, where they are installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
