"""Which of the images that clients sent back join a training, which are measured on, and which a human should look at first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import dataset
from pipelines.data.feedback import ORIGIN, Ask, Contradiction, Corrections, contradictions, load
from pipelines.data.images import Lot
from pipelines.recipe import Recipe
from pipelines.servable import read_card, score

_MOST_TOLD = 5


@dataclass(frozen=True)
class Selection:
    """What became of the feedback."""

    lots: list[Lot] = field(default_factory=list)
    """To train on, with the recipe's weight; and what is held out, as a part of its own."""
    contradictions: list[Contradiction] = field(default_factory=list)
    """What waits for a human."""
    left_out: list[str] = field(default_factory=list)
    """Other files, each with the reason."""

    def counts(self) -> dict[str, int]:
        """For the manifest: how many different images are trained on and held out; nothing where there are none."""
        names = {"train": "feedback", dataset.FEEDBACK: "feedback_held_out"}
        return {names[lot.part]: len(lot.data) for lot in self.lots}

    def lines(self) -> list[str]:
        """What the user is told."""
        counts, weight = self.counts(), max((lot.weight for lot in self.lots), default=1)
        told = f"{counts.get('feedback', 0):,} images to train on, {weight} times each"
        lines = [f"feedback: {told}; {counts.get('feedback_held_out', 0):,} held out; {len(self.left_out):,} left out"]
        if self.contradictions:
            lines.append(
                f"feedback: {len(self.contradictions):,} contradict the stable version where it is sure, and wait for a human:"
            )
            lines += [f"  {one.told()}" for one in self.contradictions[:_MOST_TOLD]]
        return lines


def select(folder: Path, recipe: Recipe, others: Sequence[Lot], stable: Path | None) -> Selection:
    """What the folder holds for the recipe's model; `others` are the data without it, `stable` is the version's folder.

    What is in the data already, be it in the test, is left out.

    Raises:
        VersionError: the stable version cannot be asked.
    """
    found = load(folder, recipe.name, recipe.characters)
    known = {_digest(image) for lot in others for image in lot.data.images} if len(found) else set()
    is_new = np.array([_digest(image) not in known for image in found.data.images], np.bool_)
    left_out = [*found.left_out, *(f"{name}: is in the data already" for name in found.only(~is_new).names)]
    new = found.only(is_new)
    doubted = contradictions(new, recipe.labels, _asking(stable), recipe.data.feedback_confidence) if stable else {}
    trusted = new.only(np.array([index not in doubted for index in range(len(new))], np.bool_))
    lots = [
        _lot("train", trusted.only(~trusted.is_held_out), recipe.data.feedback_weight),
        _lot(dataset.FEEDBACK, trusted.only(trusted.is_held_out), 1),
    ]
    ordered = sorted(doubted.values(), key=lambda one: (-one.confidence, one.name))
    return Selection([lot for lot in lots if len(lot.data)], ordered, left_out)


def _lot(part: str, chosen: Corrections, weight: int) -> Lot:
    return Lot(part, ORIGIN, chosen.data, "feedback image", chosen.names, weight=weight)


def _asking(version: Path) -> Ask:
    def ask(images: NDArray[np.uint8]) -> tuple[list[str], NDArray[np.float32]]:
        labels, scores = read_card(version)["labels"], score(version, images)
        return [labels[index] for index in scores.argmax(1)], scores.max(1)

    return ask


def _digest(image: NDArray[np.uint8]) -> bytes:
    return blake2b(image.tobytes(), digest_size=16).digest()
