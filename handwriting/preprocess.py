"""Pixels → the character as the model sees it: the one preprocessing, for training and for serving."""

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.contract import IMAGE_SIZE
from handwriting.errors import NoInk
from handwriting.image import Pixels

cv2.setNumThreads(1)  # the images are small, and many requests at a time use the cores better


class _TooMuchInk(NoInk):
    """What stands out covers the paper."""


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
_SMALLEST_SIZE = 40  # pixels of a character in the working size; a smaller one is looked at from nearby
_SMALLEST_FRAME = 64  # pixels
_LEAST_SHARE_OF_FRAME = 0.25  # of the longer side of what is inside it
_MOST_PIECES = 20  # of a character; more of them, all small, are noise
_LEAST_SHARE_OF_LARGEST_PIECE = 0.25  # of the ink
_NEAR = np.ones((5, 5), np.uint8)
_GREYS = np.arange(256, dtype=np.float32)


def to_tensor(pixels: Pixels, polarity: Polarity = "auto") -> Tensor:
    """The character as the model sees it: uint8, shape (28, 28), paper 0, ink 255.

    Levels out the light, separates ink from paper, keeps the most central character, scales the longer side of its
    bounding box to 20 pixels and puts its centre of mass into the middle of 28 × 28: what was done to NIST's digits to
    make MNIST's (LeCun et al. 1998, section III-A). What is small on a large image is looked at again from nearby.

    Raises:
        NoInk: nothing stands out from the paper.
    """
    factor = max(pixels.shape) / _WORKING_SIZE
    ink = ink_of(_reduced(pixels, factor), polarity)
    if min(ink.shape) >= _SMALLEST_FRAME:
        ink = _without_rulings(_without_frame(ink))
    character, (left, top) = _most_central(ink)
    _refuse_what_was_not_written(character, ink.shape)
    if max(character.shape) < _SMALLEST_SIZE and min(ink.shape) >= _SMALLEST_FRAME:
        _refuse_what_was_not_written(ink, ink.shape)  # a speck among many
        if factor > 1:
            height, width = character.shape
            middle = ((left + width / 2) * factor, (top + height / 2) * factor)
            return to_tensor(_surroundings(pixels, middle, max(width, height) * factor), polarity)
    return character_tensor(character)


def ink_of(pixels: Pixels, polarity: Polarity = "auto", extent: int | None = None) -> Tensor:
    """How much ink lies on each pixel, whatever light falls on it: uint8 of the same shape, paper 0, ink 255.

    No stroke is nearly half as wide as `extent` pixels; without it, as the longer side.

    Raises:
        NoInk: nothing stands out from the paper.
    """
    extent = extent or max(pixels.shape)
    small = _reduced(pixels, extent / _BACKGROUND_SIZE)
    extent = min(extent, _BACKGROUND_SIZE)
    is_dark = _is_dark_on_light(small, extent) if polarity == "auto" else polarity == "dark_on_light"
    try:
        return _ink(_levelled(pixels, small, is_dark, extent))
    except _TooMuchInk:
        if polarity != "auto":
            raise
        return _ink(_levelled(pixels, small, not is_dark, extent))  # a frame along the border was taken for the paper


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


def _surroundings(pixels: Pixels, middle: tuple[float, float], reach: float) -> Pixels:
    """The square around a point (x, y) that goes so far in each direction."""
    x, y = middle
    return pixels[max(int(y - reach), 0) : int(y + reach) + 1, max(int(x - reach), 0) : int(x + reach) + 1]


def _is_dark_on_light(small: Pixels, extent: int) -> bool:
    """Which of the two is the ink: what is rare, stands out from its surroundings, and is not at the border.

    Against the wide blur of its surroundings paper deviates a little and ink a lot the other way, so the deviations are
    skewed towards the ink, however the light falls off; thick strokes that fill the image are told by the border.
    """
    grey = small.astype(np.float32)
    deviation = grey - _blurred(grey, extent / 5)
    _, spread = _mean_and_spread(deviation)
    if spread < 1e-3:
        return True
    skewness = float(np.vdot(deviation * deviation, deviation)) / deviation.size / spread**3
    mean, contrast = _mean_and_spread(small)
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    border.sort()
    return (float(border[border.size // 2]) - mean) / contrast > skewness


def _blurred(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """The image under a wide Gaussian; as two products of matrices where it is small, which is several times as fast."""
    height, width = grey.shape
    if max(height, width) <= _BACKGROUND_SIZE:
        return np.asarray(_blurring(height, sigma) @ grey @ _blurring(width, sigma).T, np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


@lru_cache(maxsize=128)
def _blurring(length: int, sigma: float) -> NDArray[np.float32]:
    """The matrix that blurs a column of so many values, which go on beyond the ends: float32 (length, length)."""
    identity = np.eye(length, dtype=np.float32)
    kernel = cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma, cv2.CV_32F)
    return np.asarray(
        cv2.sepFilter2D(identity, -1, np.ones(1, np.float32), kernel, borderType=cv2.BORDER_REPLICATE), np.float32
    )


def _mean_and_spread(values: Pixels | NDArray[np.float32]) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(spread[0, 0])


def _levelled(pixels: Pixels, small: Pixels, is_dark_on_light: bool, extent: int) -> Pixels:
    """How far each pixel stands out from its paper, whatever light falls on it: 0 paper, 255 the most that there can be.

    Dark ink takes away a share of the light, so it is measured as a share; bright ink on dark adds to it.
    """
    if not is_dark_on_light:
        return np.asarray(cv2.subtract(pixels, _enlarged(_background(small, extent), pixels.shape)), np.uint8)
    paper = cv2.max(cv2.bitwise_not(_background(cv2.bitwise_not(small), extent)), 1)
    share = cv2.divide(pixels, _enlarged(paper, pixels.shape), scale=255)
    return np.asarray(cv2.bitwise_not(share), np.uint8)


def _ink(ink: Pixels) -> Tensor:
    """How much ink lies on each pixel, from 0 to 255 for what is clearly ink; specks and noise are 0.

    Raises:
        NoInk: the contrast is too small, or what stands out covers the paper.
    """
    threshold, mask = cv2.threshold(ink, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    ranks = _ranks(ink)
    outside = int(ranks[int(threshold)])
    inside = ink.size - outside
    if inside > _MOST_INK * ink.size:
        raise _TooMuchInk("nothing on the image stands out from its background as ink does")
    if not inside:
        raise NoInk("nothing on the image stands out from its background as ink does")
    typical, level = _values_at(ranks, 0.75 * max(outside - 1, 0), outside + 0.75 * (inside - 1))
    noise = 1.5 * typical if outside else 0.0
    if level - noise < _LEAST_CONTRAST:
        raise NoInk(f"the darkest and the brightest of the image differ by {level:.0f} of 255 grey levels: it is blank")
    return np.asarray(cv2.bitwise_and(cv2.LUT(ink, _stretching(noise, level)), cv2.dilate(mask, _NEAR)), np.uint8)


def _ranks(pixels: Pixels) -> NDArray[np.int64]:
    """How many pixels have each value or a lower one: int64 (256,). For few pixels NumPy is faster, for many OpenCV."""
    if pixels.size < 4096:
        return np.bincount(pixels.ravel(), minlength=256).cumsum(dtype=np.int64)
    return np.asarray(cv2.calcHist([pixels], [0], None, [256], [0, 256]).cumsum(dtype=np.int64))


def _values_at(ranks: NDArray[np.int64], first: float, second: float) -> tuple[float, float]:
    """The values at two places among all in their order, between two values in proportion; `ranks` counts up to each value."""
    one, other = int(first), int(second)
    a, b, c, d = ranks.searchsorted((one, one + 1, other, other + 1), side="right").tolist()
    return a + (b - a) * (first - one), c + (d - c) * (second - other)


@lru_cache(maxsize=1024)
def _stretching(noise: float, level: float) -> Tensor:
    """A table, uint8 (256,): 0 for what is noise, 255 for the level and more, in proportion between them."""
    return np.asarray(np.rint(((_GREYS - noise) * (255 / (level - noise))).clip(0, 255)), np.uint8)


def _background(small: Pixels, extent: int) -> Pixels:
    """The dark paper as it would be without the ink: strokes opened away on the small copy, then smoothed.

    An opening follows a slope of light, but at the border only if the slope goes on beyond it: hence the odd reflection.
    """
    kernel = _background_kernel(extent)
    rim = kernel.shape[0]
    edges = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    mirrored = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REFLECT_101)
    opened = cv2.morphologyEx(cv2.addWeighted(edges, 2, mirrored, -1, 0, dtype=cv2.CV_16S), cv2.MORPH_OPEN, kernel)
    smooth = cv2.blur(opened[rim - 2 : 2 - rim, rim - 2 : 2 - rim], (5, 5))[2:-2, 2:-2]
    return np.asarray(cv2.add(smooth, 0, dtype=cv2.CV_8U), np.uint8)


def _enlarged(small: Pixels, shape: tuple[int, ...]) -> Pixels:
    if small.shape == shape:
        return small
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


@lru_cache(maxsize=_BACKGROUND_SIZE)
def _background_kernel(extent: int) -> NDArray[np.uint8]:
    """Wider than any stroke: a bit under half of the extent."""
    side = max(3, int(extent * 0.45)) | 1
    return np.ones((side, side), np.uint8)


def _without_frame(ink: Tensor) -> Tensor:
    """Without a printed box around all of the ink: four straight, thin sides, and ink inside."""
    left, top, wide, high = cv2.boundingRect(ink)
    if min(wide, high) < _SMALLEST_FRAME:
        return ink
    framed = ink[top : top + high, left : left + wide]
    inside = framed.copy()
    for turns in range(4):
        side = _side(np.rot90(framed, turns))
        if side is None:
            return ink
        np.rot90(inside, turns)[side] = 0
    _, _, inner_wide, inner_high = cv2.boundingRect(inside)
    if max(inner_wide / wide, inner_high / high) < _LEAST_SHARE_OF_FRAME:
        return ink
    result = np.zeros_like(ink)
    result[top : top + high, left : left + wide] = inside
    return result


def _side(ink: Tensor) -> NDArray[np.bool_] | None:
    """Which pixels a straight line along the upper edge covers, None where there is none."""
    height, width = ink.shape
    strip = ink[: height // 6] > 100
    columns = np.flatnonzero(strip.any(axis=0))
    if columns.size < 0.9 * width:
        return None
    first = strip.argmax(axis=0)[columns]
    last = (~strip[:, columns] & (np.arange(len(strip))[:, None] > first)).argmax(axis=0) - 1
    thickness = float(np.median(last - first)) + 1
    slope, start = np.polyfit(columns, first, 1)
    line = start + slope * np.arange(width)
    if np.percentile(np.abs(first - line[columns]), 80) > 0.01 * height or not 1 <= thickness <= 0.08 * height:
        return None
    return np.asarray(np.arange(height)[:, None] < line + thickness + 2)


def _without_rulings(ink: Tensor) -> Tensor:
    """Without thin lines from edge to edge of the paper, but for where a stroke crosses; nothing else reaches the edges."""
    rest = _without_lines(_without_lines(ink).T).T
    if not rest.any() or any(rim.any() for rim in (rest[0], rest[-1], rest[:, 0], rest[:, -1])):
        return ink
    return np.ascontiguousarray(rest)


def _without_lines(ink: Tensor) -> Tensor:
    """Without thin, nearly horizontal lines from the left edge to the right, but for where a stroke crosses."""
    height, width = ink.shape
    if not (ink[:, 0].any() and ink[:, -1].any()):
        return ink
    _, mask = cv2.threshold(ink, 80, 255, cv2.THRESH_BINARY)
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, width // 8), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(runs, np.ones((3, 9), np.uint8)))
    is_line = np.zeros(count, bool)
    for index in range(1, count):
        _, _, wide, high, _ = stats[index]
        is_line[index] = wide >= width - 2 and high < 0.1 * height
    lines = np.where(is_line[labels], mask, 0).astype(np.uint8)
    if not lines.any():
        return ink
    thickness = int(np.median(lines.sum(axis=0, dtype=np.int64) // 255 // is_line.sum()))
    if thickness > 0.05 * height:
        return ink
    crossing = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickness + 4, 1), np.uint8))
    gone = cv2.dilate(lines, np.ones((5, 1), np.uint8)) & ~cv2.dilate(crossing, np.ones((3, 3), np.uint8))
    return np.where(gone > 0, 0, ink).astype(np.uint8)


def _most_central(ink: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The ink of the character nearest to the middle, cropped, and where it lies in the image: x, y.

    Components that overlap sideways belong to one character, specks to none.
    """
    left, top, wide, high = cv2.boundingRect(ink)
    inked = ink[top : top + high, left : left + wide]
    _, mask = cv2.threshold(inked, 0, 255, cv2.THRESH_BINARY)  # cv2.compare takes an image of 4 pixels for a scalar
    count, labels = cv2.connectedComponents(mask, ltype=cv2.CV_16U)
    if count <= 2:
        return inked, (left, top)
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(mask, ltype=cv2.CV_16U)
    corner = np.array((left, top))
    stats[:, :2] += corner
    masses = np.bincount(labels.ravel(), inked.ravel(), minlength=count).astype(np.float64)
    kept = [index for index in range(1, count) if masses[index] >= _LEAST_SHARE_OF_LARGEST * masses[1:].max()]
    if len(kept) > 1:
        seed = _seed(kept, stats, centroids + corner, masses, ink.shape)
        kept = _group_around(seed, kept, stats, ink.shape)
    is_kept = np.zeros(count, np.uint8)
    is_kept[kept] = 1
    kept_ink = np.asarray(inked * is_kept[labels], np.uint8)
    x, y, wide, high = cv2.boundingRect(kept_ink)
    return kept_ink[y : y + high, x : x + wide], (left + x, top + y)


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

    A line that runs into the image's edge is the paper's ruling or frame; what the edge leaves a smaller part of is a
    neighbour, unless it cuts the seed too.
    """
    height, width = shape
    left, top, wide, high, _ = stats[seed]
    size = max(wide, high)

    is_whole = left > 0 and top > 0 and left + wide < width and top + high < height

    def belongs(index: int) -> bool:
        x, y, w, h, _ = stats[index]
        at_side, at_end = x == 0 or x + w == width, y == 0 or y + h == height
        if (at_side or at_end) and min(w, h) < 0.15 * max(w, h):
            return False
        if is_whole and ((at_side and w < 0.8 * wide) or (at_end and h < 0.8 * high)):
            return False
        overlap = min(left + wide, x + w) - max(left, x)
        gap_x = max(x - left - wide, left - x - w, 0)
        gap_y = max(y - top - high, top - y - h, 0)
        is_beside = overlap <= 0.3 * min(w, wide)
        return bool(gap_y <= 0.4 * size and (not is_beside or (gap_x <= 0.08 * size and max(w, h) < 0.6 * size)))

    return [index for index in kept if index == seed or belongs(index)]


def _refuse_what_was_not_written(character: Tensor, shape: tuple[int, ...]) -> None:
    """Tells noise and a lone ruling from what a pen has left.

    Of 1,272 digits of ten sources none has more than 12 pieces or a largest one below 0.30 of the ink.

    Raises:
        NoInk: it is one of them.
    """
    height, width = character.shape
    _, mask = cv2.threshold(character, 127, 255, cv2.THRESH_BINARY)
    count, labels = cv2.connectedComponents(mask, ltype=cv2.CV_16U)
    if count == 1:
        raise NoInk("what stands out on the image is too pale to be ink")
    if count > _MOST_PIECES:
        areas = np.bincount(labels.ravel(), minlength=count)[1:]
        if areas.max() < _LEAST_SHARE_OF_LARGEST_PIECE * areas.sum():
            raise NoInk(f"what stands out on the image are {count - 1} specks: noise or texture")
    if min(shape) >= _SMALLEST_FRAME and width == shape[1] > 6 * height and width < 3 * shape[0]:
        raise NoInk("what stands out on the image is a line from edge to edge: a ruling")


def _cropped(ink: Tensor) -> Tensor:
    left, top, wide, high = cv2.boundingRect(ink)
    if not wide:
        raise NoInk("nothing on the image stands out from its background as ink does")
    return ink[top : top + high, left : left + wide]


def _thickened(character: Tensor) -> Tensor:
    """Strokes too thin to survive the scaling made wide enough: a fine pen is to look as MNIST's pens do."""
    wanted = _LEAST_STROKE * max(character.shape) / BOX_SIZE
    _, mask = cv2.threshold(cv2.copyMakeBorder(character, 1, 1, 1, 1, cv2.BORDER_CONSTANT), 127, 255, cv2.THRESH_BINARY)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    stroke_width = 4 * cv2.mean(distance, mask)[0] - 1
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
    moments = cv2.moments(character)
    top = _start(moments["m01"] / moments["m00"], height)
    left = _start(moments["m10"] / moments["m00"], width)
    tensor = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    tensor[top : top + height, left : left + width] = character
    return tensor


def _start(centre: float, length: int) -> int:
    """Where in the tensor something of this length begins, its centre of mass in the middle unless it would stick out."""
    return min(max(math.ceil(IMAGE_SIZE / 2 - 0.5 - centre), 0), IMAGE_SIZE - length)
