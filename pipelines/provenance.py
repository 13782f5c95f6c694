"""The model card: what a version is, what it was made of and how good it is."""

import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handwriting import contract
from pipelines.files import sha256_of
from pipelines.recipe import Recipe

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
        "data": {key: manifest[key] for key in ("source", "counts", "sha256")},
        "temperature": temperature,
        "thresholds": [round(float(threshold), 6) for threshold in thresholds],
        "training": training,
        "metrics": None,
        "blessing": {"is_blessed": False, "reasons": ["not evaluated"]},
        "code_revision": code_revision(),
        "packages": package_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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
