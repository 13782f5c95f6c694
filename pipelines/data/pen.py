"""Shapes drawn by a pen of our own: the ways of writing digits that fonts lack, and scribbles.

Coordinates are shares of the height, y downwards. What is drawn follows how Europeans write: a 1 with a flag and sometimes a
foot, a 7 with a bar, an open 4, a 9 whose tail is straight, a 5 whose roof is loose.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.data.faces import GLYPH_SIZE, Shape, cropped

Stroke = list[tuple[float, float]]
"""Two points: a line; three: a curve bent towards the middle one; more: a smooth one through all."""

_MARGIN = 40  # pixels
_SHIFT = 4  # bits of a pixel's fraction in OpenCV's drawing


def drawn(strokes: list[Stroke], generator: np.random.Generator) -> Shape:
    """The strokes with a pen of random width, their points shaken a little, cropped to the ink."""
    width = int(generator.integers(4, 13))
    lines = [_smooth(np.array(stroke) + generator.normal(0, 0.012, (len(stroke), 2))) * GLYPH_SIZE for stroke in strokes]
    points = np.concatenate(lines)
    low = points.min(axis=0) - _MARGIN
    extent = np.ceil(points.max(axis=0) - low + _MARGIN).astype(int)
    canvas = np.zeros((extent[1], extent[0]), np.uint8)
    for line in lines:
        fixed = np.rint((line - low) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(canvas, [fixed], isClosed=False, color=255, thickness=width, lineType=cv2.LINE_AA, shift=_SHIFT)
    return cropped(canvas)


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of the stroke's curve, close together."""
    if len(points) == 2:
        return points
    if len(points) == 3:
        t = np.linspace(0, 1, 12)[:, None]
        curve: NDArray[np.float64] = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
        return curve
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    a, b, c, d = (ends[k : len(ends) - 3 + k, None] for k in range(4))  # Catmull and Rom's spline
    pieces = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([pieces.reshape(-1, 2), points[-1:]])


def one(generator: np.random.Generator) -> list[Stroke]:
    """A 1 with a flag, mostly; with a foot, sometimes."""
    g = generator.uniform
    slant = g(-0.12, 0.25)
    strokes: list[Stroke] = [[(slant, 0), (slant / 2 + g(-0.03, 0.03), 0.5), (0, 1)]]
    if g() < 0.85:
        length = g(0.12, 0.65)
        steep = min(g(0.5, 1.7), 0.95 / length)
        strokes.insert(
            0, [(slant - length, length * steep), (slant - length * g(0.3, 0.7), length * steep * g(0.3, 0.7)), (slant, 0)]
        )
    if g() < 0.35:
        left, right = g(0.1, 0.35), g(0.1, 0.35)
        strokes.append([(-left, 1 + g(-0.03, 0.03)), (right, 1 + g(-0.03, 0.03))])
    return strokes


def seven(generator: np.random.Generator) -> list[Stroke]:
    """A 7 with a bar, mostly; with a hook at the roof's beginning, sometimes."""
    g = generator.uniform
    width, bow = g(0.35, 0.75), g(-0.08, 0.08)
    foot = width * g(-0.1, 0.65)
    bend = (width + foot) / 2 + g(-0.15, 0.08)
    roof: Stroke = [(0, g(-0.05, 0.1)), (width / 2, bow), (width, 0)]
    strokes: list[Stroke] = [roof, [(width, 0), (bend, g(0.35, 0.6)), (foot, 1)]]
    if g() < 0.4:
        strokes.append([(0, roof[0][1]), (g(-0.06, 0.04), g(0.08, 0.25))])
    if g() < 0.75:
        y, half, tilt = g(0.38, 0.62), g(0.1, 0.35), g(-0.08, 0.08)
        x = width + (foot - width) * y + g(-0.08, 0.08)
        strokes.append([(x - half, y + tilt), (x + half, y - tilt)])
    return strokes


def four(generator: np.random.Generator) -> list[Stroke]:
    """A 4 that is open at the top, its left side an angle or a bow, or one that is a triangle on a stem."""
    g = generator.uniform
    width, bar, slant = g(0.45, 0.8), g(0.42, 0.72), g(-0.05, 0.2)
    if g() < 0.4:
        stem, bar = g(0.3, 0.75), g(0.32, 0.7)
        return [
            [(stem + slant, 0), (0, bar)],
            [(0, bar), (stem + g(0, 0.25), bar + g(-0.06, 0.06))],
            [(stem + slant, g(-0.02, 0.08)), (stem - slant * g(0, 0.3), 1)],
        ]
    start, stem, top = g(0.0, 0.25), width * g(0.55, 0.95), g(-0.05, 0.4)
    left: Stroke = [(start + slant, 0), (start * g(0.3, 1), bar * g(0.4, 0.7)), (0, bar)]
    if g() < 0.35:
        left[-1] = (g(0.02, 0.12), bar * g(0.85, 0.95))
    left += [(width * 0.5, bar + g(-0.05, 0.05)), (width, bar + g(-0.1, 0.05))]
    return [left, [(stem + slant * (1 - top), top), (stem - slant * g(0, 0.3), 1)]]


def nine(generator: np.random.Generator) -> list[Stroke]:
    """A 9 with a straight or a curled tail, its loop closed or nearly so."""
    g = generator.uniform
    wide, high = g(0.2, 0.34), g(0.2, 0.32)
    gap, start = g(-0.2, 0.6), g(-0.5, 0.1)
    angles = np.linspace(start, start - 2 * np.pi + gap, 14)
    loop: Stroke = [(float(wide + wide * np.cos(a)), float(high + high * np.sin(a))) for a in angles]
    foot = 2 * wide + g(-0.35, 0.08)
    tail: Stroke = [(2 * wide, high * g(0.2, 0.9)), (2 * wide + g(-0.06, 0.05), 0.6), (foot, 1)]
    if g() < 0.35:
        tail = [tail[0], (2 * wide, 0.7), (2 * wide - 0.1, 0.95), (wide, 1), (0.05, g(0.82, 0.95))]
    return [loop, tail]


def five(generator: np.random.Generator) -> list[Stroke]:
    """A 5 whose roof is a stroke of its own, a little off sometimes."""
    g = generator.uniform
    neck, top = g(0.28, 0.45), g(0.0, 0.08)
    lean = g(0.0, 0.12)
    belly: Stroke = [(lean, top), (0, neck), (0.2, neck - g(0.0, 0.1)), (g(0.4, 0.6), g(0.55, 0.7))]
    belly += [(0.3, g(0.93, 1.0)), (g(-0.1, 0.05), g(0.85, 1.0))]
    roof_x, roof_y = lean + g(-0.03, 0.1), g(-0.06, 0.06)
    return [belly, [(roof_x, top + roof_y), (roof_x + g(0.25, 0.6), top + roof_y + g(-0.1, 0.06))]]


VARIANTS: dict[str, Callable[[np.random.Generator], list[Stroke]]] = {"1": one, "4": four, "5": five, "7": seven, "9": nine}
"""How to draw the characters of which fonts have too few ways of writing."""


def scribble(generator: np.random.Generator) -> list[Stroke]:
    """One to four strokes that mean nothing."""
    counts = generator.integers(2, 9, generator.integers(1, 5))
    return [[(float(x), float(y)) for x, y in generator.uniform(0, 1, (count, 2))] for count in counts]
