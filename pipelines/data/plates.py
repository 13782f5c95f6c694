"""Characters of number plates as a camera sees them: embossed or printed, at an angle, in any light, dirty, blurred.

`picture` draws one character, as `style.picture` does for handwriting; `photographed` is what happens to it, and to a whole
plate (whole_plates.py).
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.image import Pixels
from pipelines.data.faces import GLYPH_SIZE, Shape, cropped

Light = NDArray[np.float32]
"""float32 (height, width) or (height, width, 3), from 0 to 255."""

_MARGIN = 60
_NOISE_SIDE = 1024


def picture(shape: Shape, generator: np.random.Generator, neighbours: tuple[Shape, Shape] | None = None) -> Pixels:
    """The character cut out of a plate: a greyscale picture of random size, width, angle, light and sharpness.

    The neighbours, on the left and on the right, may look in at the edges.
    """
    g = generator.uniform
    character = _weighted(as_high(shape, GLYPH_SIZE, float(np.exp(generator.normal(0, 0.16)))), generator)
    ink = cv2.copyMakeBorder(character, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_CONSTANT)
    if neighbours:
        _add_neighbours(ink, neighbours, character.shape[1], generator)
    if g() < 0.2:
        _add_edge(ink, generator)
    ink = _tilted(ink, generator)
    ink = _cut_out(ink, character.shape, generator)
    paper, dark = _contrast(generator)
    light = np.asarray(paper + ink.astype(np.float32) / 255 * (dark - paper), np.float32)
    return photographed(light, float(np.exp(g(np.log(13), np.log(64)))) / GLYPH_SIZE, generator)


def as_high(shape: Shape, height: int, stretch: float) -> Shape:
    """The shape in that height; its width follows, times `stretch`, up to 1.3 heights."""
    width = round(np.clip(shape.shape[1] * height / shape.shape[0] * stretch, 3, 1.3 * height))
    return np.asarray(cv2.resize(shape, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def clutter(generator: np.random.Generator) -> Shape:
    """What lies between a plate's characters and is none: a hyphen, a bolt, a seal, a corner of the frame."""
    g = generator.uniform
    image = np.zeros((GLYPH_SIZE, GLYPH_SIZE), np.uint8)
    kind, middle = generator.integers(4), GLYPH_SIZE // 2
    if kind == 0:
        half = int(g(18, 44))
        cv2.rectangle(image, (middle - half, middle), (middle + half, middle + int(g(8, 22))), 255, -1)
    elif kind == 1:
        cv2.circle(image, (middle, middle), int(g(12, 40)), 255, -1, cv2.LINE_AA)
    elif kind == 2:
        radius = int(g(24, 42))
        cv2.circle(image, (middle, middle), radius, 255, int(g(3, 9)), cv2.LINE_AA)
        cv2.circle(image, (middle, middle), int(radius * g(0.3, 0.7)), 255, -1, cv2.LINE_AA)
        cv2.circle(image, (middle + int(g(-6, 6)), middle), int(radius * g(0.1, 0.25)), 0, -1, cv2.LINE_AA)
    else:
        width = int(g(4, 12))
        cv2.line(image, (8, 8), (8, GLYPH_SIZE - 8), 255, width)
        cv2.line(image, (8, GLYPH_SIZE - 8), (int(g(40, 90)), GLYPH_SIZE - 8), 255, width)
    return cropped(np.ascontiguousarray(np.rot90(image, int(generator.integers(4)) if kind == 3 else 0)))


def photographed(light: Light, scale: float, generator: np.random.Generator) -> Pixels:
    """uint8, `scale` times as large: lit unevenly, dirty, out of focus, with noise; sometimes through a JPEG."""
    g = generator.uniform
    light = _dirty(_lit(light, generator), generator)
    size = (max(8, round(light.shape[1] * scale)), max(8, round(light.shape[0] * scale)))
    small = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.float32)
    if (sigma := g(0, 0.022) * GLYPH_SIZE * scale) > 0.25:
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), sigma), np.float32)
    if g() < 0.15:
        small = _moved(small, GLYPH_SIZE * scale, generator)
    small = small + g(0, 8) * _noise(small.shape, generator)
    pixels: Pixels = np.clip(small, 0, 255).astype(np.uint8)
    if g() < 0.5:
        _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(g(35, 95))])
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)
    return pixels


def _weighted(character: Shape, generator: np.random.Generator) -> Shape:
    """The character with strokes a little bolder or finer."""
    change = round(float(generator.normal(0, 3)))
    if abs(change) < 1:
        return character
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(change) + 1, abs(change) + 1))
    return np.asarray((cv2.dilate if change > 0 else cv2.erode)(character, kernel), np.uint8)


def _add_neighbours(ink: Shape, neighbours: tuple[Shape, Shape], width: int, generator: np.random.Generator) -> None:
    gap = int(generator.uniform(0.06, 0.35) * GLYPH_SIZE)
    left, right = (as_high(one, GLYPH_SIZE, 1.0) for one in neighbours)
    rows = slice(_MARGIN, _MARGIN + GLYPH_SIZE)
    seen = min(left.shape[1], _MARGIN - gap)
    if seen > 0:
        ink[rows, _MARGIN - gap - seen : _MARGIN - gap] = left[:, -seen:]
    start = _MARGIN + width + gap
    seen = min(right.shape[1], ink.shape[1] - start)
    if seen > 0:
        ink[rows, start : start + seen] = right[:, :seen]


def _add_edge(ink: Shape, generator: np.random.Generator) -> None:
    """A line of the frame, above or below."""
    distance, thick = int(generator.uniform(12, 40)), int(generator.uniform(2, 7))
    y = _MARGIN - distance if generator.uniform() < 0.5 else _MARGIN + GLYPH_SIZE + distance - thick
    ink[y : y + thick] = 255


def _tilted(ink: Shape, generator: np.random.Generator) -> Shape:
    """Turned, slanted and in perspective by some degrees."""
    height, width = ink.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle, shear = np.radians(generator.normal(0, 3)), generator.normal(0, 0.1)
    turn = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]])
    middle = np.array([width / 2, height / 2])
    moved = (corners - middle) @ turn.T + middle + generator.normal(0, 2.5, (4, 2))
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(cv2.warpPerspective(ink, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _cut_out(ink: Shape, size: tuple[int, ...], generator: np.random.Generator) -> Shape:
    """The middle of the picture, with some margin on each side of what was drawn there."""
    left, right, above, below = generator.uniform(0.05, 0.32, 4) * GLYPH_SIZE
    rows = slice(max(0, int(_MARGIN - above)), int(_MARGIN + size[0] + below))
    columns = slice(max(0, int(_MARGIN - left)), int(_MARGIN + size[1] + right))
    return ink[rows, columns]


def _contrast(generator: np.random.Generator) -> tuple[float, float]:
    """Grey levels of paper and ink; in one of five the ink is the lighter."""
    bright = generator.uniform(110, 250)
    dark = bright * generator.uniform(0.05, 0.55)
    return (dark, bright) if generator.uniform() < 0.2 else (bright, dark)


def _lit(light: Light, generator: np.random.Generator) -> Light:
    """With light that falls off to one side, and sometimes the edge of a shadow."""
    g = generator.uniform
    height, width = light.shape[:2]
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    field = 1 + g(-0.2, 0.2) * x + g(-0.2, 0.2) * y
    if g() < 0.2:
        edge = x * np.cos(turn := g(0, 2 * np.pi)) + y * np.sin(turn) - g(-0.7, 0.7)
        field = field * (1 - g(0.2, 0.5) / (1 + np.exp(-edge * g(8, 60))))
    return np.asarray(light * (field[..., None] if light.ndim == 3 else field), np.float32)


def _dirty(light: Light, generator: np.random.Generator) -> Light:
    """Sometimes with smears and splashes of mud, which darken what is bright and brighten what is dark."""
    g = generator.uniform
    if g() > 0.4:
        return light
    height, width = light.shape[:2]
    cells = (max(2, width // int(g(8, 60))), max(2, height // int(g(8, 60))))
    field = cv2.resize(generator.uniform(0, 1, cells[::-1]).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip((field - g(0.5, 0.95)) * g(1, 6), 0, 1) * g(0.1, 0.6)
    share = share[..., None] if light.ndim == 3 else share
    return np.asarray(light * (1 - share) + g(70, 130) * share, np.float32)


def _moved(light: Light, height: float, generator: np.random.Generator) -> Light:
    """Blurred along a line, as by a moving car; `height` is a character's."""
    length = max(2, round(generator.uniform(0.03, 0.09) * height))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    return np.asarray(cv2.filter2D(light, -1, kernel if generator.uniform() < 0.7 else kernel.T), np.float32)


def _noise(shape: tuple[int, ...], generator: np.random.Generator) -> Light:
    height, width = shape[:2]
    y, x = (int(generator.integers(0, max(1, _NOISE_SIDE - side))) for side in (height, width))
    piece = np.resize(_noise_field()[y : y + height, x : x + width], (height, width))
    return piece[..., None] if len(shape) == 3 else piece


@cache
def _noise_field() -> Light:
    """float32 (_NOISE_SIDE, _NOISE_SIDE): normal noise, of which each picture takes a piece."""
    return np.random.default_rng(0).standard_normal((_NOISE_SIDE, _NOISE_SIDE), np.float32)
