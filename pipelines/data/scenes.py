"""Pictures of what is no character, as a camera may see it: things before one another, edges, discs, clouds, stripes."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.image import Pixels

_Grey = NDArray[np.float32]
"""float32 (side, side), from 0 to 255."""


def scene(generator: np.random.Generator) -> Pixels:
    """A square picture of 32 to 128 pixels: uint8."""
    side = int(generator.integers(32, 129))
    kinds: list[Callable[[int, np.random.Generator], _Grey]] = [_leaves, _leaves, _edge, _solid, _clouds, _stripes]
    grey = kinds[int(generator.integers(len(kinds)))](side, generator)
    if (blur := generator.uniform(0, 0.03) * side) > 0.3:
        grey = cv2.GaussianBlur(grey, (0, 0), blur)
    grey = grey + generator.uniform(0, 10) * generator.standard_normal((side, side), np.float32)
    return np.clip(grey, 0, 255).astype(np.uint8)


def _leaves(side: int, generator: np.random.Generator) -> _Grey:
    """Shapes of many sizes that cover one another (dead leaves: Matheron 1968, as in Lee et al. 2001)."""
    grey = np.full((side, side), generator.uniform(0, 255), np.float32)
    for _ in range(int(generator.integers(2, 40))):
        size = side * float(np.clip(0.06 / generator.uniform(0.05, 1) ** 1.5, 0.05, 0.9))
        _fill(grey, generator.uniform(0, side, 2), size, generator)
    return grey * _shade(side, generator)


def _edge(side: int, generator: np.random.Generator) -> _Grey:
    """One or two straight or bent edges from rim to rim."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    grey = np.full((side, side), generator.uniform(0, 255), np.float32)
    for _ in range(int(generator.integers(1, 3))):
        angle, bend = generator.uniform(0, 2 * np.pi), generator.normal(0, 0.6)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        grey[across > generator.uniform(-0.35, 0.35) + bend * along**2] = generator.uniform(0, 255)
    return grey * _shade(side, generator)


def _solid(side: int, generator: np.random.Generator) -> _Grey:
    """One filled shape on plain ground."""
    grey = np.full((side, side), generator.uniform(0, 255), np.float32)
    _fill(grey, side / 2 + generator.normal(0, 0.1, 2) * side, side * generator.uniform(0.3, 0.8), generator)
    return grey


def _clouds(side: int, generator: np.random.Generator) -> _Grey:
    """Noise whose strength falls with its frequency, as in photographs."""
    rate = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 1 / side
    waves = generator.standard_normal((2, *rate.shape)) / rate ** generator.uniform(0.8, 2)
    field = np.fft.irfft2(waves[0] + 1j * waves[1], (side, side))
    field = field / (field.std() + 1e-9)
    return np.asarray(128 + generator.uniform(20, 70) * field, np.float32)


def _stripes(side: int, generator: np.random.Generator) -> _Grey:
    """Waves one way or two, soft or hard."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    field = np.zeros((side, side), np.float32)
    for _ in range(int(generator.integers(1, 3))):
        angle, rate = generator.uniform(0, np.pi), generator.uniform(1.5, 12)
        field += np.sin(2 * np.pi * rate * (x * np.cos(angle) + y * np.sin(angle)) + generator.uniform(0, 6))
    return np.asarray(128 + 110 * np.tanh(field * generator.uniform(0.5, 6)), np.float32)


def _fill(grey: _Grey, centre: NDArray[np.float64], size: float, generator: np.random.Generator) -> None:
    """Fills an ellipse or a polygon."""
    tone = float(generator.uniform(0, 255))
    place = (int(centre[0]), int(centre[1]))
    if generator.uniform() < 0.5:
        axes = (max(1, int(size / 2)), max(1, int(size / 2 * generator.uniform(0.5, 1))))
        cv2.ellipse(grey, place, axes, generator.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
        return
    angles = np.sort(generator.uniform(0, 2 * np.pi, int(generator.integers(3, 8))))
    corners = centre + size / 2 * generator.uniform(0.5, 1.2, (len(angles), 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
    cv2.fillPoly(grey, [corners.astype(np.int32)], tone, cv2.LINE_AA)


def _shade(side: int, generator: np.random.Generator) -> _Grey:
    """Light that falls off to one side, as factors."""
    across, down = generator.uniform(-0.3, 0.3, 2)
    return np.asarray(1 + np.linspace(-across, across, side)[None] + np.linspace(-down, down, side)[:, None], np.float32)
