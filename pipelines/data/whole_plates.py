"""Whole number plates, rendered to measure on: as a car's plate is cut out of a photo of it.

A plate has its country's colours, proportions and groups of characters, a band, a frame, bolts, seals or hyphens between the
groups, and is seen at an angle and in some light. The typeface is that of the given font, never the country's own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.constraint import Pattern, parse_pattern
from handwriting.image import Pixels
from pipelines.data.faces import Face, Shape, shape
from pipelines.data.plates import Light, as_high, photographed

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PER_MM = 1.3  # pixels
_BAND_MM = 42
_SPACE, _HYPHEN, _SEALS = " ", "-", "o"

Colour = tuple[int, int, int]
"""Red, green, blue."""

_WHITE, _YELLOW, _BLACK, _BLUE = (235, 235, 230), (240, 195, 30), (20, 20, 22), (10, 60, 160)


@dataclass(frozen=True)
class Look:
    """What a country's plates are like."""

    groups: tuple[str, ...]
    """A pattern for each group of characters."""
    separator: str = _SPACE
    """Between the groups; seals are only after the first."""
    colours: tuple[tuple[Colour, Colour], ...] = ((_WHITE, _BLACK),)
    """Background and characters."""
    bands: str = "left"
    """`left`, `both` or nothing: where a blue band is."""
    sign: str = ""
    """On the band."""
    size_mm: tuple[int, int] = (520, 110)
    letter_mm: int = 75
    has_frame: bool = False
    heading: str = ""
    """A line of small letters above."""


_CONSONANTS = "[B-DF-HJ-NP-TV-Z]"
_NO_IOQU = "[A-HJ-NPR-TV-Z]"
LOOKS: dict[str, Look] = {
    "BE": Look(("[1-9]", "[A-Z]{3}", r"\d{3}"), _HYPHEN, ((_WHITE, (150, 25, 35)),), sign="B", has_frame=True),
    "CH": Look(("[A-Z]{2}", r"\d{1,6}"), bands="", has_frame=True),
    "DE": Look(("[A-Z]{1,3}", "[A-Z]{1,2}", r"[1-9]\d{0,3}"), _SEALS, sign="D", has_frame=True),
    "ES": Look((r"\d{4}", "[B-DF-HJ-NPR-TV-Z]{3}"), sign="E", has_frame=True),
    "FR": Look(("[A-HJ-NP-TV-Z]{2}", r"\d{3}", "[A-HJ-NP-TV-Z]{2}"), _HYPHEN, bands="both", sign="F"),
    "GB": Look((r"[A-HJ-PR-Y]{2}\d{2}", "[A-HJ-PR-Z]{3}"), _SPACE, ((_WHITE, _BLACK), (_YELLOW, _BLACK)), "", letter_mm=79),
    "IT": Look((f"{_NO_IOQU}{{2}}", r"\d{3}" + _NO_IOQU + "{2}"), bands="both", sign="I"),
    "NL": Look((_CONSONANTS + "{2}", r"\d{3}", _CONSONANTS), _HYPHEN, ((_YELLOW, _BLACK),), sign="NL", has_frame=True),
    "PL": Look(("[A-Z]{2,3}", "[0-9ACE-HJ-NP-Y]{4,5}"), sign="PL"),
    "SE": Look(("[A-HJ-PR-UW-Z]{3}", r"\d{2}[0-9A-HJ-NPR-UW-Z]"), sign="S"),
    "US-CA": Look(
        (r"\d[A-Z]{3}\d{3}",), _SPACE, ((_WHITE, (25, 40, 110)), ((20, 35, 90), (235, 190, 60)), (_BLACK, _YELLOW)), "",
        size_mm=(305, 152), letter_mm=66, heading="CALIFORNIA",
    ),
}  # fmt: skip
"""By the name of the pattern in the recipe `plates` that their texts satisfy."""


@dataclass(frozen=True)
class Plate:
    """A picture of a plate, and what it says without hyphens and spaces."""

    picture: Pixels
    """uint8 (height, width, 3), red, green, blue."""
    text: str


def plate(country: str, face: Face, generator: np.random.Generator) -> Plate:
    """A plate of the country in that face; the same for the same state of the generator."""
    look = LOOKS[country]
    groups = [_random_text(parse_pattern(group), generator) for group in look.groups]
    flat = _flat(look, groups, face, generator)
    seen = _at_an_angle(flat, generator)
    width = float(np.exp(generator.uniform(np.log(150), np.log(700))))
    return Plate(photographed(seen, width / seen.shape[1], generator), "".join(groups))


def _random_text(pattern: Pattern, generator: np.random.Generator) -> str:
    chosen = [item for item in pattern if not item.is_optional or generator.uniform() < 0.5]
    return "".join(str(generator.choice([one for one in _ALPHABET if one in item.characters])) for item in chosen)


def _flat(look: Look, groups: list[str], face: Face, generator: np.random.Generator) -> Light:
    """The plate from in front, evenly lit: float32 (height, width, 3)."""
    width, height = (round(side * _PER_MM) for side in look.size_mm)
    paper, ink = look.colours[int(generator.integers(len(look.colours)))]
    board = np.empty((height, width, 3), np.float32)
    board[:] = paper
    left, right = _add_bands(board, look, face, generator)
    if look.heading:
        _add_text(board, look.heading, face, round(0.13 * height), (width // 2, round(0.13 * height)), ink)
    _add_bolts(board, generator)
    _add_characters(board, look, groups, face, (left, right), ink)
    if look.has_frame or generator.uniform() < 0.3:
        thick = max(1, round(generator.uniform(1.5, 3.5) * _PER_MM))
        cv2.rectangle(board, (thick, thick), (width - thick, height - thick), ink, thick, cv2.LINE_AA)
    return board


def _add_bands(board: Light, look: Look, face: Face, generator: np.random.Generator) -> tuple[int, int]:
    """Draws the bands; gives where the room between them begins and ends."""
    height, width = board.shape[:2]
    band = round(_BAND_MM * _PER_MM)
    if not look.bands or generator.uniform() < 0.1:
        return 0, width
    board[:, :band] = _BLUE
    for angle in np.arange(12) * np.pi / 6:
        place = (round(band / 2 + 0.3 * band * np.sin(angle)), round(0.32 * height + 0.3 * band * np.cos(angle)))
        cv2.circle(board, place, max(1, round(1.6 * _PER_MM)), _YELLOW, -1, cv2.LINE_AA)
    if look.sign:
        _add_text(board, look.sign, face, round(0.2 * height), (band // 2, round(0.78 * height)), _WHITE)
    if look.bands == "both":
        board[:, width - band :] = _BLUE
        return band, width - band
    return band, width


def _add_bolts(board: Light, generator: np.random.Generator) -> None:
    """None, two or four, above and below the characters or beside them."""
    height, width = board.shape[:2]
    radius = round(generator.uniform(3, 5.5) * _PER_MM)
    margin = radius + round(2.5 * _PER_MM)
    grey = float(generator.uniform(40, 200))
    rows = {0: (), 1: (margin,), 2: (height - margin,), 3: (margin, height - margin)}[int(generator.integers(4))]
    for y in rows:
        for x in (0.22 * width, 0.78 * width):
            cv2.circle(board, (round(x), y), radius, (grey, grey, grey), -1, cv2.LINE_AA)
            cv2.circle(board, (round(x), y), max(1, radius // 3), (grey / 2,) * 3, -1, cv2.LINE_AA)


def _add_characters(board: Light, look: Look, groups: list[str], face: Face, room: tuple[int, int], ink: Colour) -> None:
    """The groups in the middle of the room, as wide as the typeface has them, or narrower where they would not fit."""
    height = round(look.letter_mm * _PER_MM)
    gap, wide_gap = round(9 * _PER_MM), round((46 if look.separator == _SEALS else 24) * _PER_MM)
    total = sum(as_high(_glyph(face, one), height, 1.0).shape[1] for group in groups for one in group)
    gaps = sum((len(group) - 1) * gap for group in groups) + (len(groups) - 1) * wide_gap
    space = room[1] - room[0] - round(24 * _PER_MM)
    stretch = min(1.0, (space - gaps) / total)
    x = (room[0] + room[1] - round(total * stretch) - gaps) // 2
    y = (board.shape[0] - height) // 2 + (round(0.07 * board.shape[0]) if look.heading else 0)
    for number, group in enumerate(groups):
        if number:
            _add_separator(
                board, look.separator if look.separator != _SEALS or number == 1 else _SPACE, x + wide_gap // 2, y, ink
            )
            x += wide_gap
        for index, one in enumerate(group):
            glyph = as_high(_glyph(face, one), height, stretch)
            _blend(board, glyph, x, y, ink)
            x += glyph.shape[1] + (gap if index + 1 < len(group) else 0)


def _add_separator(board: Light, kind: str, x: int, y: int, ink: Colour) -> None:
    """What stands between two groups, about x; y is the top of the characters."""
    middle = board.shape[0] // 2
    if kind == _HYPHEN:
        half, thick = round(7 * _PER_MM), round(4.5 * _PER_MM)
        cv2.rectangle(board, (x - half, middle - thick), (x + half, middle + thick), ink, -1)
    elif kind == _SEALS:
        radius = round(17 * _PER_MM)
        for place, colour in ((y + radius, (70, 130, 90)), (y + 3 * radius + 6, (150, 150, 155))):
            cv2.circle(board, (x, place), radius, colour, -1, cv2.LINE_AA)
            cv2.circle(board, (x, place), radius // 2, tuple(value / 2 for value in colour), 2, cv2.LINE_AA)


def _add_text(board: Light, text: str, face: Face, height: int, middle: tuple[int, int], ink: Colour) -> None:
    """The text about that point."""
    glyphs = [as_high(_glyph(face, one), height, 0.9) for one in text]
    x = middle[0] - sum(glyph.shape[1] for glyph in glyphs) // 2 - (len(glyphs) - 1) * height // 10
    for glyph in glyphs:
        _blend(board, glyph, x, middle[1] - height // 2, ink)
        x += glyph.shape[1] + height // 5


def _blend(board: Light, glyph: Shape, x: int, y: int, ink: Colour) -> None:
    share = glyph.astype(np.float32)[..., None] / 255
    part = board[y : y + glyph.shape[0], x : x + glyph.shape[1]]
    part += share[: part.shape[0], : part.shape[1]] * (np.array(ink, np.float32) - part)


def _glyph(face: Face, character: str) -> Shape:
    found = shape(face, character)
    assert found is not None  # LOOKS uses no other characters than the fonts for plates have
    return found


def _at_an_angle(flat: Light, generator: np.random.Generator) -> Light:
    """The plate from beside, above and a little turned, cut out with a margin of the car that it is on."""
    height, width = flat.shape[:2]
    yaw, pitch, roll = np.radians([generator.uniform(-25, 25), generator.uniform(-15, 15), generator.normal(0, 2)])
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]], np.float64) / 2
    places = _projected(corners, yaw, pitch, roll, 3.0 * width)
    low, high = places.min(axis=0), places.max(axis=0)
    margin = generator.uniform(-0.01, 0.06, (2, 2)) * height * 2
    low, high = low - margin[0], high + margin[1]
    corners += np.array([width, height]) / 2
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), (places - low).astype(np.float32))
    car = tuple(float(generator.uniform(10, 230)) for _ in range(3))
    size = (max(8, round(high[0] - low[0])), max(8, round(high[1] - low[1])))
    seen = cv2.warpPerspective(flat, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=car)
    return np.asarray(seen, np.float32)


def _projected(points: NDArray[np.float64], yaw: float, pitch: float, roll: float, distance: float) -> NDArray[np.float64]:
    """Where a camera at that distance sees points (N, 2) of a plane that is turned by the angles."""
    around_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    around_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    solid = np.column_stack([points, np.zeros(len(points))]) @ (around_x @ around_y @ around_z).T
    return np.asarray(solid[:, :2] * distance / (distance + solid[:, 2:]))
