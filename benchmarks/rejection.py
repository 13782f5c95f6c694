"""Pictures of what is no digit, and digits beside them, in a folder for `hcr evaluate`: how much of it does a version accept?

    .venv/bin/python benchmarks/rejection.py .hcr/rejection
    hcr evaluate digits --data .hcr/rejection

Letters come from the handwriting fonts that are held out from training; scribbles, noise and clouds are drawn here, by other
code than what training uses; digits are MNIST's first 2,000 test images. The same pictures each time. Two sets need more, and
are left out without it:

    --photos FOLDER     crops of the photographs that come with scikit-image and scikit-learn; to have them there:
                        .tools/bin/uv pip install --no-deps --target FOLDER scikit-image scikit-learn
    --omniglot FILE     the Latin letters of Omniglot's data_background_small1.mat (or _small2, or the whole); needs scipy
"""

import argparse
import math
import shutil
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handwriting.labels import NONE_FOLDER
from pipelines.data import mnist
from pipelines.data.faces import faces, shape
from pipelines.errors import PipelineError

Picture = NDArray[np.uint8]
Generator = np.random.Generator

LIKE_DIGITS = set("oilszbgq")
"""Letters, in either case, that some people write as others write a digit."""
LETTERS = [letter for letter in string.ascii_letters if letter.lower() not in LIKE_DIGITS]
PHOTOGRAPHS = (
    *(f"skimage/data/{name}.png" for name in ("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass")),
    *(f"skimage/data/{name}.png" for name in ("gravel", "ihc", "moon", "motorcycle_left")),
    *(f"skimage/data/{name}.jpg" for name in ("hubble_deep_field", "retina", "rocket")),
    *(f"sklearn/datasets/images/{name}.jpg" for name in ("china", "flower")),
)
"""Those that the two packages bring and on which nothing is written."""
COUNT = 400
"""Pictures of each kind that is drawn or cut out here."""
DIGITS = 2000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go; it must not exist, or come from an earlier run")
    parser.add_argument("--photos", type=Path, metavar="FOLDER")
    parser.add_argument("--omniglot", type=Path, metavar="FILE")
    parser.add_argument("--cache", type=Path, default=Path(".hcr/data"), help="where MNIST is kept [default: .hcr/data]")
    options = parser.parse_args()
    mark = options.folder / ".rejection"
    if options.folder.exists() and not mark.exists():
        parser.error(f"{options.folder} is there already and is not from an earlier run")
    if options.omniglot and not options.omniglot.is_file():
        parser.error(f"--omniglot {options.omniglot} is no file")
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    mark.touch()
    outliers = {"letters-fonts": font_letters(), "scribbles": drawn(scribble, 3)}
    outliers |= {"noise": drawn(noise, 4), "clouds": drawn(cloud, 6)}
    if options.omniglot:
        outliers["letters-omniglot"] = omniglot_letters(options.omniglot)
    if options.photos:
        outliers["photos"] = photo_crops(options.photos)
    for source, pictures in outliers.items():
        write(options.folder / source / NONE_FOLDER, pictures)
    try:
        data = mnist.load(options.cache / "mnist", print).test
    except PipelineError as error:
        print(f"no digits, so `hcr evaluate` cannot compare at the same share of digits kept: {error}", file=sys.stderr)
        return 0
    for digit in range(10):
        indices = np.flatnonzero(data.labels[:DIGITS] == digit)
        write(options.folder / "mnist" / str(digit), ((f"{index:05}", 255 - data.images[index]) for index in indices))
    return 0


def write(folder: Path, pictures: Iterator[tuple[str, Picture]]) -> None:
    """Writes the pictures as PNG files of those names, and tells how many."""
    count = 0
    for name, pixels in pictures:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        count += 1
    print(f"{count:5} pictures in {folder}")


def drawn(draw: Callable[[Generator], Picture], seed: int) -> Iterator[tuple[str, Picture]]:
    generator = np.random.default_rng(seed)
    for number in range(COUNT):
        yield f"{number:03}", draw(generator)


# Letters


def font_letters() -> Iterator[tuple[str, Picture]]:
    """Each letter once in each held-out face, on paper."""
    generator = np.random.default_rng(1)
    for face in faces():
        if not face.is_held_out:
            continue
        for letter in LETTERS:
            ink = shape(face, letter)
            if ink is not None:
                case = "small" if letter.islower() else "capital"
                yield f"{case}-{letter.lower()}-{face.path.stem}", on_paper(resized(ink, generator), generator)


def omniglot_letters(file: Path) -> Iterator[tuple[str, Picture]]:
    """What 20 people drew for each of the Latin letters: black on white, 105 × 105.

    The cell array `images` has an alphabet's characters, and these the writers' drawings: 0 is ink, 1 is paper.
    """
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError:
        print("no letters of Omniglot: reading its .mat files needs scipy", file=sys.stderr)
        return
    content = loadmat(file)
    names = [str(name.item()) for name in content["names"].ravel()]
    if "Latin" not in names:
        sys.exit(f"{file} has the alphabets {', '.join(names)}; Latin is expected")
    alphabet = content["images"].ravel()[names.index("Latin")].ravel()
    for letter, drawings in zip(string.ascii_lowercase, alphabet, strict=True):
        if letter in LIKE_DIGITS:
            continue
        for writer, drawing in enumerate(drawings.ravel(), 1):
            yield f"{letter}-{writer:02}", (drawing * np.uint8(255)).astype(np.uint8)


# Scribbles


def scribble(generator: Generator) -> Picture:
    """A curl, a hatching, a tangle of strokes, a spiral, or a crossed-out word, on paper."""
    draw = (curl, hatching, strokes, spiral, crossed_out)[int(generator.integers(5))]
    ink = np.zeros((128, 128), np.uint8)
    thickness = int(generator.integers(3, 9))
    for line in draw(generator):
        cv2.polylines(ink, [np.round(line * 8).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 3)
    return on_paper(resized(ink, generator), generator)


def curl(generator: Generator) -> list[NDArray[np.float64]]:
    """One stroke through 8 to 14 places, rounded by cutting its corners (Chaikin 1974)."""
    line = generator.uniform(14, 114, (int(generator.integers(8, 15)), 2))
    for _ in range(4):
        first, second = line[:-1], line[1:]
        line = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1).reshape(-1, 2)
    return [line]


def hatching(generator: Generator) -> list[NDArray[np.float64]]:
    """A zigzag of 5 to 12 turns."""
    turns = int(generator.integers(5, 13))
    across = np.linspace(16, 112, turns) + generator.normal(0, 3, turns)
    down = np.where(np.arange(turns) % 2 == 0, 24, 104) + generator.normal(0, 8, turns)
    return [turned(np.column_stack([across, down]), generator.uniform(0, math.pi))]


def strokes(generator: Generator) -> list[NDArray[np.float64]]:
    """Five to nine straight strokes across each other."""
    return [generator.uniform(14, 114, (2, 2)) for _ in range(int(generator.integers(5, 10)))]


def spiral(generator: Generator) -> list[NDArray[np.float64]]:
    """Two and a half to five turns."""
    angle = np.linspace(0, generator.uniform(2.5, 5) * 2 * math.pi, 200)
    radius = np.linspace(4, 48, 200) * (1 + 0.08 * np.sin(angle * generator.uniform(0.5, 3)))
    return [64 + np.column_stack([radius * np.cos(angle), radius * np.sin(angle) * generator.uniform(0.6, 1)])]


def crossed_out(generator: Generator) -> list[NDArray[np.float64]]:
    """A row of waves with two strokes through it."""
    across = np.linspace(14, 114, 150)
    down = 64 + generator.uniform(14, 30) * np.sin(across * generator.uniform(0.15, 0.35) + generator.uniform(0, 6))
    through = [np.array([[12, 64 + generator.normal(0, 12)], [116, 64 + generator.normal(0, 12)]]) for _ in range(2)]
    return [np.column_stack([across, down]), *through]


def turned(line: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (line - 64) @ turn * 0.8 + 64


# Noise


def noise(generator: Generator) -> Picture:
    """Pixels that know nothing of each other: any grey level, levels around one, or scattered dots."""
    side = int(generator.integers(28, 201))
    kind = int(generator.integers(3))
    if kind == 0:
        return generator.integers(0, 256, (side, side), np.uint8)
    if kind == 1:
        levels = generator.normal(generator.uniform(80, 220), generator.uniform(5, 60), (side, side))
        return np.clip(levels, 0, 255).astype(np.uint8)
    return np.where(generator.uniform(size=(side, side)) < generator.uniform(0.01, 0.3), 0, 255).astype(np.uint8)


def cloud(generator: Generator) -> Picture:
    """Noise blurred until it has shapes."""
    side = int(generator.integers(28, 201))
    blurred = cv2.GaussianBlur(generator.standard_normal((side, side)), (0, 0), side * generator.uniform(0.02, 0.12))
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


# Photographs


def photo_crops(folder: Path) -> Iterator[tuple[str, Picture]]:
    """Grey squares from random places of the photographs, as many of each; flat ones are drawn again."""
    paths = [path for name in PHOTOGRAPHS if (path := folder / name).is_file()]
    if not paths:
        print(f"no photos: {folder} holds none of {', '.join(PHOTOGRAPHS[:3])} …", file=sys.stderr)
        return
    generator = np.random.default_rng(5)
    for number in range(COUNT):
        path = paths[number % len(paths)]
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        while True:
            side = int(generator.integers(32, min(200, *pixels.shape)))
            y, x = (int(generator.integers(0, length - side)) for length in pixels.shape)
            crop = pixels[y : y + side, x : x + side]
            if crop.std() > 10:
                break
        yield f"{path.stem}-{number:03}", crop


# Paper


def resized(ink: Picture, generator: Generator) -> Picture:
    """The ink in another size, with a margin."""
    factor = generator.uniform(0.3, 1.6)
    size = [max(8, round(length * factor)) for length in ink.shape[::-1]]
    margin = round(max(size) * generator.uniform(0.1, 0.5))
    smaller = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(smaller, margin, margin, margin, margin, cv2.BORDER_CONSTANT)


def on_paper(ink: Picture, generator: Generator) -> Picture:
    """Dark ink on light paper with a little noise; one in six the other way round."""
    paper, dark = generator.uniform(190, 255), generator.uniform(0, 110)
    grey = paper + (dark - paper) * (ink / 255) + generator.normal(0, generator.uniform(0, 6), ink.shape)
    pixels = np.clip(grey, 0, 255).astype(np.uint8)
    return 255 - pixels if generator.uniform() < 1 / 6 else pixels


if __name__ == "__main__":
    sys.exit(main())
