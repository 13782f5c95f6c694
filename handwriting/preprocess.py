"""Pixels → the character as the model sees it: the one preprocessing, for training and for serving."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.contract import IMAGE_SIZE
from handwriting.errors import NoInk
from handwriting.image import Pixels

cv2.setNumThreads(1)  # the images are small, and many requests at a time use the cores better

Polarity = Literal["auto", "dark_on_light", "light_on_dark"]
POLARITIES: tuple[Polarity, ...] = ("auto", "dark_on_light", "light_on_dark")

Tensor = NDArray[np.uint8]
"""uint8, shape (28, 28), paper 0, ink 255."""

BOX_SIZE = 20
"""The longer side of the character in the tensor, in pixels (LeCun et al. 1998, section III-A)."""

_WORKING_SIZE = 320  # pixels of the longer side; strokes of a character that fills a tenth of it are still 1 to 2 wide
_BACKGROUND_SIZE = 64
_LEAST_CONTRAST = 14  # grey levels between ink and paper; faint pencil on white has about 25
_LEAST_SHARE_OF_LARGEST = 0.05  # of the largest component's ink: less is a speck
_LEAST_STROKE = 1.8  # pixels in the tensor; MNIST's strokes are 2 to 4 wide
_MOST_INK = 0.6  # of the image: more is no character on paper


def to_tensor(pixels: Pixels, polarity: Polarity = "auto") -> Tensor:
    """The character as the model sees it: uint8, shape (28, 28), paper 0, ink 255.

    Levels out the light, separates ink from paper, keeps the most central character, scales the longer side of its
    bounding box to 20 pixels and puts its centre of mass into the middle of 28 × 28: what was done to NIST's digits to
    make MNIST's (LeCun et al. 1998, section III-A).

    Raises:
        NoInk: nothing stands out from the paper.
    """
    return character_tensor(_most_central(ink_of(_reduced(pixels, max(pixels.shape) / _WORKING_SIZE), polarity)))


def ink_of(pixels: Pixels, polarity: Polarity = "auto", extent: int | None = None) -> Tensor:
    """How much ink lies on each pixel, whatever light falls on it: uint8 of the same shape, paper 0, ink 255.

    No stroke is nearly half as wide as `extent` pixels; without it, as the longer side.

    Raises:
        NoInk: nothing stands out from the paper.
    """
    extent = extent or max(pixels.shape)
    is_dark = _is_dark_on_light(pixels, extent) if polarity == "auto" else polarity == "dark_on_light"
    return _ink(_levelled(pixels, is_dark, extent))


def character_tensor(ink: Tensor) -> Tensor:
    """One character's ink, of any size, as the model sees it: uint8, shape (28, 28).

    Raises:
        NoInk: there is none.
    """
    return _centred(_boxed(_thickened(_cropped(ink))))


def _reduced(pixels: Pixels, factor: float) -> Pixels:
    """The pixels, so many times smaller; never larger."""
    if factor <= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] / factor)), max(1, round(pixels.shape[0] / factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _is_dark_on_light(pixels: Pixels, extent: int) -> bool:
    """Which of the two is the ink: what is rare, stands out from its surroundings, and is not at the border.

    Against the wide blur of its surroundings paper deviates a little and ink a lot the other way, so the deviations are
    skewed towards the ink, however the light falls off; thick strokes that fill the image are told by the border.
    """
    small = _reduced(pixels, extent / _BACKGROUND_SIZE).astype(np.float32)
    sigma = min(extent, _BACKGROUND_SIZE) / 5
    deviation = small - cv2.GaussianBlur(small, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    spread = float(deviation.std())
    if spread < 1e-3:
        return True
    skewness = float(np.mean((deviation / spread) ** 3))
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    border_brightness = float(np.median(border) - small.mean()) / float(small.std())
    return border_brightness - skewness > 0


def _levelled(pixels: Pixels, is_dark_on_light: bool, extent: int) -> Pixels:
    """How far each pixel stands out from its paper, whatever light falls on it: 0 paper, 255 the most that there can be.

    Dark ink takes away a share of the light, so it is measured as a share; bright ink on dark adds to it.
    """
    if not is_dark_on_light:
        return np.asarray(cv2.subtract(pixels, _background(pixels, extent)), np.uint8)
    paper = 255 - _background(255 - pixels, extent)
    return 255 - np.asarray(cv2.divide(pixels, np.maximum(paper, 1), scale=255), np.uint8)


def _ink(ink: Pixels) -> Tensor:
    """How much ink lies on each pixel, from 0 to 255 for what is clearly ink; specks and noise are 0.

    Raises:
        NoInk: the contrast is too small, or what stands out covers the paper.
    """
    _, mask = cv2.threshold(ink, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    inside = ink[mask > 0]
    if not inside.size or inside.size > _MOST_INK * ink.size:
        raise NoInk("nothing on the image stands out from its background as ink does")
    outside = ink[mask == 0]
    noise = 1.5 * float(np.percentile(outside, 75)) if outside.size else 0.0
    level = float(np.percentile(inside, 75))
    if level - noise < _LEAST_CONTRAST:
        raise NoInk(f"the darkest and the brightest of the image differ by {level:.0f} of 255 grey levels: it is blank")
    scaled = np.clip((ink.astype(np.float32) - noise) * (255 / (level - noise)), 0, 255)
    near = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=2)
    return np.where(near > 0, np.rint(scaled), 0).astype(np.uint8)


def _background(pixels: Pixels, extent: int) -> Pixels:
    """The dark paper as it would be without the ink: strokes opened away on a small copy, then smoothed.

    An opening follows a slope of light, but at the border only if the slope goes on beyond it: hence the odd reflection.
    """
    small = _reduced(pixels, extent / _BACKGROUND_SIZE).astype(np.int16)
    kernel = _background_kernel(min(extent, _BACKGROUND_SIZE))
    rim = kernel.shape[0]
    edges = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    mirrored = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REFLECT_101)
    opened = cv2.morphologyEx(2 * edges - mirrored, cv2.MORPH_OPEN, kernel)
    smooth = cv2.blur(opened, (5, 5))[rim:-rim, rim:-rim].clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(smooth, pixels.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _background_kernel(extent: int) -> NDArray[np.uint8]:
    """Wider than any stroke: a bit under half of the extent."""
    side = max(3, int(extent * 0.45)) | 1
    return np.ones((side, side), np.uint8)


def _most_central(ink: Tensor) -> Tensor:
    """The ink of the character nearest to the middle: components that overlap sideways belong to one, specks to none."""
    count, labels, stats, centroids = cv2.connectedComponentsWithStats((ink > 0).astype(np.uint8), connectivity=8)
    if count <= 2:
        return ink
    masses = np.bincount(labels.ravel(), ink.ravel(), minlength=count).astype(np.float64)
    kept = [index for index in range(1, count) if masses[index] >= _LEAST_SHARE_OF_LARGEST * masses[1:].max()]
    if len(kept) > 1:
        seed = _seed(kept, stats, centroids, masses, ink.shape)
        kept = _group_around(seed, kept, stats, ink.shape)
    return np.where(np.isin(labels, kept), ink, 0).astype(np.uint8)


def _seed(
    kept: list[int],
    stats: NDArray[np.int32],
    centroids: NDArray[np.float64],
    masses: NDArray[np.float64],
    shape: tuple[int, ...],
) -> int:
    """The component that is large and near to the middle, and not a frame or shadow along the image's edge."""
    height, width = shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])

    def worth(index: int) -> float:
        left, top, wide, high, _ = stats[index]
        touches = (left == 0) + (top == 0) + (left + wide == width) + (top + high == height)
        distance = float(np.hypot(*((centroids[index] - middle) / middle.clip(1))))
        return float(masses[index] * (1.5 - min(distance, 1.4)) * 0.3 ** int(touches))

    return max(kept, key=worth)


def _group_around(seed: int, kept: list[int], stats: NDArray[np.int32], shape: tuple[int, ...]) -> list[int]:
    """The seed and what stands above, below or inside it, such as the loose bar of a 5 or the dot of an i.

    A line that runs into the image's edge is the paper's ruling or frame.
    """
    height, width = shape
    left, top, wide, high, _ = stats[seed]
    size = max(wide, high)

    def belongs(index: int) -> bool:
        x, y, w, h, _ = stats[index]
        is_ruling = min(w, h) < 0.15 * max(w, h) and (x == 0 or y == 0 or x + w == width or y + h == height)
        if is_ruling:
            return False
        overlap = min(left + wide, x + w) - max(left, x)
        gap_x = max(x - left - wide, left - x - w, 0)
        gap_y = max(y - top - high, top - y - h, 0)
        is_beside = overlap <= 0.3 * min(w, wide)
        return bool(gap_y <= 0.4 * size and (not is_beside or (gap_x <= 0.08 * size and max(w, h) < 0.6 * size)))

    return [index for index in kept if index == seed or belongs(index)]


def _cropped(ink: Tensor) -> Tensor:
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    if not rows.size:
        raise NoInk("nothing on the image stands out from its background as ink does")
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _thickened(character: Tensor) -> Tensor:
    """Strokes too thin to survive the scaling made wide enough: a fine pen is to look as MNIST's pens do."""
    wanted = _LEAST_STROKE * max(character.shape) / BOX_SIZE
    mask = (character > 127).astype(np.uint8)
    if not mask.any():
        return character
    distance = cv2.distanceTransform(cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    stroke_width = 4 * float(distance[distance > 0].mean()) - 1
    missing = int(wanted - stroke_width)
    if missing < 1:
        return character
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing + 1, missing + 1))
    padded = cv2.copyMakeBorder(character, missing, missing, missing, missing, cv2.BORDER_CONSTANT)
    return _cropped(np.asarray(cv2.dilate(padded, kernel), np.uint8))


def _boxed(character: Tensor) -> Tensor:
    """The character with its longer side at BOX_SIZE pixels."""
    height, width = character.shape
    scale = BOX_SIZE / max(height, width)
    if scale == 1:
        return character
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(character, size, interpolation=interpolation), np.uint8)


def _centred(character: Tensor) -> Tensor:
    """The character in 28 × 28, its centre of mass between 13.5 and 14.5 in both directions, as MNIST's are."""
    height, width = character.shape
    mass = character.sum(dtype=np.float64)
    centre_y = float((character.sum(axis=1, dtype=np.float64) * np.arange(height)).sum() / mass)
    centre_x = float((character.sum(axis=0, dtype=np.float64) * np.arange(width)).sum() / mass)
    top = min(max(int(np.ceil(IMAGE_SIZE / 2 - 0.5 - centre_y)), 0), IMAGE_SIZE - height)
    left = min(max(int(np.ceil(IMAGE_SIZE / 2 - 0.5 - centre_x)), 0), IMAGE_SIZE - width)
    tensor = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    tensor[top : top + height, left : left + width] = character
    return tensor
