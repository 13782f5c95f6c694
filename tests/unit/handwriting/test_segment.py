"""Fields drawn with a pen: which boxes may be characters."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handwriting import segment as segmentation
from handwriting.errors import NoInk, TooManyCharacters
from handwriting.segment import Box, Line, segment

Picture = NDArray[np.uint8]


def paper(width: int = 300, height: int = 80) -> Picture:
    return np.full((height, width), 245, np.uint8)


def zero(picture: Picture, x: int, y: int = 40, pen: int = 5) -> Box:
    """A 0 around (x, y); its box."""
    cv2.ellipse(picture, (x, y), (14, 22), 0, 0, 360, 30, pen, cv2.LINE_AA)
    return x - 14 - pen // 2, y - 22 - pen // 2, 29 + pen - 1, 45 + pen - 1


def one(picture: Picture, x: int, y: int = 40, pen: int = 5) -> Box:
    cv2.line(picture, (x, y - 22), (x, y + 22), 30, pen, cv2.LINE_AA)
    return x - pen // 2, y - 22 - pen // 2, pen, 44 + pen


def is_near(found: Box, box: Box, pixels: float = 5) -> bool:
    """Whether no side is further off than so many pixels."""
    left, top, width, height = np.subtract(found, box)
    return max(abs(left), abs(top), abs(left + width), abs(top + height)) <= pixels


def has(lines: tuple[Line, ...], box: Box, pixels: float = 5) -> bool:
    return any(is_near(hypothesis.box, box, pixels) for line in lines for hypothesis in line.hypotheses)


def test_separate_characters_are_pieces_in_reading_order() -> None:
    picture = paper()
    boxes = [zero(picture, 40), one(picture, 90), zero(picture, 140), one(picture, 200)]

    (line,) = segment(picture)

    singles = [hypothesis for hypothesis in line.hypotheses if hypothesis.end - hypothesis.first == 1]
    assert line.piece_count == 4
    assert [is_near(found.box, box) for found, box in zip(singles, boxes, strict=True)] == [True] * 4
    assert all(found.tensor.shape == (28, 28) and found.tensor.dtype == np.uint8 for found in line.hypotheses)


def test_touching_characters_are_cut() -> None:
    picture = paper()
    boxes = [zero(picture, 100), zero(picture, 130)]
    cv2.line(picture, (110, 60), (125, 60), 30, 4)

    lines = segment(picture)

    assert [has(lines, box) for box in boxes] == [True, True]


def test_a_broken_character_can_be_joined() -> None:
    picture = paper()
    box = zero(picture, 100)
    picture[:, 99:103] = 245
    one(picture, 200)

    assert has(segment(picture), box)


@pytest.mark.parametrize("slope", [0, 3])
def test_ruling_is_removed(slope: int) -> None:
    picture = paper()
    boxes = [zero(picture, 60), zero(picture, 120), one(picture, 180)]
    cv2.line(picture, (0, 60), (299, 60 + slope), 90, 2)

    lines = segment(picture)

    assert [has(lines, box) for box in boxes] == [True] * 3


def test_a_thin_pen_makes_a_1_no_narrower_but_a_bar_is_none_of_its_strokes() -> None:
    def wideness(pen: int, bar: int) -> float:
        """Of a straight line among characters of that pen."""
        picture = np.full((220, 700), 235, np.uint8)
        for x in (150, 550):
            cv2.ellipse(picture, (x, 110), (60, 90), 0, 0, 360, 20, pen, cv2.LINE_AA)
        cv2.line(picture, (350, 25), (350, 195), 20, bar, cv2.LINE_AA)
        (line,) = segment(picture)
        (found,) = [one for one in line.hypotheses if 330 < one.box[0] < 370 and one.box[2] < 40]
        return float(found.geometry[segmentation.GEOMETRY.index("width")])

    thin, thick = wideness(4, 4), wideness(16, 16)
    assert thin == pytest.approx(thick, abs=0.01)
    assert wideness(16, 4) < thin - 0.5


def test_a_box_around_the_field_is_removed() -> None:
    picture = paper()
    boxes = [zero(picture, 60), one(picture, 120), zero(picture, 180)]
    cv2.rectangle(picture, (4, 4), (295, 75), 60, 2)

    lines = segment(picture)

    assert [has(lines, box) for box in boxes] == [True] * 3
    assert all(hypothesis.box[2] < 100 for line in lines for hypothesis in line.hypotheses)


def test_a_comma_is_no_character_by_itself() -> None:
    picture = paper()
    zero(picture, 60)
    cv2.line(picture, (100, 60), (97, 70), 30, 4, cv2.LINE_AA)
    zero(picture, 140)

    (line,) = segment(picture)

    assert line.piece_count == 3
    assert not has((line,), (95, 58, 8, 14))


def test_lines_come_from_top_to_bottom() -> None:
    picture = paper(height=200)
    lower = [zero(picture, 60, 150), zero(picture, 120, 150)]
    upper = [zero(picture, 70, 50), one(picture, 130, 50)]

    first, second = segment(picture)

    assert [has((first,), box) for box in upper] == [True, True]
    assert [has((second,), box) for box in lower] == [True, True]


@pytest.mark.parametrize(
    "changed",
    [
        lambda picture: 255 - picture,
        lambda picture: (picture * np.linspace(1, 0.45, picture.shape[1])[None]).astype(np.uint8),
        lambda picture: (picture.astype(np.int16) // 4 + 150).astype(np.uint8),
    ],
    ids=["light on dark", "uneven light", "pale"],
)
def test_light_and_polarity_change_nothing(changed: object) -> None:
    picture = paper()
    boxes = [zero(picture, 60), one(picture, 120), zero(picture, 180)]

    lines = segment(changed(picture))  # type: ignore[operator]

    assert [has(lines, box) for box in boxes] == [True] * 3


def test_boxes_are_in_pixels_of_the_given_image() -> None:
    picture = paper()
    box = zero(picture, 60)
    one(picture, 150)
    large = cv2.resize(picture, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)

    assert has(segment(large), (6 * box[0], 6 * box[1], 6 * box[2], 6 * box[3]), 6 * 5)


def test_a_blank_field_is_refused() -> None:
    with pytest.raises(NoInk):
        segment(paper())


def test_a_field_of_specks_is_refused_or_bounded() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 900)).astype(np.uint8)

    try:
        lines = segment(noise)
    except (NoInk, TooManyCharacters):
        return
    assert sum(len(line.hypotheses) for line in lines) <= segmentation.MOST_HYPOTHESES


def test_a_page_is_refused() -> None:
    page = paper(2000, 2400)
    for y in range(40, 2380, 70):
        for x in range(30, 1980, 50):
            zero(page, x, y)

    with pytest.raises(TooManyCharacters, match="not a page"):
        segment(page)
