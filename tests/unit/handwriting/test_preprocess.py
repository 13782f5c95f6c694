"""The one preprocessing: what it makes of paper and ink."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handwriting.errors import NoInk
from handwriting.preprocess import BOX_SIZE, to_tensor

Picture = NDArray[np.uint8]


def two(size: int = 200, pen: int = 12, paper: int = 255, ink: int = 0) -> Picture:
    """A 2, in the middle of a square."""
    picture = np.full((size, size), paper, np.uint8)
    unit = size / 200
    points = np.array([(65, 75), (80, 50), (110, 45), (135, 65), (125, 100), (65, 155), (140, 155)]) * unit
    cv2.polylines(picture, [points.astype(np.int32).reshape(-1, 1, 2)], False, int(ink), pen, cv2.LINE_AA)
    return picture


def similarity(one: Picture, other: Picture) -> float:
    """The correlation of two tensors, 1 where they are alike."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_character_fills_the_box_and_lies_in_the_middle() -> None:
    tensor = to_tensor(two())

    rows, columns = np.flatnonzero(tensor.any(1)), np.flatnonzero(tensor.any(0))
    weights = tensor / tensor.sum()
    assert tensor.shape == (28, 28)
    assert tensor.dtype == np.uint8
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX_SIZE
    assert (weights.sum(1) * np.arange(28)).sum() == pytest.approx(14, abs=0.51)
    assert (weights.sum(0) * np.arange(28)).sum() == pytest.approx(14, abs=0.51)
    assert tensor.max() > 240
    assert tensor[0, 0] == 0


@pytest.mark.parametrize(
    "picture",
    [
        255 - two(),
        two(paper=180, ink=120),
        two(size=100, pen=6),
        two(size=1200, pen=70),
        np.pad(two(), ((300, 20), (10, 200)), constant_values=255),
    ],
    ids=["light on dark", "pale", "small", "large", "off centre"],
)
def test_the_same_character_gives_the_same_tensor(picture: Picture) -> None:
    assert similarity(to_tensor(picture), to_tensor(two())) > 0.93


def test_a_shadow_across_the_paper_changes_little() -> None:
    light = np.linspace(1.0, 0.45, 200)[None, :] * np.linspace(1.0, 0.7, 200)[:, None]

    tensor = to_tensor((two(paper=235, ink=40) * light).astype(np.uint8))

    assert similarity(tensor, to_tensor(two())) > 0.93


def test_noise_changes_little() -> None:
    noise = np.random.default_rng(3).normal(0, 8, (200, 200))

    tensor = to_tensor(np.clip(two(paper=225, ink=60) + noise, 0, 255).astype(np.uint8))

    assert similarity(tensor, to_tensor(two())) > 0.9


def test_specks_are_left_out() -> None:
    picture = two()
    picture[10:13, 10:13] = 0
    picture[180:182, 190:193] = 0

    assert similarity(to_tensor(picture), to_tensor(two())) > 0.98


def test_a_ruling_through_the_edge_is_left_out() -> None:
    picture = two()
    picture[188:190, :] = 60

    assert similarity(to_tensor(picture), to_tensor(two())) > 0.95


def test_a_fine_pen_is_thickened() -> None:
    fine = to_tensor(two(size=600, pen=3))

    assert fine.max() > 200
    assert similarity(fine, to_tensor(two())) > 0.8


def test_of_several_characters_the_most_central_is_kept() -> None:
    row = np.hstack([np.full((200, 80), 255, np.uint8), two(), np.full((200, 200), 255, np.uint8)])
    row[60:150, 20:32] = 0
    row[60:150, 400:412] = 0

    assert similarity(to_tensor(row), to_tensor(two())) > 0.95


def test_the_polarity_can_be_given() -> None:
    assert np.array_equal(to_tensor(two(), "dark_on_light"), to_tensor(two()))
    assert np.array_equal(to_tensor(255 - two(), "light_on_dark"), to_tensor(two()))


@pytest.mark.parametrize(
    "picture",
    [
        np.full((100, 100), 255, np.uint8),
        np.zeros((28, 28), np.uint8),
        np.full((1, 1), 7, np.uint8),
        np.tile(np.linspace(90, 200, 300).astype(np.uint8), (200, 1)),
    ],
    ids=["white", "black", "one pixel", "a slope of light"],
)
def test_a_blank_image_is_refused(picture: Picture) -> None:
    with pytest.raises(NoInk):
        to_tensor(picture)


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (2, 2), (3, 400), (8, 8)])
def test_an_odd_shape_gives_a_tensor_or_no_ink(shape: tuple[int, int]) -> None:
    picture = np.full(shape, 255, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 0

    try:
        tensor = to_tensor(picture)
    except NoInk:
        return
    assert tensor.shape == (28, 28)
    assert tensor.any()


def test_preprocessing_a_tensor_again_changes_almost_nothing() -> None:
    once = to_tensor(two())

    again = to_tensor(once)

    assert similarity(once, again) > 0.995


def test_the_input_is_left_alone() -> None:
    picture = two()
    before = picture.copy()

    to_tensor(picture)

    assert np.array_equal(picture, before)
