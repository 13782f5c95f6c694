"""A folder of pictures by label → a recipe that trains on them: what `hcr new-recipe` writes.

The sizes are starting points by the amount of data, measured on no alphabet in particular: few pictures get a small network,
many copies in other styles and many epochs; many pictures a larger network and fewer of both.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.faces import faces, shape
from pipelines.data.folder import label_folders, shelf
from pipelines.data.pictures import TABLE
from pipelines.errors import DataError, RecipeError
from pipelines.recipe import NAME, parse_recipe, recipe_names
from pipelines.schema import is_printable

_FEW = 20
"""Pictures of a label: with fewer, its accuracy on the test is a guess."""
_MOST_NAMED = 8
_UNEVEN = 10
_LEAST_FACES = 5
_FONTS_PER_LABEL = 100


@dataclass(frozen=True)
class Survey:
    """What lies in a folder of pictures by label."""

    folder: Path
    counts: dict[str, int]
    """How many different readable pictures each label has that can be trained, by label."""
    too_few: dict[str, int]
    """The other labels: none or one."""
    refused: list[str]
    """Pictures that cannot be read, as label/name, with the reason."""
    face_count: int
    """How many of the bundled fonts for training have every label; 0 also where no held-out one has."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def survey(folder: Path, tell: Callable[[int, int], None] = lambda done, total: None) -> Survey:
    """What can be trained from the folder; tells after each label how many are done.

    Raises:
        DataError: no such folder, or nothing in it from which a model could learn; says what is expected.
    """
    folders = label_folders(folder)
    if not folders:
        others = f"; {TABLE} is only for hcr evaluate" if (folder / TABLE).is_file() else ""
        raise DataError(
            f"{folder} holds no folders; expected one per label with its pictures in it, such as {folder}/A/1.png{others}"
        )
    shelves = []
    for done, (label, paths) in enumerate(sorted(folders.items()), 1):
        shelves.append(shelf(label, paths))
        tell(done, len(folders))
    usable = {one.label: len(one.pictures) for one in shelves if len(one.pictures) >= 2 and is_printable(one.label)}
    too_few = {one.label: len(one.pictures) for one in shelves if one.label not in usable}
    if len(usable) < 2 or max(usable.values()) < 3:
        raise DataError(
            f"{folder}: {len(usable)} labels with at least 2 different readable pictures{_listed(usable)}; "
            f"at least 2 such labels are needed, one of them with 3 pictures{_listed(too_few, '. Too few have ')}"
        )
    refused = [f"{one.label}/{reason}" for one in shelves for reason in one.refused]
    return Survey(folder, usable, too_few, refused, _face_count(tuple(usable)))


def warnings(found: Survey) -> list[str]:
    """What the user should know of the pictures before training, a sentence each."""
    told = []
    if found.too_few:
        told.append(f"left out, with fewer than 2 different readable pictures{_listed(found.too_few)}")
    if found.refused:
        more = f" … and {len(found.refused) - _MOST_NAMED:,} more" if len(found.refused) > _MOST_NAMED else ""
        told.append(f"not readable: {'; '.join(found.refused[:_MOST_NAMED])}{more}")
    if few := {label: count for label, count in found.counts.items() if count < _FEW}:
        told.append(f"fewer than {_FEW} pictures, so what the test says about them is uncertain{_listed(few)}")
    least, most = min(found.counts.values()), max(found.counts.values())
    if most >= _UNEVEN * least:
        told.append(f"unequal counts, from {least:,} to {most:,}: the model will prefer the frequent labels where it doubts")
    return told


def recipe_text(name: str, found: Survey) -> str:
    """A recipe for the pictures, as TOML with comments; `parse_recipe` accepts it.

    Raises:
        RecipeError: the name cannot be a model's.
    """
    if not re.fullmatch(NAME, name):
        raise RecipeError(
            f"name is {name!r}; a lower-case letter, then letters, digits, '-', '_' and '+' are accepted, 63 at most"
        )
    text = _TEMPLATE.format(**_values(name, found))
    parse_recipe(text, f"recipe {name}")
    return text


def name_warning(name: str) -> str | None:
    """What to say where the name is that of a recipe of the project."""
    if name not in recipe_names():
        return None
    return (
        f"{name} is also a recipe of the project: versions of both would stand in one row; give the file's path to train yours"
    )


def _values(name: str, found: Survey) -> dict[str, object]:
    """What the template wants; the thresholds are amounts of pictures."""
    total, label_count = found.total, len(found.counts)
    is_small, is_large = total < 2000, total >= 20_000
    restyled = 0 if is_large else min(8000, 20 * total)
    fonts = min(16_000, _FONTS_PER_LABEL * label_count) if found.face_count else 0
    batch = 32 if total + restyled + fonts < 2000 else 64 if total + restyled + fonts < 10_000 else 128
    test = 0.2 if is_small else 0.15
    tested = round(total * test)
    images = round(total * (1 - test)) + restyled + fonts
    channels = [24, 48, 96] if not is_small else [16, 32, 64]
    return {
        "name": name, "labels": _array(sorted(found.counts)), "counts": _counts(found),
        "folder": _quoted(str(found.folder)), "validation": 0.15 if is_small else 0.05 if is_large else 0.1, "test": test,
        "restyled": restyled, "fonts": fonts, "faces": _about_fonts(found),
        "channels": channels if label_count < 200 else [40, 80, 160], "dropout": 0.2 if is_small else 0.3,
        "epochs": _epochs(2000, batch, images), "quick": _epochs(500, batch, images), "best": _epochs(20_000, batch, images),
        "batch": batch, "rotation": 15 if is_small else 12, "scale": 0.15 if is_small else 0.12,
        "keep": 0.99 if is_small else 0.995, "tested": f"{tested:,}",
        **_gates(tested, tested / label_count),
    }  # fmt: skip


def _gates(tested: int, per_label: float) -> dict[str, float]:
    """What a version must reach: little where few pictures are in the test, as one wrong answer weighs much there."""
    if per_label >= 20:
        return {"accuracy": 0.8, "recall": 0.5, "ece": 0.08}
    if tested >= 100:
        return {"accuracy": 0.6, "recall": 0.0, "ece": 0.2}
    return {"accuracy": 0.5, "recall": 0.0, "ece": 0.4}


def _epochs(steps: int, batch: int, images: int) -> int:
    """So many that training takes about so many steps, between 3 and 200."""
    return min(200, max(3, round(steps * batch / images)))


def _face_count(labels: Sequence[str]) -> int:
    """How many of the bundled handwriting fonts for training have every label; 0 where too few, or none for the test, have."""
    complete = [face for face in faces() if all(shape(face, label) is not None for label in labels)]
    train = sum(not face.is_held_out for face in complete)
    return train if train >= _LEAST_FACES and train < len(complete) else 0


def _about_fonts(found: Survey) -> str:
    if not found.face_count:
        return "the bundled handwriting fonts lack some of the labels; fonts_folder can name a folder with fonts that have them"
    return f"rendered from {found.face_count} handwriting fonts that have every label"


def _counts(found: Survey) -> str:
    least, most = min(found.counts.values()), max(found.counts.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{found.total:,} pictures of {len(found.counts)} labels, {each} of each"


def _listed(counts: dict[str, int], head: str = ": ") -> str:
    """The labels with their counts, fewest first, the first of many."""
    if not counts:
        return ""
    ordered = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    named = ", ".join(f"{_shown(label)} ({count})" for label, count in ordered[:_MOST_NAMED])
    return f"{head}{named}{f' and {len(ordered) - _MOST_NAMED:,} more' if len(ordered) > _MOST_NAMED else ''}"


def _shown(label: str) -> str:
    return label if is_printable(label) else ascii(label)


def _quoted(text: str) -> str:
    """A TOML string: JSON's, which TOML reads, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _array(labels: Sequence[str]) -> str:
    """A TOML array, in lines of at most about 120 characters."""
    lines, line = [], ""
    for label in labels:
        if len(line) > 110:
            lines.append(line.rstrip())
            line = ""
        line += f"{_quoted(label)}, "
    return "[\n" + "".join(f"    {one}\n" for one in [*lines, line.rstrip()]) + "]"


_TEMPLATE = """\
# Made by `hcr new-recipe` from {counts}. Everything here may be changed; what the keys mean: docs/recipes.md.

name = "{name}" # also the model's: `hcr predict --model {name}`
labels = {labels}
seed = 1
keep = {keep} # of a class's right answers, by its rejection threshold

[data]
source = "folder"
folder = {folder} # relative to where hcr is called
test = {test} # of the pictures: never trained on, {tested} of them
validation = {validation} # of the others: for calibration and thresholds
restyled = {restyled} # copies of the pictures as other pens, papers and cameras would have made them
fonts = {fonts} # {faces}
outliers = 0 # images of other characters, to learn what is none; only where no label looks like a letter or sign of ASCII

[network]
channels = {channels}
blocks = 1
dropout = {dropout}

[training]
epochs = {epochs}
batch = {batch}
learning_rate = 0.005
weight_decay = 0.02
label_smoothing = 0.05
averaging = false

# Limits of the random transformation of each image. Characters that differ by turning, such as 6 and 9, want little of it.
[augmentation]
rotation_degrees = {rotation}
scale = {scale}
shear = 0.2
shift_pixels = 2

# What a version must reach on the test pictures to be published. Raise it to what you need; recall is that of each label.
[gates]
accuracy = {accuracy}
recall = {recall}
ece = {ece} # the expected calibration error, at most

[presets.default]

[presets.quick]
training = {{ epochs = {quick} }}

[presets.best]
network = {{ channels = [56, 112, 224], dropout = 0.4 }}
training = {{ epochs = {best}, averaging = true }}
"""
