"""Parts of the test images."""

import cv2
import numpy as np
import pytest

from pipelines.slices import slants, slices, stroke_widths


def bar(width: int) -> np.ndarray:
    image = np.zeros((28, 28), np.uint8)
    image[3:25, 10 : 10 + width] = 255
    return image


def stroke(x0: int, x1: int) -> np.ndarray:
    """A line from below at x0 to above at x1."""
    return np.asarray(cv2.line(np.zeros((28, 28), np.uint8), (x0, 24), (x1, 4), 255, 2))


def test_the_width_of_a_stroke_is_measured_in_pixels() -> None:
    widths = stroke_widths(np.stack([bar(2), bar(4), bar(6), np.zeros((28, 28), np.uint8)]))

    assert widths == pytest.approx([2, 4, 6, 0], rel=0.12)


def test_a_character_leans_to_the_side_of_its_top() -> None:
    right, left, upright, blank = slants(np.stack([stroke(9, 19), stroke(19, 9), bar(3), np.zeros((28, 28), np.uint8)]))

    assert right == pytest.approx(26.6, abs=2)
    assert left == pytest.approx(-26.6, abs=2)
    assert abs(upright) < 0.1
    assert blank == 0


def test_every_image_is_in_one_slice_of_each_kind() -> None:
    images = np.stack([stroke(9 + lean, 19 - lean) for lean in range(10)])
    found = slices(np.arange(10) % 2, images, ("a", "b", "never"))

    assert [name for name in found if name.startswith("class")] == ["class a", "class b"]
    for kind in ("class", "stroke", "slant"):
        assert sum(mask.astype(int) for name, mask in found.items() if name.startswith(kind)).tolist() == [1] * 10
    assert found["slant right"].tolist() == [True] * 2 + [False] * 8
    assert found["slant left"].tolist() == [False] * 8 + [True] * 2
