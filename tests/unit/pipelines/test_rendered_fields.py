"""Rendered fields: where their characters lie, and what the segmenter makes of them."""

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.data import rendered, scenes
from pipelines.data.faces import faces, shape
from pipelines.data.fields import CRAMPED, USUAL, Field, Hand, cut, field
from pipelines.data.images import OUTLIER, LabelledImages


def written(text: str, seed: int) -> Field:
    complete = [face for face in faces() if shape(face, "0") is not None]
    face = complete[seed % 20]
    shapes = [drawn for character in text if (drawn := shape(face, character)) is not None]
    assert len(shapes) == len(text)
    return field(shapes, np.random.default_rng(seed), USUAL)


@pytest.mark.parametrize("seed", range(12))
def test_the_boxes_lie_in_the_picture_from_left_to_right(seed: int) -> None:
    made = written("40718", seed)
    height, width = made.pixels.shape

    assert len(made.boxes) == 5
    for x, y, wide, high in made.boxes:
        assert 0 <= x < x + wide <= width + 1
        assert 0 <= y < y + high <= height + 1
    middles = [x + wide / 2 for x, _, wide, _ in made.boxes]
    assert middles == sorted(middles)


def test_most_characters_are_found_again_by_cutting() -> None:
    found = [{number for _, number in cut(written("40718", seed), np.random.default_rng(seed))} for seed in range(20)]

    assert sum(len(numbers - {None}) for numbers in found) >= 0.85 * 5 * 20


def test_pairs_and_parts_are_outliers() -> None:
    made = [one for seed in range(10) for one in cut(written("888", seed), np.random.default_rng(seed))]

    assert any(number is None for _, number in made)
    assert all(image.shape == (28, 28) and image.any() for image, _ in made)


def test_cramped_characters_stand_closer_than_usual_ones() -> None:
    def gaps(hand: Hand) -> float:
        shapes = [drawn for one in "333333" if (drawn := shape(faces()[3], one)) is not None]
        made = [field(shapes, np.random.default_rng(seed), hand).boxes for seed in range(20)]
        return float(np.mean([(b[0] - a[0] - a[2]) / a[3] for boxes in made for a, b in pairwise(boxes)]))

    assert gaps(CRAMPED) < gaps(USUAL)


def test_a_merged_character_takes_the_sources_images_of_its_label() -> None:
    marks = np.zeros((2, 28, 28), np.uint8)
    marks[0, 4:24, 12:16] = marks[1, 12:16, 4:24] = 255
    own = rendered.Written(("0", "o"), (1, 1), LabelledImages(marks, np.array([0, 1])))

    for made, labels in islice(rendered.written_fields(own, 1, False, USUAL), 5):
        assert len(made.boxes) == len(labels)
        assert set(labels.tolist()) <= {0, 1}


def test_as_many_images_are_cut_as_are_wanted_and_the_same_each_time(tmp_path: Path) -> None:
    source = rendered.fonts(("1", "7"), 20, "", 1, tmp_path, print)
    own = rendered.Written(("1", "7"), (0, 1), source)
    first = rendered.fields(own, 60, "", 1, tmp_path / "one", print)
    again = rendered.fields(own, 60, "", 1, tmp_path / "two", print)

    assert len(first) == 60
    assert set(first.labels.tolist()) == {0, 1, OUTLIER}
    np.testing.assert_array_equal(first.images, again.images)


@pytest.mark.parametrize("seed", range(20))
def test_a_scene_is_a_small_square_picture(seed: int) -> None:
    seen = scenes.scene(np.random.default_rng(seed))

    assert seen.dtype == np.uint8
    assert seen.shape[0] == seen.shape[1]
    assert 32 <= seen.shape[0] <= 128
    assert seen.std() > 0
