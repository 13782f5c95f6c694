"""Number plates: their fonts, single characters, whole plates, and the patterns of the recipe."""

import string
from pathlib import Path

import numpy as np
import pytest

from handwriting.constraint import Constraint, parse_pattern
from handwriting.errors import ImageError
from handwriting.preprocess import to_tensor
from pipelines.data import plates, rendered
from pipelines.data.faces import PLATES, Face, faces, shape
from pipelines.data.images import OUTLIER
from pipelines.data.whole_plates import LOOKS, plate
from pipelines.recipe import load_recipe

FACES = faces(font_set=PLATES)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.path.stem)
def test_every_font_for_plates_has_every_character(face: Face) -> None:
    assert [one for one in string.ascii_uppercase + string.digits + "-" if shape(face, one) is None] == []


def test_both_sides_of_the_split_have_fonts_for_plates() -> None:
    assert sum(face.is_held_out for face in FACES) >= 3
    assert sum(not face.is_held_out for face in FACES) >= 8


def test_the_font_set_decides_how_characters_are_drawn(tmp_path: Path) -> None:
    made = rendered.fonts(("A", "7"), 20, "", 1, tmp_path, print, PLATES)
    again = rendered.fonts(("A", "7"), 20, "", 1, tmp_path / "again", print, PLATES)
    by_hand = rendered.fonts(("A", "7"), 20, "", 1, tmp_path, print)

    assert (made.images == again.images).all()
    assert (made.images != by_hand.images).any()
    assert np.bincount(made.labels).tolist() == [10, 10]


def test_outliers_of_plates_have_no_label(tmp_path: Path) -> None:
    made = rendered.outliers(("A", "7"), 40, "", 1, tmp_path, print, PLATES)

    assert set(made.labels) == {OUTLIER}


def test_most_pictures_of_a_character_show_it() -> None:
    generator = np.random.default_rng(1)
    character = shape(FACES[0], "8")
    assert character is not None
    refused = 0
    for _ in range(100):
        picture = plates.picture(character, generator, (character, character))
        assert picture.dtype == np.uint8
        try:
            to_tensor(picture)
        except ImageError:
            refused += 1

    assert refused < 5


@pytest.mark.parametrize("country", LOOKS)
def test_a_plate_says_what_its_countrys_pattern_accepts(country: str) -> None:
    constraint = Constraint(pattern=parse_pattern(load_recipe("plates").patterns[country]))
    generator = np.random.default_rng(1)
    for _ in range(10):
        drawn = plate(country, FACES[0], generator)

        state = constraint.step(constraint.start, drawn.text)
        assert state is not None, drawn.text
        assert constraint.accepts(state), drawn.text
        assert drawn.picture.ndim == 3
        assert drawn.picture.shape[1] > drawn.picture.shape[0]


def test_the_same_seed_gives_the_same_plate() -> None:
    first, again = (plate("DE", FACES[1], np.random.default_rng(5)) for _ in range(2))

    assert first.text == again.text
    assert (first.picture == again.picture).all()


@pytest.mark.parametrize(
    ("country", "accepted", "refused"),
    [
        ("DE", ["BAB123", "MX1", "HHAB1234E"], ["B0", "BA0123", "1AB"]),
        ("GB", ["AB12CDE", "YX71OPZ"], ["AB1CDE", "IB12CDE", "AB12CIE"]),
        ("FR", ["AB123CD"], ["AB123CO", "A123BCD", "AB123C"]),
        ("NL", ["G001BB", "GB001B"], ["AB001B", "GB01BB", "GB0001"]),
        ("NL-2008", ["12XXX1", "1XXX12"], ["12ABC1", "XX1212"]),
        ("ES", ["1234BCD"], ["1234ABC", "123BCDF"]),
        ("IT", ["AB123CD"], ["AB123CO"]),
        ("PL", ["WA12345", "KRA9X2Y"], ["W12345", "WA123O5"]),
        ("SE", ["ABC123", "ABC12D"], ["ABC12O", "AIC123"]),
        ("CH", ["ZH123456"], ["ZH", "ZH1234567"]),
        ("BE", ["1ABC234"], ["0ABC234", "ABC1234"]),
        ("US-CA", ["7ABC123"], ["ABC1234"]),
        ("US", ["7ABC123", "ABC12"], ["AB1"]),
    ],
)
def test_a_countrys_pattern_accepts_its_plates_and_not_others(country: str, accepted: list[str], refused: list[str]) -> None:
    constraint = Constraint(pattern=parse_pattern(load_recipe("plates").patterns[country]))

    def satisfies(text: str) -> bool:
        state = constraint.step(constraint.start, text)
        return state is not None and constraint.accepts(state)

    assert [text for text in accepted if not satisfies(text)] == []
    assert [text for text in refused if satisfies(text)] == []
