"""A tiny alphabet: three shapes drawn at random, with labels of several bytes and unequal counts."""

import random
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

COUNTS = {"○": 60, "✕": 40, "木": 25}

RECIPE = """
name = "shapes"
labels = ["○", "✕", "木"]
seed = 3
keep = 0.99

[data]
source = "folder"
folder = "{folder}"
validation = 0.2
test = 0.2

[network]
channels = [8, 16, 16]
blocks = 1
dropout = 0.1

[training]
epochs = 8
batch = 8
learning_rate = 0.01
weight_decay = 0.01
label_smoothing = 0.05
averaging = false

[augmentation]
rotation_degrees = 5
scale = 0.05
shear = 0.05
shift_pixels = 1

[gates]
accuracy = {accuracy}
recall = 0.3
ece = 0.9
latency_ms = 5000

# The shapes are drawn with so few numbers that some look the same once they are centred and scaled.
[checks]
leaked = 1
alike = 1
duplicates = 1

[presets.default]

[presets.averaged]
training = {{ averaging = true, epochs = 1 }}
"""


def drawn(label: str, generator: random.Random) -> Image.Image:
    """The shape in black on white, 48 × 48, shaken a little."""
    image = Image.new("L", (48, 48), 255)
    pen = ImageDraw.Draw(image)
    near = [generator.uniform(-3, 3) for _ in range(8)]
    lines = {
        "✕": [(8, 8, 40, 40), (40, 8, 8, 40)],
        "木": [(24, 4, 24, 44), (6, 16, 42, 16), (22, 18, 8, 36), (26, 18, 40, 36)],
    }
    if label == "○":
        pen.ellipse((8 + near[0], 8 + near[1], 40 + near[2], 40 + near[3]), outline=0, width=3)
    for index, (x0, y0, x1, y1) in enumerate(lines.get(label, [])):
        pen.line((x0 + near[index], y0 + near[index + 1], x1 + near[index + 2], y1 + near[index + 3]), fill=0, width=3)
    return image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per label with its pictures."""
    generator = random.Random(7)
    root = tmp_path_factory.mktemp("pictures")
    for label, count in COUNTS.items():
        (root / label).mkdir()
        for number in range(count):
            drawn(label, generator).save(root / label / f"{number:03}.png")
    return root


@pytest.fixture(scope="session")
def recipe_text(pictures: Path) -> str:
    """A recipe whose gates these pictures pass."""
    return RECIPE.format(folder=pictures, accuracy=0.5)


@pytest.fixture(scope="session")
def strict_recipe_text(pictures: Path) -> str:
    """The same for one epoch, with a gate that nothing so little trained passes."""
    return RECIPE.format(folder=pictures, accuracy=1).replace("epochs = 8", "epochs = 1").replace("recall = 0.3", "recall = 1")


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
