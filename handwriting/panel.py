"""Pixels of a cropped panel, such as a number plate → its row of characters, as a lattice like that of a field on paper.

A panel has a frame, bands, bolts and seals, is seen at an angle, and stands out from what it is fixed to more than its
characters do from it. So the characters are looked for first: ink of like height that stands in a row. What is between the
lines along their tops and bottoms is then looked at from in front.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.contract import PANEL
from handwriting.image import Pixels
from handwriting.preprocess import Polarity
from handwriting.segment import GEOMETRY, Box, Line, segment

_WORKING_WIDTH = 520  # pixels
_HEIGHT = 64  # of a character, looked at from in front
_LOWEST, _HIGHEST = 0.2, 0.95  # of a character, in heights of the image
_WIDEST = 1.3  # of a character, in its own heights; what is wider may be two that touch
_WIDEST_PAIR = 2.6
_HEIGHTS_ALIKE = 0.22
_OFF_THE_ROW = 0.16  # of a character's middle, in its heights
_STEEPEST = 0.35
_FARTHEST = 2.2  # from one character of the row to the next, in heights
_MARGIN = 0.22  # around the row, in heights
_LEAST = 2  # characters
_CUT = 2.0  # strokes that a cut counts for besides: on a panel, characters seldom touch
_MOST = 40  # boxes that are compared with each other: the largest

_Boxes = NDArray[np.float64]
"""float64 (N, 4): left, top, right, bottom."""


@dataclass(frozen=True)
class _Row:
    """Boxes of characters in a row, and whether they are darker than the panel."""

    boxes: _Boxes
    is_dark: bool
    panel_height: float

    @property
    def worth(self) -> float:
        """How much it looks like a row of characters: how many there are and how high, less how uneven they are.

        The height tells characters from what is inside them, as in a row of 0.
        """
        heights = self.boxes[:, 3] - self.boxes[:, 1]
        return len(self.boxes) + float(heights.mean() / self.panel_height - 4 * heights.std() / heights.mean())


def segmenter(field: object) -> Callable[[Pixels, Polarity], tuple[Line, ...]]:
    """What cuts fields of that kind: the card's value for `contract.FIELD`."""
    return segment_panel if field == PANEL else segment


def segment_panel(pixels: Pixels, polarity: Polarity = "auto") -> tuple[Line, ...]:
    """The line of characters on the panel, boxes in pixels of the given image; as `segment` has it where there is no row.

    Raises:
        NoInk: nothing stands out as characters do.
        TooManyCharacters: what may be a character is more than MOST_HYPOTHESES.
    """
    row = _find_row(pixels, polarity)
    if row is None:
        return segment(pixels, polarity)
    matrix, size = _from_in_front(row.boxes)
    front = np.asarray(
        cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    lines = segment(front, "dark_on_light" if row.is_dark else "light_on_dark")
    return tuple(_moved(line, back, pixels.shape) for line in lines)


def _find_row(pixels: Pixels, polarity: Polarity) -> _Row | None:
    """The row that looks most like characters, boxes in pixels of the image; None where there is none."""
    scale = min(1.0, _WORKING_WIDTH / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.GaussianBlur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
    kinds = {"auto": (True, False), "dark_on_light": (True,), "light_on_dark": (False,)}[polarity]
    rows = [row for is_dark in kinds for share in (0.35, 0.6) if (row := _row(_boxes(small, is_dark, share), is_dark, size[1]))]
    if not rows:
        return None
    best = max(rows, key=lambda row: row.worth)
    scales = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2)
    return replace(best, boxes=best.boxes / scales, panel_height=pixels.shape[0])


def _boxes(pixels: Pixels, is_dark: bool, share: float) -> _Boxes:
    """What stands out from its surroundings, `share` of the image's height wide, and is as high as a character may be."""
    image = pixels if is_dark else 255 - pixels
    height = image.shape[0]
    side = max(3, round(share * height)) | 1
    around = cv2.blur(image.astype(np.float32), (side, side), borderType=cv2.BORDER_REPLICATE)
    squares = cv2.blur(image.astype(np.float32) ** 2, (side, side), borderType=cv2.BORDER_REPLICATE)
    spread = np.sqrt(np.maximum(squares - around**2, 0))
    mask = (image < around - np.maximum(0.15 * spread, 4)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    left, top, wide, high, area = stats[1:].T.astype(np.float64)
    is_possible = (high >= _LOWEST * height) & (high <= _HIGHEST * height) & (wide <= _WIDEST_PAIR * high)
    is_possible &= (area > 0.12 * wide * high) & (high >= 8)
    return np.asarray(np.stack([left, top, left + wide, top + high], axis=1)[is_possible], np.float64)


def _row(boxes: _Boxes, is_dark: bool, panel_height: float) -> _Row | None:
    """The most boxes of like height along one line; None where they are too few."""
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    boxes = boxes[np.sort(np.argsort(-wide * high, kind="stable")[:_MOST])]
    single = boxes[(boxes[:, 2] - boxes[:, 0]) <= _WIDEST * (boxes[:, 3] - boxes[:, 1])]
    best: _Row | None = None
    for first in range(len(single)):
        for second in range(first + 1, len(single)):
            found = _along(boxes, single[first], single[second])
            if found is not None and len(found) >= _LEAST:
                row = _Row(found, is_dark, panel_height)
                best = row if best is None or row.worth > best.worth else best
    return best


def _along(boxes: _Boxes, one: NDArray[np.float64], other: NDArray[np.float64]) -> _Boxes | None:
    """The boxes that stand in a row with these two, from left to right; None where the two stand in none."""
    heights = boxes[:, 3] - boxes[:, 1]
    height, width = (one[3] - one[1] + other[3] - other[1]) / 2, other[0] + other[2] - one[0] - one[2]
    if abs(one[3] - one[1] - other[3] + other[1]) > _HEIGHTS_ALIKE * height or abs(width) < height / 2:
        return None
    slope = (other[1] + other[3] - one[1] - one[3]) / width
    if abs(slope) > _STEEPEST:
        return None
    middles = (boxes[:, [0, 1]] + boxes[:, [2, 3]]) / 2
    off = middles[:, 1] - (one[1] + one[3]) / 2 - slope * (middles[:, 0] - (one[0] + one[2]) / 2)
    is_in = (np.abs(off) < _OFF_THE_ROW * height) & (np.abs(heights - height) < _HEIGHTS_ALIKE * height)
    found = boxes[is_in]
    found = found[np.argsort(found[:, 0])]
    return _without_strays(found, height)


def _without_strays(row: _Boxes, height: float) -> _Boxes:
    """The longest part of the row without a gap that is too wide for one text."""
    if not len(row):
        return row
    gaps = np.flatnonzero(row[1:, 0] - np.maximum.accumulate(row[:, 2])[:-1] > _FARTHEST * height)
    return max(np.split(row, gaps + 1), key=len)


def _from_in_front(boxes: _Boxes) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The map that puts the row upright, its characters _HEIGHT high with a margin around them, and the picture's size."""
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    tops, bottoms = (_fitted(middle, boxes[:, side]) for side in (1, 3))
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    left, right = boxes[:, 0].min() - _MARGIN * height, boxes[:, 2].max() + _MARGIN * height
    corners = []
    for x in (left, right):
        top, bottom = np.polyval(tops, x), np.polyval(bottoms, x)
        corners += [(x, top - _MARGIN * (bottom - top)), (x, bottom + _MARGIN * (bottom - top))]
    high = round(_HEIGHT * (1 + 2 * _MARGIN))
    wide = max(8, round((right - left) * _HEIGHT / height))
    wanted = [(0, 0), (0, high), (wide, 0), (wide, high)]
    matrix = cv2.getPerspectiveTransform(np.array(corners, np.float32), np.array(wanted, np.float32))
    return np.asarray(matrix, np.float64), (wide, high)


def _fitted(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The straight line through most of the points: the medians of the slopes and of the heights (Theil and Sen)."""
    first, second = np.triu_indices(len(x), 1)
    apart = np.abs(x[second] - x[first]) > 1
    slope = float(np.median((y[second] - y[first])[apart] / (x[second] - x[first])[apart])) if apart.any() else 0.0
    return np.array([slope, np.median(y - slope * x)])


def _moved(line: Line, back: NDArray[np.float64], shape: tuple[int, ...]) -> Line:
    """The line with its boxes in pixels of the image that it was taken from, and with cuts that cost more than in writing."""
    hypotheses = tuple(
        replace(one, box=_box_through(one.box, back, shape), geometry=_dearer(one.geometry)) for one in line.hypotheses
    )
    return replace(line, box=_box_through(line.box, back, shape), hypotheses=hypotheses)


def _dearer(geometry: NDArray[np.float32]) -> NDArray[np.float32]:
    """The geometry of a hypothesis, where one that is cut off from its neighbours is less of a character."""
    dearer = geometry.copy()
    cuts = GEOMETRY.index("cuts")
    dearer[cuts] += _CUT if dearer[cuts] > 0 else 0
    return dearer


def _box_through(box: Box, matrix: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    """The box around where the box's corners go, within an image of the shape."""
    x, y, width, height = box
    corners = np.array([[[x, y], [x + width, y], [x, y + height], [x + width, y + height]]], np.float64)
    places = cv2.perspectiveTransform(corners, matrix)[0]
    low = np.clip(places.min(axis=0), 0, [shape[1] - 1, shape[0] - 1])
    high = np.clip(places.max(axis=0), low + 1, [shape[1], shape[0]])
    left, top = round(float(low[0])), round(float(low[1]))
    return left, top, max(1, round(float(high[0])) - left), max(1, round(float(high[1])) - top)
