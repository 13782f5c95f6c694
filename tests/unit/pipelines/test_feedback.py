"""What becomes of what clients sent back."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines import dataset, drift
from pipelines.data.feedback import contradictions, load, note
from pipelines.data.images import OWN, LabelledImages, Lot
from pipelines.dataset import VALIDATION
from pipelines.feedback import select
from pipelines.recipe import Recipe, parse_recipe
from pipelines.steps.prepare import data_digests, prepare
from pipelines.validation import joined

RECIPE = """
name = "signs"
labels = ["o", "/"]
merged = { o = ["O"] }
seed = 1
keep = 0.99
data = { source = "folder", folder = "FOLDER/own", validation = 0.2, test = 0.2, feedback = "FOLDER/feedback" }
network = { channels = [8, 16, 16], blocks = 1, dropout = 0.1 }
training = { epochs = 1, batch = 8, learning_rate = 0.01, weight_decay = 0.01, label_smoothing = 0.05, averaging = false }
augmentation = { rotation_degrees = 5, scale = 0.05, shear = 0.05, shift_pixels = 1 }
gates = { accuracy = 0.5, recall = 0.3, ece = 0.9 }
checks = { leaked = 1, alike = 1, duplicates = 1 }
presets = { default = {} }
"""


def drawn(label: str, generator: random.Random) -> Image.Image:
    image = Image.new("L", (80, 80), 255)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = (generator.uniform(*limits) for limits in ((5, 25), (5, 25), (55, 75), (55, 75)))
    if label == "/":
        pen.line([(left, bottom), (40, generator.uniform(30, 50)), (right, top)], fill=0, width=6)
    else:
        pen.ellipse([left, top, right, bottom], outline=0, width=6)
    return image


def sent(folder: Path, label: str, count: int, seed: int) -> list[Path]:
    """Images in the folder of a label, each with its note, as the gateway stores them."""
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}-{number:02}.png" for number in range(count)]
    for path in paths:
        drawn(label, generator).save(path)
        path.with_suffix(".json").write_text(json.dumps({"label": label, "model": "signs", "id": "1"}))
    return paths


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """For 20 own pictures of each label, and a folder of feedback with 30 more."""
    for label, name in (("o", "o"), ("/", "%2F")):
        sent(tmp_path / "own" / name, label, 20, seed=1)
        sent(tmp_path / "feedback" / "signs" / name, label, 30, seed=2)
    return parse_recipe(RECIPE.replace("FOLDER", str(tmp_path)), "test")


def test_feedback_joins_with_its_weight_and_some_of_it_is_held_out(recipe: Recipe, tmp_path: Path) -> None:
    manifest = prepare(recipe, tmp_path / "data", tmp_path / "cache")

    added, counts = manifest["added"], {part: sum(one.values()) for part, one in manifest["counts"].items()}
    assert 50 <= added["feedback"] + added["feedback_held_out"] <= 60  # some look like others, once they are centred
    assert 3 <= added["feedback_held_out"] <= 25
    assert counts["feedback"] == added["feedback_held_out"]
    assert counts["train"] == 40 - counts["validation"] - counts["test"] + 5 * added["feedback"]
    summary = drift.read(tmp_path / "data" / drift.SUMMARY)
    assert summary is not None
    assert sum(int(measures["ink"].sum()) for measures in summary["feedback"].values()) == added["feedback"]
    assert data_digests(recipe, tmp_path / "cache", "default") == manifest["sha256"]


def test_what_was_held_out_once_is_never_trained_on(recipe: Recipe, tmp_path: Path) -> None:
    before = load(tmp_path / "feedback", "signs", recipe.characters)
    sent(tmp_path / "feedback" / "signs" / "o", "o", 30, seed=3)
    after = load(tmp_path / "feedback", "signs", recipe.characters)

    held_out = dict(zip(after.names, after.is_held_out, strict=True))
    assert {name: held_out[name] for name in before.names} == dict(zip(before.names, before.is_held_out, strict=True))


def test_without_feedback_nothing_changes(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "feedback").rename(tmp_path / "elsewhere")

    manifest = prepare(recipe, tmp_path / "data", tmp_path / "cache")

    assert "feedback" not in manifest["added"]
    assert not dataset.has_part(tmp_path / "data", dataset.FEEDBACK)


def test_what_cannot_be_trained_on_is_left_out_and_told_why(recipe: Recipe, tmp_path: Path) -> None:
    place = tmp_path / "feedback" / "signs"
    (twice,) = sent(place / "o", "o", 1, seed=5)
    (place / "%2F" / "5-00.png").write_bytes(twice.read_bytes())
    sent(place / "Q", "o", 1, seed=6)
    (place / "o" / "7-00.png").write_bytes(b"no picture")
    (place / "o" / ".half.png").write_bytes(b"")

    found = load(tmp_path / "feedback", "signs", recipe.characters)

    assert len(found) == 60
    assert [reason.removeprefix(f"{place}/").partition(": ")[0] for reason in found.left_out] == [
        "%2F/5-00.png", "Q/6-00.png", "o/5-00.png", "o/7-00.png",
    ]  # fmt: skip
    assert "is there with several labels" in found.left_out[0]
    assert "'Q' is none of the recipe's labels" in found.left_out[1]


def test_a_merged_character_is_its_label(recipe: Recipe, tmp_path: Path) -> None:
    sent(tmp_path / "feedback" / "signs" / "O", "o", 4, seed=8)

    assert np.bincount(load(tmp_path / "feedback", "signs", recipe.characters).data.labels).tolist() == [34, 30]


def test_what_is_in_the_data_already_is_left_out(recipe: Recipe, tmp_path: Path) -> None:
    known = load(tmp_path / "feedback", "signs", recipe.characters).data.images[:3]
    test = Lot("test", OWN, LabelledImages(known, np.zeros(3, np.int64)), "test image")

    chosen = select(tmp_path / "feedback", recipe, [test], None)

    assert len(chosen.left_out) >= 3
    assert all(reason.endswith("is in the data already") for reason in chosen.left_out)
    assert sum(chosen.counts().values()) == 60 - len(chosen.left_out)


def test_what_a_confident_version_contradicts_waits_for_a_human(recipe: Recipe, tmp_path: Path) -> None:
    def ask(images: np.ndarray) -> tuple[list[str], np.ndarray]:
        sure = np.full(len(images), 0.5, np.float32)
        sure[:2] = 0.95
        return ["o"] * len(images), sure

    def doubted() -> dict[int, str]:
        found = load(tmp_path / "feedback", "signs", recipe.characters)
        return {index: one.told() for index, one in contradictions(found, recipe.labels, ask, 0.9).items()}

    place = tmp_path / "feedback" / "signs" / "%2F"
    assert doubted() == {number: f"{place}/2-0{number}.png: sent as /, taken for o at 95.0%" for number in (0, 1)}
    path = place / "2-00.png"
    path.with_suffix(".json").write_text(json.dumps(note(path) | {"confirmed": True}))
    assert list(doubted()) == [1]


def test_the_report_names_what_was_left_out(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "feedback" / "signs" / "o" / "bad.png").write_bytes(b"<b>")

    prepare(recipe, tmp_path / "data", tmp_path / "cache")

    report = (tmp_path / "data" / VALIDATION).read_text(encoding="utf-8")
    assert "Feedback left out" in report
    assert f"{tmp_path}/feedback/signs/o/bad.png: " in report


def test_a_weight_repeats_the_images_of_its_lot_alone() -> None:
    lots = [
        Lot("train", origin, LabelledImages(np.full((2, 28, 28), shade, np.uint8), np.zeros(2, np.int64)), "", weight=weight)
        for origin, shade, weight in ((OWN, 1, 1), ("feedback", 2, 3))
    ]

    assert joined(lots, "train").images[:, 0, 0].tolist() == [1, 1, 2, 2, 2, 2, 2, 2]
