"""Pixels of a field → its lines, each a lattice of what may be characters.

Ink is cut more often than characters need: into connected components, and these along seams of little ink. A hypothesis is a
run of neighbouring pieces that may form a character; which runs do is for the recogniser to say (handwriting/reading.py).
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.errors import NoInk, TooManyCharacters
from handwriting.image import Pixels
from handwriting.preprocess import Polarity, Tensor, character_tensor, ink_of

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

_Cut = tuple[float, bool]
"""Stroke widths of ink that a seam runs through, and whether it crosses more than one stroke: that is inside a 0, say."""
_UNCUT: _Cut = (0.0, False)

MOST_HYPOTHESES = 1024
"""On a field: what is asked of the recogniser at once."""

_MOST_COMPONENTS = 1500
_WORKING_SIZE = 1280  # pixels of the longer side while lines are looked for
_WORKING_HEIGHT = 56  # pixels of a character while it is cut
_MOST_PIECES = 5  # in a character
_WIDEST = 2.0  # of a character, in heights of the line's characters
_WIDEST_GAP = 0.3  # inside a character, in heights
_NARROWEST_TO_CUT = 0.45  # in heights: what is narrower is one character or less
_DEAREST_CUT = 3.2  # in stroke widths of ink that a seam runs through
_CHEAP_CUT = 1.4  # in stroke widths: a dearer seam must cost so much less than those beside it:
_CLEAR_CUT = 0.8
_NOTCH = 0.2  # how much narrower a notch is than what lies on both sides, in heights
_SPECK = 0.1  # in heights
_STROKE = 0.15  # in heights: no 1 counts as narrower, for its width is the pen's, which says nothing of what it is
_THINNEST_STROKE = 0.6  # of the line's stroke width: what is thinner is no stroke of the same pen, but a printed bar, say
_SHARED_FROM = 0.9  # stroke widths: along a dearer cut, two characters may share a stroke
_SHARED_WIDTH = 1.6  # of it, in stroke widths
_LATERAL_COST = 0.08  # of a seam's step aside, in pixels of ink


@dataclass(frozen=True)
class Hypothesis:
    """The pieces `first` up to but not including `end` of a line, taken for one character.

    `geometry` describes how much it looks like one among its neighbours: float32 (GEOMETRY,).
    """

    first: int
    end: int
    box: Box
    tensor: Tensor
    geometry: NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A line of text from left to right: how many pieces there are, what they may form, and how each looks by itself."""

    box: Box
    piece_count: int
    hypotheses: tuple[Hypothesis, ...]
    specks: NDArray[np.float32]
    """float32 (piece_count, SPECKS): describes each piece, for telling whether it is no part of any character."""


GEOMETRY = ("one", "height", "height²", "width", "width²", "above", "below", "cuts", "double cuts",
            "joined cut", "joined single", "gap", "overlap", "pieces", "shared")  # fmt: skip
SPECKS = ("one", "height", "width", "above", "below", "mass", "at edge", "was cut")


@dataclass(frozen=True)
class _Component:
    """Ink and where it lies."""

    x: int
    y: int
    ink: Tensor

    @property
    def height(self) -> int:
        return len(self.ink)

    @property
    def width(self) -> int:
        return int(self.ink.shape[1])

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


@dataclass(frozen=True)
class _Piece(_Component):
    """Part of a component. `left_shared` and `right_shared` are the neighbours' ink along the cut: touching characters may
    share a stroke."""

    component: int
    left_cut: _Cut
    right_cut: _Cut
    centre: float
    left_shared: _Component | None
    right_shared: _Component | None


def segment(pixels: Pixels, polarity: Polarity = "auto") -> tuple[Line, ...]:
    """The lines of the field, in reading order; boxes in pixels of the given image.

    Raises:
        NoInk: nothing stands out from the paper as characters do.
        TooManyCharacters: what may be a character is more than MOST_HYPOTHESES.
    """
    small = _resized(pixels, _WORKING_SIZE / max(pixels.shape))
    ink = _without_frame(ink_of(small, polarity, min(small.shape)))
    components = _components(ink)
    height = _character_height(components)
    if height > _WORKING_HEIGHT:
        ink = _resized(ink, _WORKING_HEIGHT / height)
        components = _components(ink)
    scale = (pixels.shape[1] / ink.shape[1], pixels.shape[0] / ink.shape[0])
    lines = [_line(row, scale, ink.shape) for row in _rows(components)]
    found = tuple(line for line in lines if line is not None)
    if not found:
        raise NoInk("nothing on the image stands out from its background as characters do")
    count = sum(len(line.hypotheses) for line in found)
    if count > MOST_HYPOTHESES:
        raise _too_many(f"{count:,} places that may hold a character")
    return found


def _too_many(what: str) -> TooManyCharacters:
    return TooManyCharacters(f"the image holds {what}; send a line or a field of it, not a page")


def _resized(pixels: Pixels, scale: float) -> Pixels:
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


# Ruling and frames


def _without_frame(ink: Tensor) -> Tensor:
    """Without long straight lines; strokes that cross them stay whole."""
    height, width = ink.shape
    mask = (ink > 80).astype(np.uint8)
    rules = _rules(mask, max(24, int(0.45 * width)))
    rows = np.flatnonzero(rules.any(axis=1))
    is_boxed = rows.size > 1 and rows[-1] - rows[0] > 0.5 * height
    posts = _rules(mask.T, max(24, int(0.85 * (rows[-1] - rows[0]) if is_boxed else 0.95 * height))).T
    if not is_boxed:
        rim = max(2, int(0.04 * width))
        posts[:, rim:-rim] = 0
    lines = cv2.dilate(rules, np.ones((3, 1), np.uint8)) | cv2.dilate(posts, np.ones((1, 3), np.uint8))
    return np.where(lines > 0, 0, ink).astype(np.uint8)


def _rules(mask: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """The pixels of thin, nearly horizontal lines of at least this length, but for those where a stroke crosses."""
    if mask.shape[1] < length:
        return np.zeros_like(mask)
    grown = cv2.dilate(mask, np.ones((3, 1), np.uint8))
    runs = cv2.morphologyEx(
        grown, cv2.MORPH_OPEN, np.ones((1, length), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    lines = _reaching_the_edge(runs & mask)
    if not lines.any():
        return np.asarray(lines, np.uint8)
    columns = lines.sum(axis=0)
    thickness = int(np.ceil(np.median(columns[columns > 0])))
    if thickness > 0.2 * mask.shape[0]:
        return np.zeros_like(mask)
    thickness = min(thickness, 8)
    crossing = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickness + 3, 1), np.uint8))
    return np.asarray(lines & ~crossing & 1, np.uint8)


def _reaching_the_edge(lines: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without those that end inside the image: the flat bottoms of joined characters."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    width = lines.shape[1]
    rim = max(1, int(0.03 * width))
    kept = [i for i in range(1, count) if stats[i, 0] <= rim or stats[i, 0] + stats[i, 2] >= width - rim]
    return np.isin(labels, kept).astype(np.uint8)


# Components and lines


def _components(ink: Tensor) -> list[_Component]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 40).astype(np.uint8), connectivity=8)
    found = []
    for index in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[index])
        if area < 6:
            continue
        window = (slice(y, y + h), slice(x, x + w))
        part = np.where(labels[window] == index, ink[window], 0).astype(np.uint8)
        if part.max() > 150:
            found.append(_Component(x, y, part))
    if not found:
        raise NoInk("nothing on the image stands out from its background as characters do")
    if len(found) > _MOST_COMPONENTS:
        raise _too_many(f"{len(found):,} strokes")
    return found


def _character_height(components: list[_Component]) -> float:
    """The height of a typical character: the median of what is not much lower than the highest."""
    heights = np.array([component.height for component in components])
    return float(np.median(heights[heights >= 0.4 * heights.max()]))


def _rows(components: list[_Component]) -> list[list[_Component]]:
    """The components of each line, from top to bottom: those that overlap a line's tall ones in height belong to it."""
    height = _character_height(components)
    tall = sorted((item for item in components if item.height >= 0.5 * height), key=lambda item: item.y + item.bottom)
    rows: list[list[_Component]] = []
    for item in tall:
        row = next((row for row in rows if _is_beside(item, row)), None)
        if row is None:
            rows.append([item])
        else:
            row.append(item)
    rows.sort(key=_middle)
    bottom = max(item.bottom for item in components)
    for item in components:
        is_rule = item.height < 0.12 * height and item.width > 3 * item.height and not 0.1 < item.y / bottom < 0.9
        if is_rule or item.height >= 0.5 * height or max(item.height, item.width) < _SPECK * height:
            continue
        nearest = min(rows, key=lambda row: abs((item.y + item.bottom) / 2 - _middle(row)))
        if abs((item.y + item.bottom) / 2 - _middle(nearest)) < 0.85 * height:
            nearest.append(item)
    return rows


def _is_beside(item: _Component, row: list[_Component]) -> bool:
    top, bottom = np.median([other.y for other in row]), np.median([other.bottom for other in row])
    return bool(min(item.bottom, bottom) - max(item.y, top) > 0.4 * min(item.height, bottom - top))


def _middle(row: list[_Component]) -> float:
    return float(np.mean([(item.y + item.bottom) / 2 for item in row]))


def _line(row: list[_Component], scale: tuple[float, float], shape: tuple[int, ...]) -> Line | None:
    height = _character_height(row)
    tall = [item for item in row if item.height >= 0.5 * height]
    top = float(np.median([item.y for item in tall]))
    bottom = float(np.median([item.bottom for item in tall]))
    stroke = _stroke_width(tall)
    pieces = [piece for index, item in enumerate(row) for piece in _cut(item, index, height, stroke)]
    pieces.sort(key=lambda piece: piece.centre)
    hypotheses = []
    for first in range(len(pieces)):
        for end in range(first + 1, min(first + _MOST_PIECES, len(pieces)) + 1):
            for shared in _sharings(pieces[first], pieces[end - 1]):
                if found := _hypothesis(pieces, first, end, shared, (top, bottom, height), stroke, scale):
                    hypotheses.append(found)
    if not hypotheses:
        return None
    specks = np.stack([_as_speck(piece, (top, bottom, height), shape) for piece in pieces])
    box = _scaled(
        min(piece.x for piece in pieces), min(piece.y for piece in pieces),
        max(piece.right for piece in pieces), max(piece.bottom for piece in pieces), scale,
    )  # fmt: skip
    return Line(box, len(pieces), tuple(hypotheses), specks)


def _stroke_width(components: list[_Component]) -> float:
    """In pixels: twice the area by the outline's length, near enough."""
    ink = sum(float((item.ink > 127).sum()) for item in components)
    outline = sum(float(np.abs(np.diff(np.pad(item.ink > 127, 1).astype(np.int8), axis=1)).sum()) for item in components)
    outline += sum(float(np.abs(np.diff(np.pad(item.ink > 127, 1).astype(np.int8), axis=0)).sum()) for item in components)
    return max(1.0, 2.4 * ink / max(outline, 1.0))


# Pieces


def _cut(component: _Component, index: int, height: float, stroke: float) -> list[_Piece]:
    """The component in pieces, cut along seams through little ink."""
    ink = component.ink
    columns, costs, seams = _seams(ink, height, stroke) if component.width > _NARROWEST_TO_CUT * height else _NO_SEAMS
    part_of = (np.arange(component.width)[None, :, None] > seams[:, None, :]).sum(axis=2) if len(columns) else None
    cuts = [_UNCUT, *costs, _UNCUT]
    pieces = []
    for part in range(len(columns) + 1):
        own = component if part_of is None else _part(component, part_of == part)
        if own is None:
            continue
        mass = own.ink.sum(axis=0, dtype=np.float64)
        centre = own.x + float((mass * np.arange(mass.size)).sum() / mass.sum())
        before = _beyond(component, seams, part - 1, -_SHARED_WIDTH * stroke) if cuts[part][0] > _SHARED_FROM else None
        after = _beyond(component, seams, part, _SHARED_WIDTH * stroke) if cuts[part + 1][0] > _SHARED_FROM else None
        pieces.append(_Piece(own.x, own.y, own.ink, index, cuts[part], cuts[part + 1], centre, before, after))
    return pieces


def _part(component: _Component, mask: NDArray[np.bool_]) -> _Component | None:
    """The component's ink under the mask, None where there is none."""
    own = np.where(mask, component.ink, 0).astype(np.uint8)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    if not rows.size:
        return None
    inside = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _Component(component.x + int(columns[0]), component.y + int(rows[0]), inside)


def _beyond(component: _Component, seams: NDArray[np.int64], seam: int, reach: float) -> _Component | None:
    """The component's ink up to so many pixels to the right of the seam, or to its left where `reach` is negative."""
    distance = np.arange(component.width)[None, :] - seams[:, seam, None]
    return _part(component, (distance > min(reach, 0)) & (distance <= max(reach, 0)))


_Seams = tuple[list[int], list[_Cut], NDArray[np.int64]]
_NO_SEAMS: _Seams = ([], [], np.zeros((0, 0), np.int64))


def _seams(ink: Tensor, height: float, stroke: float) -> _Seams:
    """Where to cut: columns at half height, what each seam cuts, and the seams, int (height, count).

    A seam runs from top to bottom through as little ink as it can, a step aside at most in each row. Two may join, but never
    cross.
    """
    rows, width = ink.shape
    half = rows // 2
    cost = ink.astype(np.float32) * np.float32(1 / 255)
    upper, lower = _costs(cost[: half + 1]), _costs(cost[: half - 1 if half else None : -1])
    total = upper[-1] + lower[-1] - cost[half]
    reach = max(2, round(0.09 * height))
    lowest = -cv2.dilate(-total[None, :], np.ones((1, 2 * reach + 1), np.uint8), borderType=cv2.BORDER_REPLICATE)[0]
    wide = max(reach, round(0.25 * height))
    around = cv2.dilate(total[None, :], np.ones((1, 2 * wide + 1), np.uint8), borderType=cv2.BORDER_REPLICATE)[0]
    is_clear = (total < _CHEAP_CUT * stroke) | (around - total > _CLEAR_CUT * stroke)
    candidates = np.flatnonzero((total <= lowest + 1e-6) & (total < _DEAREST_CUT * stroke) & is_clear)
    low, high = 0.08 * height, width - 0.08 * height
    chosen = _apart(candidates.tolist(), reach, low, high)
    notches = _apart([x for x in _notches(ink, height) if all(abs(x - other) > reach for other in chosen)], reach, low, high)
    if not chosen and not notches:
        return _NO_SEAMS
    start = np.array(chosen, np.int64)
    seams = np.concatenate([_paths(upper, start)[:-1], _paths(lower, start)[::-1]])
    seams = np.concatenate([seams, np.tile(np.array(notches, np.int64), (rows, 1))], axis=1)
    chosen += notches
    order = np.argsort(chosen, kind="stable")
    chosen, seams = [chosen[index] for index in order], seams[:, order]
    parts = (np.arange(width)[None, :, None] > seams[:, None, :]).sum(axis=2)
    masses = np.bincount(parts.ravel(), cost.ravel(), len(chosen) + 1)
    least = 0.35 * stroke * height * 0.5
    kept: list[int] = []
    mass = 0.0
    for index in range(len(chosen)):
        mass += masses[index]
        if mass >= least and masses[index + 1 :].sum() >= least:
            kept.append(index)
            mass = 0.0
    crossed = np.take_along_axis(cost, seams, axis=1) > 0.3
    crossings = np.diff(crossed.astype(np.int8), axis=0, prepend=0) > 0
    cuts = [(float(total[chosen[index]]) / stroke, bool(crossings[:, index].sum() > 1)) for index in kept]
    return [chosen[index] for index in kept], cuts, seams[:, kept]


def _costs(cost: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least ink on the way from the first row to each pixel."""
    table = cost.copy()
    for row in range(1, len(table)):
        before = table[row - 1]
        best = before.copy()
        np.minimum(best[1:], before[:-1] + _LATERAL_COST, out=best[1:])
        np.minimum(best[:-1], before[1:] + _LATERAL_COST, out=best[:-1])
        table[row] += best
    return table


def _paths(table: NDArray[np.float32], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cheapest ways from the first row to the columns `start` of the last: int (rows, count)."""
    width = table.shape[1]
    path = np.empty((len(table), len(start)), np.int64)
    path[-1] = column = start
    for row in range(len(table) - 2, -1, -1):
        before = np.concatenate([[np.inf], table[row], [np.inf]])
        ways = np.stack([before[column + 1], before[column] + _LATERAL_COST, before[column + 2] + _LATERAL_COST])
        column = np.clip(column + np.array([0, -1, 1])[ways.argmin(axis=0)], 0, width - 1)
        path[row] = column
    return path


def _notches(ink: Tensor, height: float) -> list[int]:
    """Columns where the outline narrows from above and below: between two 0 that share a side, where no seam is cheap."""
    mask = ink > 127
    rows = np.arange(ink.shape[0])[:, None]
    extent = np.where(mask, rows, -1).max(axis=0) - np.where(mask, rows, ink.shape[0]).min(axis=0)
    reach = max(3, round(0.2 * height))
    kernel = np.ones((1, 2 * reach + 1), np.uint8)
    profile = extent[None, :].astype(np.float32)
    lowest = cv2.erode(profile, kernel[:, reach // 2 : -(reach // 2)], borderType=cv2.BORDER_REPLICATE)[0]
    beside = [cv2.dilate(profile, kernel[:, reach:], anchor=(at, 0), borderType=cv2.BORDER_REPLICATE)[0] for at in (0, reach)]
    depth = np.minimum(*beside) - profile[0]
    return np.flatnonzero((profile[0] <= lowest) & (depth > _NOTCH * height)).tolist()


def _apart(candidates: list[int], reach: int, low: float, high: float) -> list[int]:
    """One of each run of equal candidates: its middle."""
    runs: list[list[int]] = []
    for x in candidates:
        if runs and x - runs[-1][-1] <= reach:
            runs[-1].append(x)
        else:
            runs.append([x])
    middles = [run[len(run) // 2] for run in runs]
    return [x for x in middles if low <= x <= high]


# Hypotheses


def _sharings(first: _Piece, last: _Piece) -> list[list[_Component]]:
    """The ink of neighbours that a run of pieces may take beside its own."""
    left, right = first.left_shared, last.right_shared
    choices = [[], [left] if left else None, [right] if right else None, [left, right] if left and right else None]
    return [choice for choice in choices if choice is not None]


def _hypothesis(
    pieces: list[_Piece],
    first: int,
    end: int,
    shared: list[_Component],
    frame: tuple[float, float, float],
    stroke: float,
    scale: tuple[float, float],
) -> Hypothesis | None:
    """The pieces as one character, None where they are too wide, too flat or too far apart for one."""
    run = pieces[first:end]
    parts = [*run, *shared]
    top, bottom, height = frame
    x, y = min(part.x for part in parts), min(part.y for part in parts)
    right, low = max(part.right for part in parts), max(part.bottom for part in parts)
    gap = max((b.x - max(p.right for p in run[: i + 1]) for i, b in enumerate(run[1:])), default=0)
    if right - x > _WIDEST * height or gap > _WIDEST_GAP * height or low - y < 0.3 * height:
        return None
    ink = np.zeros((low - y, right - x), np.uint8)
    for part in parts:
        window = ink[part.y - y : part.bottom - y, part.x - x : part.right - x]
        np.maximum(window, part.ink, out=window)
    before, after = pieces[first - 1] if first else None, pieces[end] if end < len(pieces) else None
    left_cut = run[0].left_cut if before and before.component == run[0].component else _UNCUT
    right_cut = run[-1].right_cut if after and after.component == run[-1].component else _UNCUT
    joined = [a.right_cut for a, b in pairwise(run) if a.component == b.component]
    cheapest = min((cut[0] for cut in joined), default=3)
    overlap = max(before.right - x if before else 0, right - after.x if after else 0, 0) / max(right - x, 1)
    is_stroke = ink.sum() >= _THINNEST_STROKE * stroke * 255 * len(ink)
    width = max(right - x, _STROKE * height) if is_stroke else right - x
    tallness, wideness = np.log((low - y) / height), np.log(width / height)
    geometry = np.array(
        [1, tallness, tallness**2, wideness, wideness**2, abs(y - top) / height, abs(low - bottom) / height,
         left_cut[0] + right_cut[0], left_cut[1] + right_cut[1], 3 - cheapest, any(not cut[1] for cut in joined),
         max(gap, 0) / height, min(overlap, 1), len(run) - 1, len(shared)],
        np.float32,
    )  # fmt: skip
    return Hypothesis(first, end, _scaled(x, y, right, low, scale), character_tensor(ink), geometry)


def _as_speck(piece: _Piece, frame: tuple[float, float, float], shape: tuple[int, ...]) -> NDArray[np.float32]:
    top, bottom, height = frame
    at_edge = piece.x == 0 or piece.y == 0 or piece.right == shape[1] or piece.bottom == shape[0]
    mass = float(piece.ink.sum()) / 255 / height**2
    high, wide = piece.ink.shape
    return np.array(
        [1, high / height, wide / height, (piece.y - top) / height, (piece.bottom - bottom) / height, mass, at_edge,
         bool(piece.left_cut[0] or piece.right_cut[0])],
        np.float32,
    )  # fmt: skip


def _scaled(left: int, top: int, right: int, bottom: int, scale: tuple[float, float]) -> Box:
    x, y = round(left * scale[0]), round(top * scale[1])
    return x, y, max(1, round(right * scale[0]) - x), max(1, round(bottom * scale[1]) - y)
