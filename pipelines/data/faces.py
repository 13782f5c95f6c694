"""Fonts: which there are, on which side of the split each lies, and the shapes of their characters.

The bundled ones, with their licences, lie in `fonts/` (handwriting) and `plate_fonts/` (number plates); a recipe may name a
folder with more.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.errors import DataError
from pipelines.files import sha256_of

BUNDLED = Path(__file__).with_name("fonts")
HANDWRITING, PLATES = "handwriting", "plates"
FONT_SETS = {HANDWRITING: BUNDLED, PLATES: Path(__file__).with_name("plate_fonts")}
"""The bundled fonts that a recipe's `font_set` can name."""
SUFFIXES = (".woff2", ".woff", ".ttf", ".otf")
GLYPH_SIZE = 96
"""The longer side of a shape, in pixels."""

_HELD_OUT_SHARE = 1 / 6
_POINTS = 110

Shape = NDArray[np.uint8]
"""uint8 (height, width), cropped to the ink: ink 255, nothing 0."""


@dataclass(frozen=True)
class Face:
    """One font file."""

    path: Path
    digest: str
    """SHA-256 of the file."""

    @property
    def is_held_out(self) -> bool:
        """Whether its characters are only for the test; decided by the file's name, so that a new font moves no other."""
        return int(sha256_of(self.path.stem.encode())[:8], 16) < _HELD_OUT_SHARE * 2**32


def faces(folder: str = "", font_set: str = HANDWRITING) -> list[Face]:
    """The bundled faces of the set, and those in the folder where one is named, in the order of their names.

    Raises:
        DataError: no such folder, or no font in it.
    """
    paths = _fonts_in(FONT_SETS[font_set])
    if folder:
        if not (own := _fonts_in(Path(folder))):
            raise DataError(f"{folder}: no folder with fonts; expected files ending in {', '.join(SUFFIXES)}")
        paths += own
    return [Face(path, sha256_of(path.read_bytes())) for path in paths]


@lru_cache(maxsize=8192)
def shape(face: Face, text: str) -> Shape | None:
    """The text in that face; None where the face lacks it or leaves it blank.

    Raises:
        DataError: no font can be read from the file.
    """
    font = _font(face)
    if any(_is_missing(face, character) for character in text):
        return None
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(image).text((4 - left, 4 - top), text, fill=255, font=font)
    if (box := image.getbbox()) is None:
        return None
    character = image.crop(box)
    factor = GLYPH_SIZE / max(character.size)
    size = (max(1, round(character.width * factor)), max(1, round(character.height * factor)))
    return np.asarray(character.resize(size, Image.Resampling.BILINEAR), np.uint8)


def cropped(image: Shape) -> Shape:
    """The image cut to its ink; whole where it has none."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else image


def _fonts_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []


@lru_cache(maxsize=512)
def _font(face: Face) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(face.path), _POINTS)
    except OSError as error:
        raise DataError(f"{face.path}: {error}") from None


@lru_cache(maxsize=8192)
def _is_missing(face: Face, character: str) -> bool:
    """Whether the font draws the character as it draws what no font has."""
    drawn, nothing = (_font(face).getmask(one) for one in (character, "\ufffe"))
    return drawn.size == nothing.size and bytes(drawn) == bytes(nothing)
