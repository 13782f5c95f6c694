"""Fields of characters, cut by the segmenter that serves: what it makes of touching, broken and crossed-out characters.

Of each field the hypotheses that hold just one of its characters are images of that character, with the remains of the
neighbours that the cutting leaves on them; those that hold a part of one, or parts of two, are outliers. So the recogniser
learns to tell where to cut (handwriting/reading.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.errors import ImageError
from handwriting.image import Pixels
from handwriting.preprocess import Tensor
from handwriting.segment import Box, segment
from pipelines.data import style
from pipelines.data.faces import Shape, cropped

HEIGHT = 64
"""Of a typical character before the field gets its size, in pixels."""

_MARGIN = 40
_LEAST_LIKE = 0.75  # of the union of two boxes, what is in both: the hypothesis is the character
_MOST_LIKE = 0.6  # with each box: it is a part of one at the most
_LEAST_OF_WHOLE = 0.6  # of a character's box: the hypothesis has the character in it
_SLIMMEST_PART = 0.4  # width by height: a part that is slimmer may well look like a 1 or an l
_MOST_OF_ONE = 2  # hypotheses for one character
_MOST_OTHERS = 2  # outliers from a field: pairs, and parts


@dataclass(frozen=True)
class Field:
    """A picture of a line of characters, and each one's box in its pixels."""

    pixels: Pixels
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Hand:
    """How close the characters stand."""

    least_gap: float
    """In heights; below 0 they overlap."""
    widest_gap: float
    joining_share: float
    """Of the fields in which strokes lead from one character to the next."""


CRAMPED = Hand(-0.12, 0.3, 0.25)
"""To learn from: touching characters, and what is left of them when they are cut, more often than people write so."""
USUAL = Hand(-0.02, 0.4, 0.12)
"""To be read as people write."""


def field(shapes: Sequence[Shape], generator: np.random.Generator, hand: Hand) -> Field:
    """The characters side by side in one hand: apart, touching or joined; with punctuation, ruling, patterned paper."""
    ink, boxes = _written(shapes, generator, hand)
    _add_rules(ink, boxes, generator)
    _add_specks(ink, generator)
    factor = float(np.exp(generator.uniform(np.log(20), np.log(70)))) / HEIGHT
    size = (max(8, round(ink.shape[1] * factor)), max(8, round(ink.shape[0] * factor)))
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    pixels = _on_patterned_paper(style.photographed(small, generator), generator)
    x, y = size[0] / ink.shape[1], size[1] / ink.shape[0]
    return Field(pixels, tuple((round(a * x), round(b * y), round(w * x), round(h * y)) for a, b, w, h in boxes))


def cut(made: Field, generator: np.random.Generator) -> list[tuple[Tensor, int | None]]:
    """What the segmenter makes of it: images, each with the number of its character, or None where it is no whole one."""
    try:
        lines = segment(made.pixels)
    except ImageError:
        return []
    hypotheses = [hypothesis for line in lines for hypothesis in line.hypotheses]
    shared = np.array([[_shared(hypothesis.box, box) for box in made.boxes] for hypothesis in hypotheses])
    areas = np.array([[hypothesis.box[2] * hypothesis.box[3]] for hypothesis in hypotheses])
    own = np.array([[wide * high for _, _, wide, high in made.boxes]])
    likeness = shared / (areas + own - shared)
    found: list[tuple[Tensor, int | None]] = []
    for number in range(len(made.boxes)):
        order = np.argsort(-likeness[:, number], kind="stable")[:_MOST_OF_ONE]
        best = [index for index in order if likeness[index, number] >= _LEAST_LIKE and likeness[index].argmax() == number]
        found += [(hypotheses[index].tensor, number) for index in best]
    whole_count = (shared >= _LEAST_OF_WHOLE * own).sum(axis=1)
    slim = np.array([hypothesis.box[2] < _SLIMMEST_PART * hypothesis.box[3] for hypothesis in hypotheses])
    most_like = likeness.max(axis=1)
    for others in ((most_like < _LEAST_LIKE) & (whole_count == 2), (most_like < _MOST_LIKE) & (whole_count == 0) & ~slim):
        chosen = generator.permutation(np.flatnonzero(others))[:_MOST_OTHERS]
        found += [(hypotheses[index].tensor, None) for index in chosen]
    return found


def _shared(one: Box, other: Box) -> int:
    """The area of what is in both."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)


def _written(shapes: Sequence[Shape], generator: np.random.Generator, hand: Hand) -> tuple[NDArray[np.uint8], list[Box]]:
    """The ink, uint8 (height, width), and the characters' boxes."""
    g = generator.uniform
    width = float(np.exp(generator.normal(np.log(0.1), 0.3))) * HEIGHT
    slant, narrow, gap, slope = (
        generator.normal(0.05, 0.18),
        np.exp(generator.normal(0, 0.15)),
        g(hand.least_gap, hand.widest_gap),
        generator.normal(0, 0.03),
    )
    joins = g() < hand.joining_share
    canvas = np.zeros((3 * HEIGHT, _MARGIN * 2 + round(len(shapes) * 2.8 * HEIGHT)), np.uint8)
    x, boxes = float(_MARGIN), []
    for number, shape in enumerate(shapes):
        piece = _in_hand(shape, width, slant, narrow * np.exp(generator.normal(0, 0.08)), generator)
        foot = 2 * HEIGHT + slope * x + generator.normal(0, 0.05) * HEIGHT
        boxes.append(_put(canvas, piece, x, foot - piece.shape[0]))
        if joins and number and g() < 0.5:
            _join(canvas, boxes[-2], boxes[-1], width, generator)
        x = boxes[-1][0] + boxes[-1][2] + (gap + generator.normal(0, 0.07)) * HEIGHT
        is_last = number == len(shapes) - 1
        for _ in range(generator.binomial(2, 0.35) if is_last else int(g() < 0.12)):
            x = _put_mark(canvas, max(x, boxes[-1][0] + boxes[-1][2]), foot, width, generator)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    top, bottom, left, right = (int(g(2, 0.6 * HEIGHT)) for _ in range(4))
    padded = cv2.copyMakeBorder(
        canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], top, bottom, left, right, cv2.BORDER_CONSTANT
    )
    return np.asarray(padded, np.uint8), [(a - int(columns[0]) + left, b - int(rows[0]) + top, w, h) for a, b, w, h in boxes]


def _in_hand(shape: Shape, width: float, slant: float, narrow: float, generator: np.random.Generator) -> Shape:
    """The character as high as the field's others, with their slant and stroke width."""
    high = HEIGHT * float(np.exp(generator.normal(0, 0.1)))
    wide = float(np.clip(shape.shape[1] / shape.shape[0] * narrow, 0.05, 2)) * high
    if generator.uniform() < 0.15:  # small ones among large ones: the zeros of a round sum
        high, wide = high * generator.uniform(0.55, 0.9), wide * generator.uniform(0.6, 1)
    piece = cv2.resize(shape, (max(4, round(wide)), max(4, round(high))), interpolation=cv2.INTER_AREA)
    change = int(np.clip(width - style.stroke_width(piece), -0.5 * width, 0.14 * HEIGHT))
    rim = 6 + abs(change) + int(abs(slant) * high / 2)
    piece = cv2.copyMakeBorder(piece, rim, rim, rim, rim, cv2.BORDER_CONSTANT)
    if abs(change) >= 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(change) + 1, abs(change) + 1))
        thicker = (cv2.dilate if change > 0 else cv2.erode)(piece, kernel)
        piece = thicker if (thicker > 127).sum() > 0.3 * (piece > 127).sum() else piece
    turn = np.array([[1, -slant, slant * piece.shape[0] / 2], [0, 1, 0]], np.float32)
    return cropped(np.asarray(cv2.warpAffine(piece, turn, piece.shape[::-1]), np.uint8))


def _put(canvas: NDArray[np.uint8], piece: Shape, x: float, y: float) -> Box:
    high, wide = piece.shape
    left, top = int(np.clip(x, 0, canvas.shape[1] - wide)), int(np.clip(y, 0, canvas.shape[0] - high))
    window = canvas[top : top + high, left : left + wide]
    np.maximum(window, piece, out=window)
    return left, top, wide, high


def _join(canvas: NDArray[np.uint8], left: Box, right: Box, width: float, generator: np.random.Generator) -> None:
    """A stroke from one character to the next."""
    height = generator.uniform(0.85, 1) if generator.uniform() < 0.4 else generator.uniform(0, 1)
    points = []
    for box, is_left in ((left, True), (right, False)):
        row = int(box[1] + np.clip(height + generator.normal(0, 0.12), 0.02, 0.98) * (box[3] - 1))
        ink = np.flatnonzero(canvas[row, box[0] : box[0] + box[2]] > 127)
        if not ink.size:
            return
        points.append((box[0] + int(ink[-1 if is_left else 0]), row))
    middle = ((points[0][0] + points[1][0]) // 2, (points[0][1] + points[1][1]) // 2 + int(generator.normal(0, 0.1) * HEIGHT))
    cv2.polylines(
        canvas, [np.array([points[0], middle, points[1]], np.int32)], False, 255, max(1, round(width * 0.8)), cv2.LINE_AA
    )


def _put_mark(canvas: NDArray[np.uint8], x: float, foot: float, width: float, generator: np.random.Generator) -> float:
    """A point, comma, dash or double dash; gives where the writing goes on."""
    g = generator.uniform
    pen, kind, x = max(2, round(width * g(0.8, 1.4))), g(), x + g(0.05, 0.3) * HEIGHT
    if kind < 0.5:
        cv2.circle(canvas, (int(x), int(foot)), pen // 2 + 1, 255, -1, cv2.LINE_AA)
        return x + g(0.1, 0.3) * HEIGHT
    if kind < 0.7:
        end = (int(x - g(0, 0.15) * HEIGHT), int(foot + g(0.1, 0.25) * HEIGHT))
        cv2.line(canvas, (int(x), int(foot)), end, 255, pen, cv2.LINE_AA)
        return x + g(0.1, 0.3) * HEIGHT
    length, y = g(0.25, 0.9) * HEIGHT, foot - g(0.25, 0.6) * HEIGHT
    for row in (y, y + 0.2 * HEIGHT)[: 1 + (g() < 0.3)]:
        cv2.line(canvas, (int(x), int(row)), (int(x + length), int(row + generator.normal(0, 3))), 255, pen, cv2.LINE_AA)
    return x + length + g(0.1, 0.3) * HEIGHT


def _add_rules(ink: NDArray[np.uint8], boxes: Sequence[Box], generator: np.random.Generator) -> None:
    """Sometimes the line that is written on, or a frame."""
    g, (height, width) = generator.uniform, ink.shape
    if g() < 0.3:
        foot = int(np.median([box[1] + box[3] for box in boxes]) + g(-0.08, 0.25) * HEIGHT)
        pen, tilt = int(g(1, 5)), int(generator.normal(0, 2))
        cv2.line(ink, (0, foot), (width - 1, foot + tilt), int(g(90, 255)), pen, cv2.LINE_AA)
    if g() < 0.08:
        rim = int(g(0, 6))
        cv2.rectangle(ink, (rim, rim), (width - 1 - rim, height - 1 - rim), int(g(90, 255)), int(g(1, 5)), cv2.LINE_AA)


def _add_specks(ink: NDArray[np.uint8], generator: np.random.Generator) -> None:
    """Sometimes dirt, stray dots and remains of what is printed on the paper."""
    if generator.uniform() > 0.3:
        return
    for _ in range(int(generator.integers(1, 8))):
        x, y = generator.uniform(0, ink.shape[1]), generator.uniform(0, ink.shape[0])
        length, angle = generator.exponential(0.08) * HEIGHT, generator.uniform(0, np.pi)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(ink, (int(x), int(y)), end, int(generator.uniform(120, 255)), int(generator.integers(1, 5)), cv2.LINE_AA)


def _on_patterned_paper(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Sometimes with the fine lines that cheques have against forgery."""
    g = generator.uniform
    if g() > 0.4:
        return pixels
    height, width = pixels.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pattern = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(1, 3))):
        angle, period, bend = g(0, np.pi), g(3, 9), g(0, 6)
        along = x * np.cos(angle) + y * np.sin(angle) + bend * np.sin((x * np.sin(angle) - y * np.cos(angle)) / g(8, 40))
        pattern += np.maximum(np.sin(2 * np.pi / period * along), 0) ** 2
    return np.clip(pixels - np.float32(g(4, 32)) * pattern, 0, 255).astype(np.uint8)
