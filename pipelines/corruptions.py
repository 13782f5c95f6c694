"""A fixed suite of corruptions of characters, in the manner of MNIST-C (Mu and Gilmer 2019): drawn by code, from fixed seeds.

Each takes and gives images as the model sees them: what is measured is how robust the network is, not the preprocessing, which
undoes some of this in photographs. The strengths are set so that a person still reads nearly every image.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
"""uint8 (N, 28, 28), paper 0, ink 255."""
Corruption = Callable[[Images, np.random.Generator], Images]

_SEED = 20261125
_PLUS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def noise(images: Images, generator: np.random.Generator) -> Images:
    """Gaussian noise on each pixel."""
    return _clipped(images + generator.normal(0, 50, images.shape))


def blur(images: Images, generator: np.random.Generator) -> Images:
    """Out of focus."""
    return _each(lambda image: cv2.GaussianBlur(image, (0, 0), 1.3), images)


def rotation(images: Images, generator: np.random.Generator) -> Images:
    """Turned by 15 to 25 degrees to either side."""
    angles = generator.uniform(15, 25, len(images)) * generator.choice([-1, 1], len(images))
    return np.stack([_turned(image, angle, 1.0) for image, angle in zip(images, angles, strict=True)])


def scale(images: Images, generator: np.random.Generator) -> Images:
    """Smaller: 65 to 80 % of its size."""
    factors = generator.uniform(0.65, 0.8, len(images))
    return np.stack([_turned(image, 0.0, factor) for image, factor in zip(images, factors, strict=True)])


def thin(images: Images, generator: np.random.Generator) -> Images:
    """The strokes a pixel thinner."""
    return _each(lambda image: cv2.erode(image, np.ones((2, 2), np.uint8)), images)


def thick(images: Images, generator: np.random.Generator) -> Images:
    """The strokes two pixels thicker."""
    return _each(lambda image: cv2.dilate(image, _PLUS), images)


def contrast(images: Images, generator: np.random.Generator) -> Images:
    """Faint ink: 35 % of its darkness. The paper stays 0, as the preprocessing makes it."""
    return _clipped(images * 0.35)


def lines(images: Images, generator: np.random.Generator) -> Images:
    """A stroke of a pen right across."""
    return np.stack([_crossed_out(image, generator) for image in images])


def fog(images: Images, generator: np.random.Generator) -> Images:
    """A haze over ink and paper, denser here and lighter there, and none at its clearest, which the preprocessing makes 0."""
    side = images.shape[1]
    haze = np.zeros(images.shape)
    for cells, weight in ((2, 0.5), (4, 0.3), (7, 0.2)):
        coarse = generator.random((len(images), cells, cells))
        haze += weight * np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse])
    haze -= haze.min((1, 2), keepdims=True)
    return _clipped(images * 0.6 + 255 * 0.4 * haze)


SUITE: dict[str, Corruption] = {
    corruption.__name__: corruption for corruption in (noise, blur, rotation, scale, thin, thick, contrast, lines, fog)
}


def corrupted(name: str, images: Images) -> Images:
    """The images with the corruption of that name: the same each time for the same images."""
    number = list(SUITE).index(name)
    return SUITE[name](images, np.random.default_rng([_SEED, number]))


def _each(change: Callable[[Images], NDArray[np.generic]], images: Images) -> Images:
    return np.stack([change(image) for image in images]).astype(np.uint8, copy=False)


def _turned(image: Images, degrees: float, factor: float) -> NDArray[np.generic]:
    """The image turned and scaled about its middle."""
    middle = (image.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, factor)
    turned: NDArray[np.generic] = cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR)
    return turned


def _crossed_out(image: Images, generator: np.random.Generator) -> Images:
    """The image with one straight line, a pixel wide, from an edge to the one across."""
    side = image.shape[0]
    near, far = generator.integers(4, side - 4, 2).tolist()
    ends = ((0, near), (side - 1, far)) if generator.random() < 0.5 else ((near, 0), (far, side - 1))
    return np.asarray(cv2.line(image.copy(), ends[0], ends[1], 255, 1, cv2.LINE_AA))


def _clipped(values: NDArray[np.floating]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
