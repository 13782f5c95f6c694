"""The command: composes the rooms, and holds no logic that belongs into one of them."""

from pathlib import Path


def examples_folder() -> Path:
    """Drawings of digits to try the product with; our own, in no data set."""
    return Path(__file__).parent / "examples"
