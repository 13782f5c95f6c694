"""Shapes drawn by a pen of our own: the ways of writing digits that fonts lack, and scribbles.

Coordinates are shares of the height, y downwards. What is drawn follows how people write in haste in Europe and South America:
a 1 with a flag and sometimes a foot, a 2 whose head is a loop, a 7 with a bar and little of a roof, an open 4, a 9 whose tail
is straight or whose loop is a P's, a 5 whose roof is loose, a 0 with a curl.
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


def zero(generator: np.random.Generator) -> list[Stroke]:
    """A 0 in one turn that overshoots or stays open, flat or narrow, often with a curl where it starts or ends, or struck."""
    g = generator.uniform
    wide, start = float(np.exp(generator.normal(-0.4, 0.35))) / 2, np.radians(g(-150, -20))
    turn = np.radians(g(320, 420))
    angles = start - np.linspace(0, turn, 18) * (1 if g() < 0.85 else -1)
    radius = 1 - g(0, 0.35) * np.linspace(1, 0, 18) ** 4 if g() < 0.3 else np.ones(18)
    loop: Stroke = [
        (float(wide * r * np.cos(a)), float(0.5 + 0.5 * r * np.sin(a))) for a, r in zip(angles, radius, strict=True)
    ]
    x, y = loop[-1]
    kind = g()
    if kind < 0.3:  # goes on to the next character
        loop += [(x + g(0.05, 0.2), y + g(-0.05, 0.15)), (x + g(0.25, 0.6), y + g(-0.2, 0.15))]
    elif kind < 0.5:  # a curl inside
        loop += [
            (x - wide * g(0, 0.5), y + g(0.15, 0.4)),
            (x - wide * g(0.4, 1), y + g(0, 0.2)),
            (x + wide * g(0, 1), y - g(0, 0.2)),
        ]
    elif kind < 0.7:  # on a stroke that leads along the foot, from the last one or to the next
        left, right = (-wide - g(0, 0.5) * (g() < 0.6), wide + g(0, 0.6) * (g() < 0.8))
        return [loop, [(left, 1 + g(-0.08, 0.03)), (0, 1), (right, 1 + g(-0.1, 0.03))]]
    elif kind < 0.78:  # struck through
        rise = g(-0.2, 0.2)
        return [loop, [(-wide - g(0, 0.3), 0.5 + rise), (0, 0.5 + g(-0.1, 0.1)), (wide + g(0, 0.3), 0.5 - rise)]]
    if g() < 0.15:  # comes from the last one
        loop.insert(0, (loop[0][0] - g(0.1, 0.5), loop[0][1] + g(-0.15, 0.1)))
    return [loop]


def one(generator: np.random.Generator) -> list[Stroke]:
    """A 1 with a flag, mostly, up to a roof or a narrow loop; with a foot, sometimes."""
    g = generator.uniform
    slant = g(-0.12, 0.25)
    if g() < 0.15:  # up and down in one narrow loop
        wide = g(0.08, 0.2)
        return [
            [
                (-wide - g(0, 0.3), g(0.5, 0.95)),
                (wide, g(0.15, 0.3)),
                (wide * 0.6, 0),
                (-wide * 0.3, 0.12),
                (0, 0.6),
                (g(-0.05, 0.2), 1),
            ]
        ]
    strokes: list[Stroke] = [[(slant, 0), (slant / 2 + g(-0.03, 0.03), 0.5), (0, 1)]]
    if g() < 0.9:
        length = g(0.12, 0.75)
        steep = min(g(0.5, 2.2), 1.05 / length)
        flag: Stroke = [(slant - length, length * steep), (slant - length * g(0.3, 0.7), length * steep * g(0.3, 0.7))]
        if g() < 0.3:  # without a corner at the top
            strokes = [[*flag, (slant - 0.05, g(0, 0.03)), (slant + g(0, 0.08), g(0.05, 0.12)), *strokes[0][1:]]]
        else:
            strokes.insert(0, [*flag, (slant, 0)])
    if g() < 0.35:
        left, right = g(0.1, 0.35), g(0.1, 0.35)
        strokes.append([(-left, 1 + g(-0.03, 0.03)), (right, 1 + g(-0.03, 0.03))])
    return strokes


def two(generator: np.random.Generator) -> list[Stroke]:
    """A 2 whose foot starts with a loop, whose head is nearly closed as a Q's or a long loop, or that is nearly a Z."""
    g = generator.uniform
    wide, loop, foot, kind = g(0.35, 0.7), g(0.05, 0.2), g(0.85, 1), g()
    if kind > 0.85:  # up to the right, around to the left and down through itself
        lean = g(0, 0.25)
        return [
            [
                (g(0, 0.15), g(0.3, 0.6)),
                (wide * 0.5 + lean, g(0.3, 0.45)),
                (wide * 0.8 + lean, g(0.05, 0.15)),
                (wide * g(0.4, 0.6) + lean, 0),
                (wide * g(0.1, 0.3) + lean * 0.7, g(0.25, 0.4)),
                (wide * g(0.2, 0.4), 0.7),
                (0, foot),
                (-loop, foot - loop * 0.5),
                (0, foot - loop),
                (wide * 0.6, foot),
                (wide + g(-0.1, 0.2), foot - g(-0.05, 0.15)),
            ]
        ]
    head: Stroke = [(g(0, 0.08), g(0.1, 0.3)), (wide * 0.45, g(-0.02, 0.04)), (wide * g(0.85, 1), g(0.15, 0.3))]
    if kind < 0.4:  # the head goes nearly all around
        head = [(wide * g(0.1, 0.5), g(0.35, 0.55)), (0, g(0.2, 0.4)), *head[1:], (wide * g(0.75, 0.95), g(0.4, 0.55))]
    if kind < 0.75:
        size = loop if g() < 0.7 else 0.03
        turn: Stroke = [(wide * 0.4, 0.75), (0.02, foot), (-size / 2, foot - size), (size, foot - size * g(0.7, 1.3))]
        return [[*head, *turn, (wide * 0.6, foot), (wide + g(-0.1, 0.3), foot + g(-0.12, 0.1))]]
    return [
        [*head, (wide * 0.4, 0.7), (0, foot)],
        [(0, foot), (wide * 0.5, foot + g(-0.06, 0.04)), (wide + g(-0.05, 0.2), foot)],
    ]


def seven(generator: np.random.Generator) -> list[Stroke]:
    """A 7 with a bar, mostly; with a hook, a wave or a loop where the roof begins, or bent in one stroke, sometimes.

    Where it is barred its roof may be a short hook or a y's arms, and its stem end in a hook.
    """
    g = generator.uniform
    if g() < 0.2:
        return _hasty_seven(generator)
    width, bow = g(0.15, 0.75), g(-0.08, 0.08)
    foot = width * g(-0.1, 0.8)
    bend = (width + foot) / 2 + g(-0.15, 0.08)
    kind = g()
    roof: Stroke = [(0, g(-0.05, 0.1)), (width / 2, bow), (width, 0)]
    if kind < 0.2:  # a wave
        roof = [(0, g(0.05, 0.15)), (width * 0.25, g(-0.05, 0.02)), (width * 0.65, g(0.04, 0.12)), (width, g(-0.08, 0))]
    elif kind < 0.3:  # a loop
        size = g(0.06, 0.16)
        roof = [
            (width * 0.3, g(0.05, 0.15)),
            (size, size * 1.6),
            (0, size * 0.5),
            (size, 0),
            (width * 0.6, g(0.03, 0.1)),
            (width, 0),
        ]
    if 0.3 < kind < 0.5:  # roof and stem in one bow
        wide = width + 0.1
        bowed: Stroke = [
            (0, g(0.08, 0.25)),
            (wide * g(0.1, 0.3), g(0, 0.06)),
            (wide * 0.75, g(-0.04, 0.04)),
            (wide, g(0.1, 0.25)),
        ]
        strokes: list[Stroke] = [[*bowed, ((wide + foot) / 2 + g(0, 0.15), 0.6), (foot, g(0.85, 1)), (foot + g(-0.2, 0.15), 1)]]
    else:
        strokes = [roof, [roof[-1], (bend, g(0.35, 0.6)), (foot, 1)]]
        if kind > 0.5 and g() < 0.4:
            strokes.append([(0, roof[0][1]), (g(-0.06, 0.04), g(0.08, 0.25))])
    if g() < 0.8:
        y, half, tilt = g(0.35, 0.65), g(0.1, 0.38), g(-0.1, 0.1)
        x = width + (foot - width) * y + g(-0.08, 0.08)
        strokes.append([(x - half, y + tilt), (x + half, y - tilt)])
    return strokes


def _hasty_seven(generator: np.random.Generator) -> list[Stroke]:
    """A barred stem with little of a roof."""
    g = generator.uniform
    slant, bar, bow = g(-0.05, 0.35), g(0.35, 0.75), g(-0.06, 0.06)
    arm = g(0.03, 0.35)
    roof: Stroke = [(slant - arm, g(-0.02, 0.12)), (slant - arm * g(0.5, 0.9), g(0.1, 0.25)), (slant, g(-0.02, 0.06))]
    if g() < 0.4:
        roof = [(slant - arm, g(0, 0.15)), (slant - arm * g(0.3, 0.6), g(-0.04, 0.06)), (slant, 0)]
    stem: Stroke = [(slant, 0), (slant / 2 + bow, 0.5), (0, g(0.85, 1))]
    if g() < 0.25:
        stem += [(-g(0.03, 0.1), 1), (-g(0.1, 0.3), g(0.85, 0.95))]
    x, left, right, tilt = slant * (1 - bar) + bow / 2, g(0.1, 0.35), g(0.1, 0.55), g(-0.12, 0.08)
    cross: Stroke = [(x - left, bar + tilt * left), (x, bar + g(-0.04, 0.04)), (x + right, bar - tilt * right)]
    if left > 0.2 and g() < 0.2:  # from the foot up to the bar in one stroke
        return [roof, [*stem[:2], (0, 1), (-left * 0.6, bar + g(0.1, 0.25)), (-left, bar + 0.05), (x + right, bar)]]
    return [roof, stem, cross]


def four(generator: np.random.Generator) -> list[Stroke]:
    """A 4 that is open at the top, its left side an angle, a bow or a loop; in one stroke; a triangle on a stem; or an h."""
    g = generator.uniform
    width, bar, slant, kind = g(0.3, 0.8), g(0.42, 0.8), g(-0.05, 0.2), g()
    if kind < 0.35:
        stem, bar = g(0.3, 0.75), g(0.22, 0.7)
        return [
            [(stem + slant, 0), (0, bar)],
            [(0, bar), (stem + g(0, 0.25), bar + g(-0.06, 0.06))],
            [(stem + slant, g(-0.02, 0.08)), (stem - slant * g(0, 0.3), 1)],
        ]
    if kind > 0.88:  # its stem short, at the end of a bar along the foot: as an h or an L
        foot, edge = g(0.7, 0.98), width * g(0.6, 1)
        side: Stroke = [(g(0, 0.3) + slant, 0), (g(-0.02, 0.1), foot / 2), (0, foot)]
        return [[*side, (edge, foot - g(0, 0.12))], [(edge + slant / 2, g(0.35, 0.65)), (edge + g(-0.08, 0.03), 1)]]
    start, stem, top = g(0.0, 0.25), width * g(0.55, 0.95), g(-0.05, 0.55) * bar / 0.7
    left: Stroke = [(start + slant, 0), (start * g(0.3, 1), bar * g(0.4, 0.7)), (0, bar)]
    if kind < 0.45:  # without lifting the pen
        low = min(bar, 0.6)
        turn: Stroke = [(g(0.02, 0.08), low), (width * 0.6, low - g(0, 0.1)), (width, low * g(0.4, 0.8))]
        return [[(start + slant, 0), (0, low * 0.75), *turn, (width * g(0.7, 1), 0.7), (width * g(0.3, 0.9), 1)]]
    if kind < 0.65:
        left[-1] = (g(0.02, 0.12), bar * g(0.85, 0.95))
    elif kind < 0.75:
        loop = g(0.05, 0.14)
        left += [(loop, bar + loop * 0.6), (loop * 1.2, bar - loop * 0.6)]
    left += [(width * 0.5, bar + g(-0.05, 0.05)), (width, bar + g(-0.1, 0.05))]
    return [left, [(stem + slant * (1 - top), top), (stem - slant * g(0, 0.3), 1)]]


def nine(generator: np.random.Generator) -> list[Stroke]:
    """A 9 with a straight, curled or winding tail, its loop closed or nearly so; or its loop on the stem's right, as a P's."""
    g = generator.uniform
    wide, high = g(0.17, 0.34), g(0.16, 0.32)
    kind = g()
    if kind < 0.25:  # from the foot up the stem and around to the right
        lean = g(-0.1, 0.25)
        angles = np.linspace(np.radians(g(120, 200)), np.radians(g(440, 530)), 12)
        loop: Stroke = [(float(lean + wide * (0.7 + np.cos(a))), float(high * (1 + np.sin(a)))) for a in angles]
        foot: Stroke = [(g(0.05, 0.35), g(0.85, 0.95)), (g(0, 0.2), 1)] if g() < 0.4 else [(g(-0.15, 0.1), 1)]
        return [[*foot, (g(0, 0.06) + lean / 2, g(0.6, 0.75)), *loop]]
    gap, start = g(-0.2, 0.6), g(-0.5, 0.1)
    if kind > 0.88:  # around and through itself at the left, then down to the right as an R's
        angles = np.linspace(np.radians(g(150, 210)), np.radians(g(470, 520)), 13)
        loop = [(float(wide * (1 + np.cos(a))), float(high * (1 + np.sin(a)))) for a in angles]
        return [[*loop, (wide * g(0.5, 1), 2 * high + g(0, 0.12)), (wide * g(1.2, 1.8), g(0.65, 0.8)), (wide * g(0.8, 2.4), 1)]]
    if kind < 0.4:  # around, and down by way of the left
        angles = np.linspace(start, start - 2 * np.pi - g(0, 0.8), 14)
        loop = [(float(wide + wide * np.cos(a)), float(high + high * np.sin(a))) for a in angles]
        waist = 2 * high + g(0.05, 0.2)
        return [[*loop, (wide * g(0.6, 1.3), waist), (wide * g(0.9, 1.6), (waist + 1) / 2), (wide * g(0.2, 1.2), 1)]]
    angles = np.linspace(start, start - 2 * np.pi + gap, 14)
    loop = [(float(wide + wide * np.cos(a)), float(high + high * np.sin(a))) for a in angles]
    end = 2 * wide + g(-0.35, 0.08)
    tail: Stroke = [(2 * wide, high * g(0.2, 0.9)), (2 * wide + g(-0.06, 0.05), 0.6), (end, 1)]
    if g() < 0.35:
        tail = [tail[0], (2 * wide, 0.7), (2 * wide - 0.1, 0.95), (wide, 1), (0.05, g(0.82, 0.95))]
    return [loop, tail]


def five(generator: np.random.Generator) -> list[Stroke]:
    """A 5 whose roof is a stroke of its own, a little off sometimes, or whose back is one line with its belly."""
    g = generator.uniform
    if g() < 0.3:  # in one stroke from the roof's right end
        wide, back, top = g(0.4, 0.8), g(0.0, 0.2), g(-0.08, 0.08)
        neck = g(0.25, 0.5)
        belly: Stroke = [
            (back, neck),
            (back + 0.2, neck - g(-0.05, 0.08)),
            (back + g(0.35, 0.5), g(0.6, 0.75)),
            (back + 0.1, 1),
        ]
        return [
            [
                (back + wide, top),
                (back + wide * 0.5, top + g(0, 0.08)),
                (back + g(0, 0.1), 0.03),
                *belly,
                (back - g(0.1, 0.3), g(0.85, 0.95)),
            ]
        ]
    neck, top = g(0.28, 0.45), g(0.0, 0.08)
    lean = g(0.0, 0.12)
    belly = [(lean, top), (0, neck), (0.2, neck - g(0.0, 0.1)), (g(0.4, 0.6), g(0.55, 0.7))]
    belly += [(0.3, g(0.93, 1.0)), (g(-0.1, 0.05), g(0.85, 1.0))]
    roof_x, roof_y = lean + g(-0.03, 0.1), g(-0.06, 0.06)
    return [belly, [(roof_x, top + roof_y), (roof_x + g(0.25, 0.6), top + roof_y + g(-0.1, 0.06))]]


def six(generator: np.random.Generator) -> list[Stroke]:
    """A 6 whose belly is small and low, open or overshot, as a b's or a cursive e's."""
    g = generator.uniform
    wide, high, x = g(0.14, 0.3), g(0.14, 0.27), g(0.05, 0.4)
    angles = np.radians(np.linspace(170, 170 - g(300, 430), 12))
    belly: Stroke = [(float(wide + wide * np.cos(a)), float(1 - high + high * np.sin(a))) for a in angles]
    return [[(wide + x, g(0, 0.06)), (x * g(0.3, 0.7), g(0.25, 0.4)), *belly]]


def eight(generator: np.random.Generator) -> list[Stroke]:
    """An 8 in one stroke from the right, its top open or overshot, its loops unequal, the lower one wide sometimes."""
    g = generator.uniform
    top, low, waist = g(0.14, 0.3), g(0.18, 0.34), g(0.38, 0.58)
    if g() < 0.25:
        low = g(0.34, 0.6)
    x, lean = 0.3, g(0, 0.2)
    down: Stroke = [
        (x + lean + top, g(0.05, 0.2)),
        (x + lean, 0),
        (x + lean - top, waist * 0.45),
        (x, waist),
        (x + low, (1 + waist) / 2),
    ]
    up: Stroke = [
        (x, 1),
        (x - low, (1 + waist) / 2 + g(-0.05, 0.05)),
        (x + g(-0.05, 0.05), waist),
        (x + lean + top * g(0.6, 1.1), waist * g(0.2, 0.6)),
    ]
    return [[*down, *up, (x + lean + top * g(0.2, 1), g(-0.05, 0.12))]]


VARIANTS: dict[str, Callable[[np.random.Generator], list[Stroke]]] = {
    "0": zero, "1": one, "2": two, "4": four, "5": five, "6": six, "7": seven, "8": eight, "9": nine,
}  # fmt: skip
"""How to draw the characters of which fonts have too few ways of writing."""


def scribble(generator: np.random.Generator) -> list[Stroke]:
    """One to four strokes that mean nothing."""
    counts = generator.integers(2, 9, generator.integers(1, 5))
    return [[(float(x), float(y)) for x, y in generator.uniform(0, 1, (count, 2))] for count in counts]
