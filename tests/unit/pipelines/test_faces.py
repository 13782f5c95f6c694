"""The bundled fonts: complete, licensed, on one side of the split each."""

import re
import string
from pathlib import Path

import numpy as np
import pytest

from pipelines.data.faces import BUNDLED, FONT_SETS, GLYPH_SIZE, PLATES, Face, faces, shape
from pipelines.errors import DataError
from pipelines.recipe import load_recipe

ALPHABETS = {"": string.digits + string.ascii_letters, "-jamo": "".join(load_recipe("jamo").labels)}
"""What the names of fonts end in, and the characters that they must have."""


@pytest.mark.parametrize("font_set", FONT_SETS)
def test_every_bundled_font_is_listed_with_a_licence_that_is_there(font_set: str) -> None:
    folder = FONT_SETS[font_set]
    rows = re.findall(r"^\| (\S+\.woff2) \|.*\]\((licences/\S+)\)", (folder / "LICENSES.md").read_text(encoding="utf-8"), re.M)

    assert sorted(name for name, _ in rows) == [face.path.name for face in faces(font_set=font_set)]
    assert {licence for _, licence in rows} == {f"licences/{path.name}" for path in (folder / "licences").iterdir()}


def test_the_bundled_fonts_are_small() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) <= 2_000_000
    assert sum(path.stat().st_size for path in FONT_SETS[PLATES].rglob("*") if path.is_file()) <= 200_000


def characters_of(face: Face) -> str:
    return ALPHABETS["-jamo" if face.path.stem.endswith("-jamo") else ""]


@pytest.mark.parametrize(("suffix", "train", "held_out"), [("", 30, 8), ("-jamo", 12, 3)])
def test_both_sides_of_the_split_have_fonts(suffix: str, train: int, held_out: int) -> None:
    sides = [face.is_held_out for face in faces() if characters_of(face) == ALPHABETS[suffix]]

    assert sum(sides) >= held_out
    assert len(sides) - sum(sides) >= train


@pytest.mark.parametrize("face", faces(), ids=lambda face: face.path.stem)
def test_every_bundled_font_has_all_characters_of_its_alphabet(face: Face) -> None:
    for character in characters_of(face):
        drawn = shape(face, character)
        assert drawn is not None
        assert max(drawn.shape) == GLYPH_SIZE


def test_a_character_that_a_font_lacks_is_none() -> None:
    assert shape(faces()[0], "木") is None
    assert shape(faces()[0], " ") is None


def test_a_folder_adds_its_fonts(tmp_path: Path) -> None:
    (tmp_path / "mine.woff2").write_bytes(faces()[0].path.read_bytes())

    added = faces(str(tmp_path))

    assert len(added) == len(faces()) + 1
    np.testing.assert_array_equal(shape(added[-1], "7"), shape(added[0], "7"))


def test_a_folder_without_fonts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder with fonts; expected files ending in \.woff2"):
        faces(str(tmp_path))


def test_what_is_no_font_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")

    with pytest.raises(DataError, match=r"broken\.ttf"):
        shape(faces(str(tmp_path))[-1], "7")
