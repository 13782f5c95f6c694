"""Data that are refused, and why."""

import math
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines import drift
from pipelines.data.images import OUTLIER, OWN, LabelledImages, Lot
from pipelines.dataset import VALIDATION
from pipelines.errors import DataError
from pipelines.recipe import Checks, Recipe, load_recipe, parse_recipe
from pipelines.steps.prepare import prepare
from pipelines.validation import Finding, Validation, validate
from tfserving.repository import Repository

RECIPE = """
name = "signs"
labels = ["o", "x"]
seed = 1
keep = 0.99
data = { source = "folder", folder = "FOLDER", validation = 0.2, test = 0.2 }
network = { channels = [8, 16, 16], blocks = 1, dropout = 0.1 }
training = { epochs = 1, batch = 8, learning_rate = 0.01, weight_decay = 0.01, label_smoothing = 0.05, averaging = false }
augmentation = { rotation_degrees = 5, scale = 0.05, shear = 0.05, shift_pixels = 1 }
gates = { accuracy = 0.5, recall = 0.3, ece = 0.9 }
presets = { default = {} }
"""


def drawn(label: str, generator: random.Random, width: int = 20) -> Image.Image:
    """A ring or a cross in black on white, 300 × 300, drawn by an unsteady hand."""
    image = Image.new("L", (300, 300), 255)
    pen = ImageDraw.Draw(image)

    def near(x: float, y: float) -> tuple[float, float]:
        return x + generator.uniform(-20, 20), y + generator.uniform(-20, 20)

    if label == "o":
        ring = [near(150 + 90 * math.cos(turn * math.pi / 6), 150 + 90 * math.sin(turn * math.pi / 6)) for turn in range(12)]
        pen.line([*ring, ring[0]], fill=0, width=width, joint="curve")
    else:
        for way in (1, -1):
            stroke = [near(150 + way * step, 150 + step) for step in (-90, -45, 0, 45, 90)]
            pen.line(stroke, fill=0, width=width, joint="curve")
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 pictures of each of two labels."""
    generator = random.Random(3)
    for label in "ox":
        (tmp_path / "signs" / label).mkdir(parents=True)
        for number in range(40):
            drawn(label, generator).save(tmp_path / "signs" / label / f"{number:02}.png")
    return tmp_path / "signs"


def recipe_for(folder: Path, checks: str = "") -> Recipe:
    return parse_recipe(RECIPE.replace("FOLDER", str(folder)) + checks, "test")


def published_with(summary: Path, root: Path) -> Repository:
    """A repository whose stable version of the model carries the summary."""
    version = root / "version"
    (version / "assets.extra").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"graph")
    shutil.copyfile(summary, version / drift.ASSET)
    repository = Repository(root / "repository")
    repository.open()
    repository.publish("signs", version)
    return repository


def lot(labels: list[int], part: str = "train", origin: str = OWN, seed: int = 1) -> Lot:
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28), np.uint8)
    return Lot(part, origin, LabelledImages(images, np.array(labels, np.int64)), f"{origin} {part} image")


def check(lots: list[Lot], checks: Checks | None = None) -> Validation:
    return validate(lots, ("a", "b"), checks or Checks())


def refused(found: Validation, name: str) -> Finding:
    (finding,) = found.anomalies
    assert finding.check == name
    return finding


def test_good_pictures_pass_and_the_report_says_so(folder: Path, tmp_path: Path) -> None:
    prepare(recipe_for(folder), tmp_path / "data", tmp_path / "cache")

    report = (tmp_path / "data" / VALIDATION).read_text(encoding="utf-8")
    assert "Fit to train on." in report
    assert not any(reference in report for reference in ('src="http', 'href="', "url(", "<script"))


def test_a_leaked_test_set_is_refused_with_the_files(folder: Path, tmp_path: Path) -> None:
    """The drill: somebody adds the pictures again, coded anew and a little smaller, so that copies fall on both sides."""
    for path in sorted(folder.glob("*/*.png")):
        with Image.open(path) as image:
            image.resize((270, 270)).save(path.with_name(f"{path.stem}-again.jpg"), quality=80)

    with pytest.raises(DataError, match=r"alike: \d+ of 32 images of the part test look the same as what is trained") as caught:
        prepare(recipe_for(folder), tmp_path / "data", tmp_path / "cache")

    told = str(caught.value)
    assert re.search(rf"{folder}/(o|x)/(\d\d)(-again\.jpg = {folder}/\1/\2\.png|\.png = {folder}/\1/\2-again\.jpg)", told)
    assert f"change [checks] in the recipe. Report: {tmp_path / 'data' / VALIDATION}" in told
    assert "Refused: " in (tmp_path / "data" / VALIDATION).read_text(encoding="utf-8")
    assert not list((tmp_path / "data").glob("*.npy"))


def test_what_the_recipe_allows_to_leak_passes(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(folder / "o" / "00.png", folder / "x" / "wrong.png")

    recipe = recipe_for(folder, "[checks]\nleaked = 0.5\nconflicts = 0.5\n")

    assert prepare(recipe, tmp_path / "data", tmp_path / "cache")["counts"]["train"]


def test_a_picture_with_two_labels_is_refused_with_both_files(folder: Path, tmp_path: Path) -> None:
    for path in sorted((folder / "o").iterdir()):
        shutil.copyfile(path, folder / "x" / f"wrong-{path.name}")

    recipe = recipe_for(folder, "[checks]\nleaked = 1\nalike = 1\n")

    with pytest.raises(DataError, match=r"conflicts: .* training images are there with another label as well") as caught:
        prepare(recipe, tmp_path / "data", tmp_path / "cache")
    assert f"{folder}/o/" in str(caught.value)
    assert f"{folder}/x/wrong-" in str(caught.value)


def test_thinner_strokes_than_the_stable_version_was_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    prepare(recipe_for(folder), tmp_path / "before", tmp_path / "cache")
    repository = published_with(tmp_path / "before" / drift.SUMMARY, tmp_path)
    generator = random.Random(4)
    for path in folder.glob("*/*.png"):
        drawn(path.parent.name, generator, width=60).save(path)

    with pytest.raises(DataError, match=r"drift: source, 'x': ink: stability index \d+\.\d+ to the stable version's data"):
        prepare(recipe_for(folder), tmp_path / "data", tmp_path / "cache", repository=repository.root)
    accepted = recipe_for(folder, "[checks]\ndrift = 100\n")
    prepare(accepted, tmp_path / "data", tmp_path / "cache", repository=repository.root)


def test_other_pictures_of_the_same_kind_have_not_drifted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(recipe_for(folder), tmp_path / "before", tmp_path / "cache")
    repository = published_with(tmp_path / "before" / drift.SUMMARY, tmp_path)
    generator = random.Random(4)
    for path in folder.glob("*/*.png"):
        drawn(path.parent.name, generator).save(path)

    prepare(recipe_for(folder), tmp_path / "data", tmp_path / "cache", repository=repository.root)

    assert "compared with: the data of version 1 of signs, which is stable" in capsys.readouterr().out


def test_too_many_unreadable_files_are_refused(folder: Path, tmp_path: Path) -> None:
    for number in range(10):
        (folder / "x" / f"damaged-{number}.png").write_bytes(b"no picture" + bytes([number]))

    with pytest.raises(DataError, match=r"unreadable: 10 of 90 .* at most 10.0%: .*x/damaged-"):
        prepare(recipe_for(folder), tmp_path / "data", tmp_path / "cache")


def test_blank_and_constant_images_are_refused() -> None:
    lots = [lot([0, 1] * 10)]
    lots[0].data.images[3] = 0
    lots[0].data.images[4] = 200
    lots[0].data.images[5, 3, 3] = 31
    lots[0].data.images[5] = np.minimum(lots[0].data.images[5], 31)

    finding = refused(check(lots), "blank")

    assert finding.names == ["source train image 3", "source train image 4", "source train image 5"]


def test_blank_outliers_are_what_they_should_be() -> None:
    outliers = LabelledImages(np.zeros((5, 28, 28), np.uint8), np.full(5, OUTLIER))

    assert check([lot([0, 1] * 10), Lot("train", "outliers", outliers, "outlier")]).anomalies == []


def test_many_duplicates_are_refused_and_few_are_told() -> None:
    lots = [lot([0, 1] * 100)]
    lots[0].data.images[10] = lots[0].data.images[12]
    few = check(lots)
    lots[0].data.images[20:40] = lots[0].data.images[12]
    lots[0].data.labels[20:40] = 0

    assert few.anomalies == []
    assert [finding.names for finding in few.findings if finding.check == "duplicates"] == [
        ["source train image 10 = source train image 12"]
    ]
    assert "21 of 200 training images are there already; at most 1.0%" in refused(check(lots), "duplicates").what


def test_a_class_that_is_nearly_missing_is_refused() -> None:
    finding = refused(check([lot([0] * 500 + [1] * 3)]), "balance")

    assert finding.what == (
        "the rarest class, 'b', has 3 of the source's training images, 1.2% of an average one's; at least 2.0%"
    )


def test_test_images_among_those_held_out_for_calibration_are_refused() -> None:
    held_out, test = lot([0, 1], "validation", seed=2), lot([0, 1], "test", seed=3)
    test.data.images[1] = held_out.data.images[0]

    found = check([lot([0, 1] * 10), held_out, test], Checks(alike=1))

    assert refused(found, "leaked").names == ["source test image 1 = source validation image 0"]


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (
            np.zeros((4, 28, 27), np.uint8),
            np.zeros(4, np.int64),
            r"images are uint8 \(4, 28, 27\); expected uint8 \(N, 28, 28\)",
        ),
        (np.zeros((4, 28, 28), np.float32), np.zeros(4, np.int64), r"images are float32 \(4, 28, 28\)"),
        (np.zeros((4, 28, 28), np.uint8), np.zeros(3, np.int64), r"the labels are int64 \(3,\); expected whole numbers \(4,\)"),
        (np.zeros((4, 28, 28), np.uint8), np.array([0, 1, 2, 1]), "1 labels are none of 2; the first is 2: source image 2"),
    ],
)
def test_images_that_are_not_as_every_step_expects_are_refused(images: np.ndarray, labels: np.ndarray, reason: str) -> None:
    finding = refused(check([Lot("train", OWN, LabelledImages(images, labels), "source image")]), "schema")

    assert re.search(reason, finding.told())


def test_every_recipe_has_checks_that_refuse_any_leak() -> None:
    assert load_recipe("digits").checks == Checks()
    assert Checks().leaked == 0
