"""A panel's row of characters, seen at an angle, in a frame, between bands and bolts."""

import time
from contextlib import suppress

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handwriting.errors import ImageError, NoInk
from handwriting.image import Pixels
from handwriting.panel import segment_panel
from handwriting.segment import GEOMETRY, Line, segment

LEFTS = (110, 170, 230, 330, 390)


def panel(is_dark: bool = True) -> Pixels:
    """Five characters on a panel with a band, a frame and bolts, on something that is darker, or lighter, than the panel."""
    board = np.full((110, 480), 225, np.uint8)
    board[:, :50] = 60
    cv2.rectangle(board, (3, 3), (476, 106), 30, 3)
    for x in (159, 300):
        cv2.circle(board, (x, 11), 5, 90, -1)
    for x in LEFTS:
        cv2.ellipse(board, (x + 18, 55), (16, 32), 0, 0, 360, 25, 9, cv2.LINE_AA)
    around = cv2.copyMakeBorder(board, 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=90)
    return around if is_dark else 255 - around


def seen_at_an_angle(pixels: Pixels) -> tuple[Pixels, NDArray[np.float32]]:
    height, width = pixels.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = np.array([[10, 24], [width - 20, 4], [width - 14, height - 14], [6, height + 20]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved)
    seen = cv2.warpPerspective(pixels, matrix, (width, height + 24), borderMode=cv2.BORDER_CONSTANT, borderValue=90)
    return np.asarray(seen, np.uint8), np.asarray(matrix, np.float32)


def singles(lines: tuple[Line, ...]) -> list[tuple[int, int, int, int]]:
    """The boxes of the hypotheses of one piece that look like a whole ring: a hole inside, and ink all around."""
    found = []
    for line in lines:
        for hypothesis in line.hypotheses:
            mask = (hypothesis.tensor > 127).astype(np.uint8)
            _, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            inside = 0 if hierarchy is None else int((hierarchy[0, :, 3] >= 0).sum())
            if inside == 1 and hypothesis.end - hypothesis.first == 1:
                found.append(hypothesis.box)
    return sorted(set(found))


@pytest.mark.parametrize("is_dark", [True, False], ids=["dark on light", "light on dark"])
def test_each_character_is_a_hypothesis_at_its_place(is_dark: bool) -> None:
    boxes = singles(segment_panel(panel(is_dark)))

    assert [abs(box[0] - 8 - left) <= 6 for box, left in zip(boxes, LEFTS, strict=True)] == [True] * 5
    assert all(24 < box[1] < 34 and 68 < box[3] < 80 for box in boxes)


def test_boxes_are_in_pixels_of_the_picture_that_was_seen_at_an_angle() -> None:
    seen, matrix = seen_at_an_angle(panel())

    boxes = singles(segment_panel(seen))

    middles = np.array([[[left + 26, 63] for left in LEFTS]], np.float32)
    expected = cv2.perspectiveTransform(middles, matrix)[0]
    found = np.array([[box[0] + box[2] / 2, box[1] + box[3] / 2] for box in boxes])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 6


def test_a_given_polarity_holds() -> None:
    assert len(singles(segment_panel(panel(), "dark_on_light"))) == 5


def test_a_cut_through_a_character_costs_more_than_on_paper() -> None:
    board = np.full((110, 300), 225, np.uint8)
    for x in (40, 160):
        cv2.polylines(board, [np.array([[x, 25], [x + 20, 85], [x + 40, 45], [x + 60, 85], [x + 80, 25]])], False, 25, 9)
    cuts = GEOMETRY.index("cuts")

    on_paper, on_panel = (
        [one.geometry[cuts] for line in found for one in line.hypotheses] for found in (segment(board), segment_panel(board))
    )

    assert max(on_paper) > 0
    assert [one for one in on_panel if 0 < one < 2] == []
    assert max(on_panel) > 2
    assert min(on_panel) == 0


def test_without_a_row_it_is_a_field_as_any_other() -> None:
    pixels = np.full((80, 80), 240, np.uint8)
    cv2.ellipse(pixels, (40, 40), (14, 24), 0, 0, 360, 20, 5, cv2.LINE_AA)

    assert [line.box for line in segment_panel(pixels)] == [line.box for line in segment(pixels)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (30, 30)])
def test_a_blank_panel_has_no_ink(shape: tuple[int, int]) -> None:
    with pytest.raises(NoInk):
        segment_panel(np.full(shape, 200, np.uint8))


def test_many_strokes_are_looked_through_in_bounded_time() -> None:
    pixels = np.full((120, 520), 230, np.uint8)
    pixels[8:-8, ::4] = pixels[8:-8, 1::4] = 20
    started = time.monotonic()

    segment_panel(pixels)

    assert time.monotonic() - started < 3  # 0.2 s by itself


def test_noise_is_answered_in_bounded_time_and_without_another_error() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (700, 1500), dtype=np.uint8)

    with suppress(ImageError):
        assert segment_panel(pixels)
