"""A form is found again on scans that are turned, shifted, scaled, noisy and written on."""

from itertools import product

import cv2
import numpy as np
import pytest

from handwriting.errors import FormNotFound
from handwriting.image import Pixels
from handwriting.registration import Matrix, corners, cut_out, find_form

BOX = (540.0, 820.0, 240.0, 60.0)


def form(seed: int = 1, is_sparse: bool = False) -> Pixels:
    """A page with a title, printed words, boxes and rules; a sparse one has little more than boxes."""
    random = np.random.default_rng(seed)
    page = np.full((1130, 800), 250, np.uint8)
    cv2.putText(page, f"Form {seed * 37}", (60, 90), cv2.FONT_HERSHEY_DUPLEX, 1.6, 20, 3)
    for row in range(2 if is_sparse else 12):
        y = 170 + 75 * row
        words = "".join(chr(97 + random.integers(26)) for _ in range(random.integers(5, 14)))
        cv2.putText(page, words, (60, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 30, 2)
        left = int(random.integers(280, 420))
        cv2.rectangle(page, (left, y - 30), (left + 320, y + 15), 60, 2)
    cv2.rectangle(page, (420, 1000), (740, 1060), 60, 2)
    return page


def scanned(page: Pixels, angle: float, scale: float, shift: tuple[float, float], seed: int = 0) -> tuple[Pixels, Matrix]:
    """The page through a scanner at twice the resolution, filled in; and where its pixels are then."""
    height, width = page.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    turn[:, 2] += np.array(shift) * max(page.shape)
    matrix = turn * 2
    filled = page.copy()
    for at in range(6):
        cv2.putText(filled, "4071", (430, 170 + 150 * at), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 1.1, 70, 2)
    scan = cv2.warpAffine(filled, matrix, (2 * width, 2 * height), borderValue=235)
    noise = np.random.default_rng(seed).normal(0, 6, scan.shape)
    return np.clip(scan * 0.92 + noise, 0, 255).astype(np.uint8), matrix


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [
        (0, 1, (0, 0)), (3, 1, (0, 0)), (-3, 1, (0, 0)), (0, 1.05, (0, 0)), (0, 0.95, (0, 0)), (0, 1, (0.05, -0.05)),
        (3, 1.05, (-0.05, 0.05)), (-3, 0.95, (0.05, 0.05)), (1.3, 0.97, (-0.02, 0.04)), (-2.2, 1.03, (0.05, -0.03)),
    ],
)  # fmt: skip
def test_a_form_is_found_again(angle: float, scale: float, shift: tuple[float, float], is_sparse: bool) -> None:
    page = form(is_sparse=is_sparse)
    scan, truth = scanned(page, angle, scale, shift)

    found = find_form(page, scan)

    off = np.array(corners(found, BOX)) - np.array(corners(truth, BOX))
    assert np.abs(off).max() <= 6  # pixels of a scan of 200 dots per inch: 0.8 mm


@pytest.mark.parametrize(("angle", "scale", "right", "down"), [*product((-3, 3), (0.95, 1.05), (-0.05, 0.05), (-0.05, 0.05))])
def test_a_form_is_found_again_where_everything_is_off_at_once(angle: float, scale: float, right: float, down: float) -> None:
    page = form(is_sparse=right == down)
    scan, truth = scanned(page, angle, scale, (right, down))

    found = find_form(page, scan)

    off = np.array(corners(found, BOX)) - np.array(corners(truth, BOX))
    assert np.abs(off).max() <= 6  # as above


def test_another_form_is_told_apart() -> None:
    for seed in (2, 3, 4):
        scan, _ = scanned(np.ascontiguousarray(form(seed)[::-1, ::-1]), 1, 1, (0, 0))
        with pytest.raises(FormNotFound, match="does not look like"):
            find_form(form(1), scan)


def test_a_blank_page_is_no_form() -> None:
    with pytest.raises(FormNotFound):
        find_form(form(), np.full((1000, 700), 240, np.uint8))


def test_a_field_is_cut_out_upright() -> None:
    page = form()
    cv2.putText(page, "12", (560, 870), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 0, 4)
    scan, truth = scanned(page, 3, 1, (0.02, 0))

    field = cut_out(scan, truth, BOX)

    x, y, width, height = (int(side) for side in BOX)
    expected = cv2.resize(page[y : y + height, x : x + width], field.shape[::-1])
    assert np.corrcoef(field.ravel(), expected.ravel())[0, 1] > 0.9
