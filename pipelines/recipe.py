"""A recipe: all that is particular to one alphabet. The class count is the number of its labels.

A preset is the recipe's `[data]`, `[network]`, `[training]` and `[augmentation]` with what `[presets.<name>]` changes in them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from handwriting import contract
from handwriting.constraint import PATTERN_NAME, InvalidPattern, parse_pattern
from pipelines.data.faces import FONT_SETS, HANDWRITING
from pipelines.data.omniglot import ALPHABETS
from pipelines.data.sources import SOURCES
from pipelines.errors import RecipeError
from pipelines.schema import boolean, build, choice, integer, number, numbers, table_of_texts, text

NAME = r"[a-z][a-z0-9_+-]{0,62}"
FOLDER = Path(__file__).with_name("recipes")
_CHANGEABLE = ("data", "network", "training", "augmentation")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the labelled images come from, and how they are split."""

    source: str = choice(SOURCES)
    folder: str = text(default="")
    """Source `folder`: the folder of folders; source `idx`: that of the files. Relative to the working directory."""
    alphabet: str = choice(("", *ALPHABETS), default="")
    """Source `omniglot`: one of its alphabets."""
    idx: str = text(default="", pattern=r"[\w.-]*")
    """Source `idx`: what its files' names begin with, such as `emnist-letters`; nothing for names as MNIST's."""
    transposed: bool = boolean(default=False)
    """Source `idx`: whether rows and columns are exchanged in the files; known of EMNIST's."""
    sha256: Mapping[str, str] = table_of_texts(r"[0-9a-f]{64}")
    """Source `idx`: for names of files, uncompressed, the digest that each must have."""
    validation: float = number(0.001, 0.5)
    """Share of the training images (source `omniglot`: of the writers) that is held out for calibration and thresholds."""
    test: float = number(0.01, 0.9, default=0.15)
    """Share for the test where the source has no test set of its own; source `omniglot`: of the writers."""
    fonts: int = integer(0, 10_000_000, default=0)
    """How many characters rendered from fonts join the training images."""
    font_set: str = choice(FONT_SETS, default=HANDWRITING)
    """The bundled fonts that are meant: `handwriting`, or `plates` for characters as on number plates."""
    fonts_folder: str = text(default="")
    """A folder with more fonts than the bundled ones, relative to the working directory."""
    mnist: int = integer(0, 60_000, default=0)
    """How many of MNIST's training images join, where the source is another and digits are among the characters."""
    restyled: int = integer(0, 10_000_000, default=0)
    """How many of the source's training images join once more, in another style."""
    fields: int = integer(0, 10_000_000, default=0)
    """How many images join that the segmenter cuts from rendered fields: characters with neighbours' remains, and parts."""
    outliers: int = integer(0, 10_000_000, default=0)
    """How many images join that show none of the labels: other characters, scribbles, noise."""
    feedback: str = text(default="")
    """The folder with what clients sent back to the gateway, relative to the working directory; that of the model joins."""
    feedback_weight: int = integer(1, 1000, default=5)
    """How many times each of these images is trained on in an epoch."""
    feedback_confidence: float = number(0, 1, default=0.9)
    """A label that the stable version contradicts at this confidence or more is left out until a human confirms it."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """The size of the network; `network.py` says what the numbers mean."""

    channels: tuple[int, ...] = numbers(3, 1, 1024)
    blocks: int = integer(0, 16)
    dropout: float = number(0, 0.9)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how fast the network learns."""

    epochs: int = integer(1, 10_000)
    batch: int = integer(1, 4096)
    learning_rate: float = number(1e-6, 10)
    """The highest, reached after the warm-up."""
    weight_decay: float = number(0, 1)
    label_smoothing: float = number(0, 0.5)
    averaging: bool = boolean()
    """Whether the weights are an exponential moving average over training's last part."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Limits of the random affine transformation, drawn anew for each image and epoch."""

    rotation_degrees: float = number(0, 45)
    scale: float = number(0, 0.5)
    shear: float = number(0, 0.5)
    shift_pixels: float = number(0, 8)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What a version must reach on the test images to be blessed."""

    accuracy: float = number(0, 1)
    """At least."""
    recall: float = number(0, 1)
    """At least, of every class."""
    ece: float = number(0, 1)
    """At most: the expected calibration error."""
    size_mb: float = number(0.001, 100_000, default=50)
    """At most: all files of the version, in MB of a million bytes."""
    latency_ms: float = number(0.001, 60_000, default=200)
    """At most: the 99th percentile for one image, in this process when it is evaluated, through a model server before it is
    published."""
    load_seconds: float = number(0.1, 3600, default=120)
    """At most: until a model server that is started with the version has loaded it and warmed it up."""
    corrupted: float = number(0, 1, default=0)
    """At least: the accuracy on corrupted test images, mean of the suite in corruptions.py."""
    corrupted_worst: float = number(0, 1, default=0)
    """At least: the accuracy with each of these corruptions."""
    outliers_accepted: float = number(0, 1, default=1)
    """At most: the share of held-out images of no character that reach the threshold of a class."""
    drop: float = number(0, 1, default=0.005)
    """At most: how far the accuracy may lie below that of the stable version; 1 compares nothing."""
    slice_drop: float = number(0, 1, default=0.02)
    """The same of each slice: class, stroke width, slant, source; 1 compares none."""
    corrupted_drop: float = number(0, 1, default=0.05)
    """The same on corrupted images, all corruptions together; 1 compares none."""
    significance: float = number(0.000001, 0.5, default=0.05)
    """Less accuracy counts only where chance alone would bring that about more rarely; for slices, in any one of them."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What `prepare` accepts of the data; more than that stops the run. Shares are of a part's or an origin's images."""

    leaked: float = number(0, 1, default=0.0)
    """Share of a part held out for test or calibration that is trained on as well: the same pixels after preprocessing."""
    alike: float = number(0, 1, default=0.05)
    """The same share, of what looks the same: where coding a picture anew, or scaling it a little, makes no other of it."""
    duplicates: float = number(0, 1, default=0.01)
    """Share of an origin's training images that are there already, pixel for pixel."""
    conflicts: float = number(0, 1, default=0.001)
    """Share of the training images that are there with another label as well."""
    blank: float = number(0, 1, default=0.0)
    """Share of the labelled images of an origin that are of one shade all over, or all but without ink."""
    unreadable: float = number(0, 1, default=0.1)
    """Share of the source's files that had to be left out."""
    balance: float = number(0, 1, default=0.02)
    """At least: the source's training images of the rarest class, as a share of an average class's."""
    drift: float = number(0, 100, default=0.25)
    """The population stability index to the data of the version that is stable; 0.25 is commonly taken for a major change."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One way to train a recipe: `default`, `quick` or `best`."""

    name: str
    data: Data
    network: Network
    training: Training
    augmentation: Augmentation


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked."""

    name: str
    """Also the model's name."""
    labels: tuple[str, ...]
    merged: dict[str, tuple[str, ...]]
    """For some labels the other characters that are read as the label."""
    seed: int
    keep: float
    """The share of a class's right answers that its rejection threshold keeps."""
    field: str
    """What the characters stand on where several are read: `paper`, or `panel`, such as a number plate."""
    data: Data
    """As no preset changes it; see `with_preset`."""
    gates: Gates
    checks: Checks
    presets: dict[str, Preset]
    patterns: dict[str, str]
    """What texts of its characters are like, by name: `pattern=@DE` in a request to read means the one called DE."""
    text: str
    """The TOML that it was read from."""

    @property
    def characters(self) -> dict[str, int]:
        """Every character that is read as a label, with the label's index: the labels in order, then what is merged."""
        index_of = {label: index for index, label in enumerate(self.labels)}
        return index_of | {other: index_of[label] for label, others in self.merged.items() for other in others}

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            RecipeError: there is none.
        """
        if name not in self.presets:
            raise RecipeError(f"recipe {self.name} has no preset {name!r}; it has {', '.join(self.presets)}")
        return self.presets[name]

    def with_preset(self, name: str) -> "Recipe":
        """The recipe with the data of that preset.

        Raises:
            RecipeError: there is none.
        """
        return replace(self, data=self.preset(name).data)


def recipe_names() -> list[str]:
    """The recipes that come with the project, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(reference: str | Path) -> Recipe:
    """The recipe with that name, in that file, or (a string of several lines) with that text.

    Raises:
        RecipeError: there is none, it is no TOML, or a value is missing, unknown or wrong; names the file and the key.
    """
    if isinstance(reference, str) and "\n" in reference:
        return parse_recipe(reference, "recipe")
    path = FOLDER / f"{reference}.toml" if str(reference) in recipe_names() else Path(reference)
    try:
        return parse_recipe(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise RecipeError(
            f"no recipe {str(reference)!r}; there are {', '.join(recipe_names())}, or give a file's path"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from None


def parse_recipe(content: str, source: str) -> Recipe:
    """The recipe with that text; `source` begins the message of what is wrong with it.

    Raises:
        RecipeError: no TOML, or a value is missing, unknown or wrong.
    """
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: no TOML: {error}") from None
    presets = _pop_tables(table, "presets", source)
    common = {key: _pop_tables(table, key, source) for key in _CHANGEABLE}
    patterns = _patterns(table.pop("patterns", {}), source)
    merged = table.pop("merged", {})
    head = build(_Head, {key: value for key, value in table.items() if key not in ("gates", "checks")}, source, "")
    return Recipe(
        **{field.name: getattr(head, field.name) for field in fields(head)},
        merged=_merged(merged, head.labels, source),
        data=build(Data, common["data"], source, "data."),
        gates=build(Gates, table.get("gates", {}), source, "gates."),
        checks=build(Checks, table.get("checks", {}), source, "checks."),
        presets={name: _preset(name, changes, common, source) for name, changes in presets.items()},
        patterns=patterns,
        text=content,
    )


@dataclass(frozen=True, kw_only=True)
class _Head:
    name: str = text(pattern=NAME)
    labels: tuple[str, ...] = text(many=True)
    seed: int = integer(0, 2**31 - 1)
    keep: float = number(0.5, 1)
    field: str = choice((contract.PAPER, contract.PANEL), default=contract.PAPER)


def _pop_tables(table: dict[str, Any], key: str, source: str) -> dict[str, Any]:
    value = table.pop(key, None)
    if not isinstance(value, dict) or not value:
        raise RecipeError(f"{source}: [{key}] is missing or no table")
    return value


def _patterns(table: Any, source: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise RecipeError(f"{source}: patterns is {table!r}; expected a table of patterns by name")
    for name, pattern in table.items():
        if not PATTERN_NAME.fullmatch(name):
            raise RecipeError(f"{source}: patterns.{name}: a name has up to 32 letters, digits, - and _")
        if not isinstance(pattern, str) or not pattern:
            raise RecipeError(f"{source}: patterns.{name} is {pattern!r}; expected a pattern such as '[A-Z]{{2}}\\d{{3}}'")
        try:
            parse_pattern(pattern)
        except InvalidPattern as error:
            raise RecipeError(f"{source}: patterns.{name}: {error}") from None
    return table


def _merged(table: Any, labels: tuple[str, ...], source: str) -> dict[str, tuple[str, ...]]:
    """The characters merged into labels; each is read as one label only."""
    if not isinstance(table, dict):
        raise RecipeError(f"{source}: merged is {table!r}; expected a table of labels, each with a list of characters")
    taken = set(labels)
    for label, others in table.items():
        if label not in labels:
            raise RecipeError(f"{source}: merged.{label}: no such label; labels are {', '.join(labels)}")
        if not isinstance(others, list) or not all(isinstance(one, str) and one for one in others):
            raise RecipeError(f"{source}: merged.{label} is {others!r}; expected a list of non-empty strings")
        for other in others:
            if other in taken:
                raise RecipeError(
                    f"{source}: merged.{label}: {other!r} is a label or merged already; expected another character"
                )
            taken.add(other)
    return {label: tuple(others) for label, others in table.items()}


def _preset(name: str, changes: Any, common: dict[str, Any], source: str) -> Preset:
    if not isinstance(changes, dict) or not set(changes) <= set(_CHANGEABLE):
        raise RecipeError(f"{source}: presets.{name}: {changes!r}; expected tables among {', '.join(_CHANGEABLE)}")
    merged = {key: common[key] | changes.get(key, {}) for key in _CHANGEABLE}
    where = f"presets.{name}."
    return Preset(
        name=name,
        data=build(Data, merged["data"], source, f"{where}data."),
        network=build(Network, merged["network"], source, f"{where}network."),
        training=build(Training, merged["training"], source, f"{where}training."),
        augmentation=build(Augmentation, merged["augmentation"], source, f"{where}augmentation."),
    )
