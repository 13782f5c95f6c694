"""A shape as somebody's pen would put it on somebody's paper, and as somebody's camera or scanner would see that.

Every picture then goes through `handwriting.preprocess.to_tensor`: what is trained on is made as what is served.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.image import Pixels
from pipelines.data.faces import GLYPH_SIZE, Shape, cropped

_CANVAS = 128
_GRID = 5  # points of the elastic distortion's grid, in both directions
_NOISE = 768


def picture(shape: Shape, generator: np.random.Generator, neighbours: tuple[Shape, Shape] | None = None) -> Pixels:
    """The shape on paper: a greyscale picture of random size, slant, stroke width, light and noise.

    The neighbours are what may be seen of a line's next characters, on the left and on the right.
    """
    g = generator.uniform
    ink = _resampled(_worn(_warped(_stroked(shape, generator), generator), generator), generator)
    if neighbours:
        ink = _with_neighbours(ink, *neighbours, generator)
    if g() < 0.12:
        _add_lines(ink, generator)
    return photographed(ink, generator)


def stroke_width(shape: Shape) -> float:
    """How wide the strokes are, in pixels, on average."""
    padded = cv2.copyMakeBorder((shape > 127).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    inside = distance[distance > 0]
    return 4 * float(inside.mean()) - 1 if inside.size else 1.0


def _stroked(shape: Shape, generator: np.random.Generator) -> Shape:
    """The shape with strokes of another width: from a fine pen to a marker."""
    size = max(shape.shape)
    wanted = float(np.exp(generator.normal(np.log(0.095), 0.35))) * size
    width = stroke_width(shape)
    change = int(np.clip(wanted - width, -0.55 * width, 0.14 * size))
    if abs(change) < 1:
        return shape
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(change) + 1, abs(change) + 1))
    padded = cv2.copyMakeBorder(shape, 10, 10, 10, 10, cv2.BORDER_CONSTANT)
    return np.asarray((cv2.dilate if change > 0 else cv2.erode)(padded, kernel), np.uint8)


def _warped(shape: Shape, generator: np.random.Generator) -> Shape:
    """The shape in the middle of a canvas: turned, slanted, stretched and bent."""
    height, width = shape.shape
    angle, shear = generator.normal(0, np.radians(5)), generator.normal(0.05, 0.18)
    stretch = np.exp(generator.normal(0, 0.14))
    scale = max(height, width) / (GLYPH_SIZE - 8) * np.exp(generator.uniform(-0.1, 0.05))
    forward = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.array([[stretch, shear], [0, 1]])
    bend = generator.normal(0, generator.uniform(0, 3.5), (_GRID, _GRID, 2)).astype(np.float32)
    field = cv2.resize(bend, (_CANVAS, _CANVAS), interpolation=cv2.INTER_CUBIC)
    field += cv2.transform(_places(), np.column_stack([forward * scale, [width / 2, height / 2]]))
    return np.asarray(cv2.remap(shape, field, None, cv2.INTER_LINEAR), np.uint8)


@cache
def _places() -> NDArray[np.float32]:
    """float32 (_CANVAS, _CANVAS, 2): each pixel's x and y, from the middle."""
    middle = np.arange(_CANVAS, dtype=np.float32) - (_CANVAS - 1) / 2
    return np.stack(np.meshgrid(middle, middle), axis=-1)


def _worn(ink: Shape, generator: np.random.Generator) -> Shape:
    """Sometimes with ink missing in places, as from a dry pen or a coarse scan."""
    if generator.uniform() > 0.12:
        return ink
    size = int(generator.integers(12, 40))
    field = cv2.resize(
        generator.uniform(0, 1, (size, size)).astype(np.float32), (_CANVAS, _CANVAS), interpolation=cv2.INTER_LINEAR
    )
    return np.where(field < generator.uniform(0.1, 0.33), 0, ink).astype(np.uint8)


def _resampled(ink: Shape, generator: np.random.Generator) -> NDArray[np.float32]:
    """float32 from 0 to 1 in the size that the picture is to have: from 14 pixels for small scans to the canvas."""
    kind = generator.uniform()
    if kind < 0.4:  # a large drawing or photo
        return _sized(ink, generator.uniform(0.55, 1))
    if kind < 0.7:  # a cell of a form
        return _sized(ink, generator.uniform(0.22, 0.55))
    character = cropped(ink)
    high = int(generator.integers(13, 22))
    wide = high * character.shape[1] / character.shape[0]
    if generator.uniform() < 0.5 and wide > 0.3 * high:  # squeezed into a square, as USPS and Semeion do
        wide += (high - wide) * generator.uniform(0, 1)
    small = cv2.resize(character, (max(2, min(round(wide), 40)), high), interpolation=cv2.INTER_AREA)
    margin = int(generator.integers(0, 7))
    small = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    if generator.uniform() < 0.4:  # black and white
        small = np.where(small > generator.uniform(64, 153), 255, 0)
    return np.asarray(small, np.float32) / np.float32(255)


def _sized(ink: Shape, factor: float) -> NDArray[np.float32]:
    side = max(16, round(_CANVAS * factor))
    return np.asarray(cv2.resize(ink, (side, side), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _with_neighbours(
    ink: NDArray[np.float32], left: Shape, right: Shape, generator: np.random.Generator
) -> NDArray[np.float32]:
    """The character as if cut out of a line, so that those beside it look in or even touch: on one side, both or none."""
    if generator.uniform() < 0.7:
        ink = _with_left_neighbour(ink, left, generator)
    if generator.uniform() < 0.7:
        ink = _with_left_neighbour(ink[:, ::-1], right[:, ::-1], generator)[:, ::-1]
    return np.ascontiguousarray(ink)


def _with_left_neighbour(ink: NDArray[np.float32], neighbour: Shape, generator: np.random.Generator) -> NDArray[np.float32]:
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.3), np.flatnonzero(ink.max(axis=0) > 0.3)
    if rows.size < 4:
        return ink
    piece = _as_high_as(np.ascontiguousarray(neighbour), len(rows) * generator.uniform(0.6, 1.05))
    seen = max(2, int(piece.shape[1] * generator.uniform(0.1, 0.8)))
    gap = max(1 - seen, int(len(rows) * generator.uniform(-0.08, 0.25)))
    edge = int(columns[0]) - gap - seen  # where the picture is to begin
    if edge < 0:
        ink = np.pad(ink, ((0, 0), (-edge, 0)))
    ink = ink[:, max(edge, 0) :].copy()
    top = int(np.clip(rows[0] + generator.normal(0, 0.1) * len(rows), 0, max(0, len(ink) - len(piece))))
    part = piece[: len(ink) - top, -seen:][:, : ink.shape[1]]
    place = (slice(top, top + len(part)), slice(0, part.shape[1]))
    ink[place] = np.maximum(ink[place], part)
    return ink


def _as_high_as(shape: Shape, height: float) -> NDArray[np.float32]:
    high = max(6, round(height))
    wide = max(3, min(high, round(shape.shape[1] * high / shape.shape[0])))
    return np.asarray(cv2.resize(shape, (wide, high), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def _add_lines(ink: NDArray[np.float32], generator: np.random.Generator) -> None:
    """One or two rulings or frame lines, mostly near the edge, fainter than the ink."""
    for _ in range(int(generator.integers(1, 3))):
        place = int(generator.choice([-1, 1]) * (abs(generator.normal(0, 0.06)) + 0.02) * len(ink))
        line = (place, slice(None)) if generator.uniform() < 0.6 else (slice(None), place)
        ink[line] = np.maximum(ink[line], np.float32(generator.uniform(0.15, 0.9)))


def photographed(ink: NDArray[np.float32], generator: np.random.Generator) -> Pixels:
    """Ink from 0 to 1 → grey levels on paper, lit unevenly, blurred, with noise; sometimes light on dark, sometimes a JPEG."""
    g = generator.uniform
    height, width = ink.shape
    if (blur := g(0, 1.1) * min(ink.shape) / 70) > 0.25:
        ink = cv2.GaussianBlur(ink, (0, 0), blur)
    paper = g(150, 255)
    grey = paper - ink * (paper - g(0, 0.75) * paper)
    if g() < 0.4:
        across, down = g(-0.3, 0.3), g(-0.3, 0.3)
        grey = grey * (1 + np.linspace(-across, across, width)[None] + np.linspace(-down, down, height)[:, None])
    if g() < 0.6:
        y, x = generator.integers(0, _NOISE - 3 * _CANVAS, 2)
        rows, columns = np.arange(y, y + height), np.arange(x, x + width)
        grey = grey + g(0, 9) * _noise().take(rows, 0, mode="wrap").take(columns, 1, mode="wrap")
    pixels: Pixels = np.clip(grey, 0, 255).astype(np.uint8)
    if g() < 0.2:
        pixels = 255 - pixels
    if g() < 0.1:
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(g(25, 85))])
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return pixels


@cache
def _noise() -> NDArray[np.float32]:
    """float32 (_NOISE, _NOISE): normal noise, of which each picture takes a piece."""
    return np.random.default_rng(0).standard_normal((_NOISE, _NOISE), np.float32)
