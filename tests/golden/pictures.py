"""Pictures of digits that we draw, and what light, paper, pens and cameras do to them.

Every function gives greyscale, float32, 0 black to 255 white, unless it says otherwise; the same arguments, the same picture.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

STROKES: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {  # corners of a curve, in a box of 100 × 140
    "0": (((50, 5), (15, 30), (10, 85), (45, 135), (85, 100), (85, 40), (50, 5)),),
    "2": (((12, 35), (35, 5), (80, 12), (80, 55), (45, 95), (8, 132)), ((8, 132), (50, 126), (95, 132))),
    "3": (((12, 15), (55, 5), (82, 30), (42, 62), (85, 90), (60, 132), (10, 122)),),
    "4": (((40, 5), (10, 85), (92, 85)), ((68, 45), (65, 138))),
    "5": (((22, 8), (18, 62)), ((18, 62), (60, 52), (88, 85), (62, 132), (8, 122)), ((22, 8), (85, 6))),
    "7": (((8, 12), (90, 8), (55, 70), (38, 136)), ((25, 72), (75, 66))),
    "8": (((80, 22), (45, 5), (18, 32), (55, 65), (85, 105), (48, 136), (14, 105), (50, 65), (80, 22)),),
}


def drawn(
    digit: str = "2", size: int = 200, pen: float = 0.06, height: float = 0.6, shift: tuple[float, float] = (0, 0)
) -> Grey:
    """How much of each pixel of a square the pen covers: 0 paper, 1 ink. Sizes are shares of the square's side."""
    zoom = max(1, round(800 / size))
    large = np.zeros((size * zoom, size * zoom), np.uint8)
    unit = height * size * zoom / 140
    corner = np.array([(0.5 + shift[0]) * size * zoom - 50 * unit, (0.5 + shift[1]) * size * zoom - 70 * unit])
    for stroke in STROKES[digit]:
        points = (_curve(np.array(stroke, np.float64)) * unit + corner) * 16
        cv2.polylines(large, [points.astype(np.int32)], False, 255, max(1, round(pen * size * zoom)), cv2.LINE_AA, 4)
    return np.asarray(cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA), np.float32) / 255


def _curve(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth way through the corners (Catmull and Rom 1974)."""
    padded = np.vstack([corners[:1], corners, corners[-1:]])
    steps = np.linspace(0, 1, 12)[:, None]
    parts = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        parts.append(
            0.5 * (2 * b + (c - a) * steps + (2 * a - 5 * b + 4 * c - d) * steps**2 + (3 * b - a - 3 * c + d) * steps**3)
        )
    return np.vstack(parts)


def on_paper(cover: Grey, ink: float = 40, paper: float | Grey = 230) -> Grey:
    return np.asarray(paper + (ink - paper) * cover, np.float32)


def _ramp(size: int, angle: float = 0.0) -> Grey:
    """From 0 to 1 across the square."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / (size - 1)
    turned = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray((turned - turned.min()) / np.ptp(turned), np.float32)


def _radius(size: int) -> Grey:
    """The distance from the middle, 1 in the corners."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return np.asarray(np.hypot(x, y) / np.sqrt(2), np.float32)


LIGHTS: dict[str, Callable[[int], Grey]] = {
    "even": lambda size: np.ones((size, size), np.float32),
    "dim": lambda size: np.full((size, size), 0.35, np.float32),
    "from the left": lambda size: 1 - 0.6 * _ramp(size),
    "from above": lambda size: 1 - 0.6 * _ramp(size, np.pi / 2),
    "from a corner": lambda size: 1 - 0.7 * _ramp(size, 0.8),
    "falling off": lambda size: 1 - 0.75 * _radius(size) ** 2,
    "a lamp": lambda size: 0.4 + 0.6 * np.exp(-(((_ramp(size) - 0.25) ** 2 + (_ramp(size, np.pi / 2) - 0.3) ** 2) / 0.12)),
    "soft shadow": lambda size: 1 - 0.5 / (1 + np.exp(-(_ramp(size, 0.5) - 0.55) * 25)),
    "hard shadow": lambda size: np.where(_ramp(size, 0.4) > 0.6, 0.55, 1.0).astype(np.float32),
    "hard shadow through the middle": lambda size: np.where(_ramp(size, 0.2) > 0.5, 0.5, 1.0).astype(np.float32),
    "shadow of a hand": lambda size: (
        1 - 0.45 * np.where(_ramp(size, 0.3) * 0.6 + _ramp(size, 1.9) * 0.6 > 0.65, 1, 0).astype(np.float32)
    ),
    "blinds": lambda size: (0.8 + 0.15 * np.sin(_ramp(size, 0.3) * 12)).astype(np.float32),
}
"""What share of the light falls on each pixel of a square."""


def noise(size: int, spread: float, seed: int = 1, grain: float = 0) -> Grey:
    values = np.random.default_rng(seed).normal(0, 1, (size, size)).astype(np.float32)
    if grain:
        values = cv2.GaussianBlur(values, (0, 0), grain)
        values /= values.std()
    return np.asarray(spread * values, np.float32)


def ruled(size: int, pitch: int, offset: int, thickness: int = 1, depth: float = 60, both: bool = False) -> Grey:
    """What ruled or squared paper takes from the brightness."""
    lines = np.zeros((size, size), np.float32)
    for start in range(offset, size, pitch):
        lines[start : start + thickness] = depth
        if both:
            lines[:, start : start + thickness] = depth
    return lines


def framed(size: int, margin: int, thickness: int = 2, depth: float = 190) -> Grey:
    """What a printed box takes from the brightness."""
    lines = np.zeros((size, size), np.float32)
    cv2.rectangle(lines, (margin, margin), (size - 1 - margin, size - 1 - margin), depth, thickness)
    return lines


def to_bytes(grey: Grey) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(grey, 0, 255)), np.uint8)
