"""Which pictures are the same: pixel for pixel, or nearly."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
"""uint8 (N, 28, 28), paper 0, ink 255."""

ALIKE_WITHIN = 10.0
"""Root of the mean squared difference, in grey levels, up to which two images may be one picture, coded or scaled anew.

Measured on 120 drawn signs of 300 × 300 pixels: nine in ten stay within it when they are scaled to 270 × 270, six in ten as
WebP and four in ten as JPEG, both of quality 80. Of MNIST's test images 0.1 % are as close to one that is trained on, nearly
all of them a 1; of the characters of our fonts 1.2 % at most, by recipe.
"""

_POOL = 4  # pixels
_BLOCK = 500  # images at a time
_INK = 128


def equal_groups(images: Images) -> list[list[int]]:
    """The indices of the images that are equal pixel for pixel, where there are several; each group in ascending order."""
    groups: dict[bytes, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(blake2b(image.tobytes(), digest_size=16).digest(), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def has_shape(images: Images) -> NDArray[np.bool_]:
    """bool (N,): whether more is on it than one filled rectangle, which looks the same whoever drew it."""
    ink = images >= _INK
    area = np.array([_box_area(one) for one in ink], np.int64)
    return np.asarray((ink.sum((1, 2)) < area) | (area == 0))


def alike_pairs(left: Images, right: Images, within: float = ALIKE_WITHIN) -> Iterator[tuple[int, int, float]]:
    """Each pair of an image on the left and one on the right that look the same: their indices, and how they differ.

    Exact, not a sample: what cannot be the same is passed over by bounds that never exceed the difference itself, first that of
    the mean ink, then that of the means of squares of 4 × 4 pixels.
    """
    if not len(left) or not len(right):
        return
    pooled_left, pooled_right = _pooled(left), _pooled(right)
    means = pooled_right.mean(1)
    order = np.argsort(means, kind="stable")
    means, pooled_right = means[order], pooled_right[order]
    squares = (pooled_right**2).sum(1)
    by_mean = np.argsort(pooled_left.mean(1), kind="stable")
    limit = pooled_left.shape[1] * within**2 + 2  # what rounding of 32-bit numbers may cost
    for start in range(0, len(by_mean), _BLOCK):
        block = by_mean[start : start + _BLOCK]
        some = pooled_left[block]
        low, high = np.searchsorted(means, [some[0].mean() - within - 0.01, some[-1].mean() + within + 0.01])
        distances = (some**2).sum(1)[:, None] + squares[low:high] - 2 * some @ pooled_right[low:high].T
        rows, columns = np.nonzero(distances <= limit)
        ones, others = block[rows], order[low + columns]
        for part in np.array_split(np.arange(len(ones)), len(ones) // _BLOCK + 1):
            differences = _differences(left[ones[part]], right[others[part]])
            for index, difference in zip(part, differences, strict=True):
                if difference <= within:
                    yield int(ones[index]), int(others[index]), float(difference)


def _pooled(images: Images) -> NDArray[np.float32]:
    """float32 (N, 49): the mean of each square."""
    count, side = len(images), images.shape[1] // _POOL
    squares = images.reshape(count, side, _POOL, side, _POOL)
    means: NDArray[np.float32] = squares.mean((2, 4), dtype=np.float32)
    return means.reshape(count, side * side)


def _differences(some: Images, others: Images) -> NDArray[np.float32]:
    """float32 (N,): of each pair the root of the mean squared difference."""
    squares = (some.astype(np.float32) - others.astype(np.float32)) ** 2
    return np.asarray(np.sqrt(squares.mean((1, 2))), np.float32)


def _box_area(ink: NDArray[np.bool_]) -> int:
    """Pixels of the smallest rectangle around the ink; 0 where there is none."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)) if len(rows) else 0
