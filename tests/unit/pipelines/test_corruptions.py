"""The fixed suite of corruptions."""

import cv2
import numpy as np
import pytest

from pipelines.corruptions import SUITE, corrupted
from pipelines.slices import stroke_widths


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Forty slanted crosses of different sizes."""
    drawn = np.zeros((40, 28, 28), np.uint8)
    for number, image in enumerate(drawn):
        size = 5 + number % 5
        cv2.line(image, (14 - size, 14 + size), (14 + size, 14 - size), 255, 3)
        cv2.line(image, (14 - size, 13), (14 + size, 13), 255, 3)
    return drawn


def test_the_suite_is_what_the_documentation_lists() -> None:
    assert list(SUITE) == ["noise", "blur", "rotation", "scale", "thin", "thick", "contrast", "lines", "fog"]


@pytest.mark.parametrize("name", SUITE)
def test_a_corruption_changes_every_image_and_is_the_same_each_time(name: str, images: np.ndarray) -> None:
    before = images.copy()

    once, again = corrupted(name, images), corrupted(name, images)

    assert (once.shape, once.dtype) == (images.shape, np.uint8)
    assert (once != images).any((1, 2)).all()
    assert (once == again).all()
    assert (images == before).all()


def test_each_corruption_does_what_it_is_called(images: np.ndarray) -> None:
    ink = images.astype(int).sum((1, 2))

    def inked(name: str) -> np.ndarray:
        return corrupted(name, images).astype(int).sum((1, 2))

    assert (stroke_widths(corrupted("thin", images)) < stroke_widths(images)).all()
    assert (stroke_widths(corrupted("thick", images)) > stroke_widths(images)).all()
    assert (inked("scale") < 0.75 * ink).all()
    assert (inked("lines") > ink).all()
    assert corrupted("contrast", images).max() == 89
    assert np.allclose(inked("rotation"), ink, rtol=0.1)
    assert (corrupted("fog", images)[images == 255] >= 150).all()
    assert (np.abs(corrupted("blur", images).astype(int) - images).max((1, 2)) > 50).all()
    assert corrupted("noise", images)[images == 0].std() == pytest.approx(29, abs=3)  # half of a normal distribution of 50
