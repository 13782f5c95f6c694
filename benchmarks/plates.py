"""How many rendered number plates `read` gets exactly right, by country, without and with the country's pattern.

    PYTHONPATH=. .venv/bin/python benchmarks/plates.py [--count 550] [--seed 1] [--version stable] [--errors FOLDER]

The plates are in fonts that the model was not trained on. Each goes the way of a request to /v1/read: the file is decoded and
cut into hypotheses, the exported graph scores them, the search reads.
"""

import io
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handwriting.constraint import Constraint, parse_pattern
from handwriting.errors import ImageError
from handwriting.image import decode
from handwriting.panel import segment_panel
from handwriting.reading import read
from handwriting.segment import Line
from hcr.drawing import columns
from pipelines.data.faces import PLATES, faces
from pipelines.data.whole_plates import LOOKS, Plate, plate
from pipelines.servable import score
from tfserving.repository import Repository

SAME = str.maketrans("OI", "01")


@dataclass(frozen=True)
class Seen:
    """A plate, and the lines that were found on it: none where nothing was."""

    country: str
    plate: Plate
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Told:
    """A plate's text, and what was read without and with the pattern; empty where nothing was."""

    seen: Seen
    free: str
    constrained: str


def main() -> int:
    arguments = parsed()
    version = Repository(arguments.repository).find("plates", arguments.version)
    held_out = [face for face in faces(font_set=PLATES) if face.is_held_out]
    generator = np.random.default_rng(arguments.seed)
    all_seen = []
    for number in range(arguments.count):
        country = list(LOOKS)[number % len(LOOKS)]
        face = held_out[number // len(LOOKS) % len(held_out)]
        all_seen.append(as_seen(country, plate(country, face, generator)))
    told = list(read_all(all_seen, version.path, version.card))
    print(f"plates version {version.number}, {arguments.count} plates, seed {arguments.seed}, {len(held_out)} unseen fonts")
    print(columns(list(table(told)), numbers_from=1))
    if arguments.errors:
        keep_errors(told, arguments.errors)
    return 0


def parsed() -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=50 * len(LOOKS), help="how many plates [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", default="stable", help="a version's number or label [%(default)s]")
    parser.add_argument("--repository", type=Path, default=Path("model_repo"))
    parser.add_argument("--errors", type=Path, help="a folder for the pictures of what is wrong with the pattern")
    arguments = parser.parse_args()
    arguments.version = int(arguments.version) if arguments.version.isdecimal() else arguments.version
    return arguments


def as_seen(country: str, drawn: Plate) -> Seen:
    try:
        return Seen(country, drawn, segment_panel(decode(encoded(drawn))))
    except ImageError:
        return Seen(country, drawn, ())


def encoded(drawn: Plate) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(drawn.picture).save(buffer, "PNG")
    return buffer.getvalue()


def read_all(all_seen: Sequence[Seen], folder: Path, card: dict[str, object]) -> list[Told]:
    """What is read of each plate; the model scores all hypotheses at once."""
    lines = [line for seen in all_seen for line in seen.lines]
    tensors = np.stack([hypothesis.tensor for line in lines for hypothesis in line.hypotheses])
    counts = [len(line.hypotheses) for line in lines]
    by_line = dict(zip(map(id, lines), np.split(score(folder, tensors), np.cumsum(counts)[:-1]), strict=True))
    labels, patterns = card["labels"], card["patterns"]
    told = []
    for seen in all_seen:
        scores = [by_line[id(line)] for line in seen.lines]
        constraint = Constraint(pattern=parse_pattern(patterns[seen.country]))
        told.append(Told(seen, best(seen, scores, labels, None), best(seen, scores, labels, constraint)))
    return told


def best(seen: Seen, scores: list[NDArray[np.float32]], labels: Sequence[str], constraint: Constraint | None) -> str:
    if not seen.lines:
        return ""
    found = read(seen.lines, scores, labels, constraint, 1)
    return found.readings[0].text if found.readings else ""


def table(told: Sequence[Told]) -> list[tuple[str, ...]]:
    """By country: plates, and how many of them are exact without the pattern, but for O and 0, I and 1, and with it."""
    rows = [("COUNTRY", "PLATES", "WITHOUT PATTERN", "O = 0, I = 1", "WITH PATTERN")]
    for country in [*LOOKS, "all"]:
        own = [item for item in told if country in (item.seen.country, "all")]
        if not own:
            continue
        shares = [
            np.mean([item.free == item.seen.plate.text for item in own]),
            np.mean([item.free.translate(SAME) == item.seen.plate.text.translate(SAME) for item in own]),
            np.mean([item.constrained == item.seen.plate.text for item in own]),
        ]
        rows.append((country, str(len(own)), *(f"{share:.1%}" for share in shares)))
    return rows


def keep_errors(told: Sequence[Told], folder: Path) -> None:
    """Writes each plate that is wrong with the pattern; the file's name says what it says and what was read."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(told):
        if item.constrained != item.seen.plate.text:
            read_as = item.constrained.replace("\n", "_") or "nothing"
            name = f"{number:04}-{item.seen.country}-{item.seen.plate.text}-as-{read_as}.png"
            Image.fromarray(item.seen.plate.picture).save(folder / name)


if __name__ == "__main__":
    sys.exit(main())
