"""Which pictures are the same."""

import numpy as np

from pipelines.similarity import ALIKE_WITHIN, alike_pairs, equal_groups, has_shape


def noise(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def test_equal_images_are_found_together() -> None:
    images = noise(6)
    images[4] = images[1]
    images[5] = images[1]

    assert equal_groups(images) == [[1, 4, 5]]


def test_the_same_picture_is_found_whatever_coding_changed_and_no_other_is() -> None:
    left, right = noise(40, 1), noise(1200, 2)
    right[700] = np.clip(left[3].astype(int) + 2, 0, 255)
    right[701] = left[39]

    pairs = sorted(alike_pairs(left, right))

    assert [(one, other) for one, other, _ in pairs] == [(3, 700), (39, 701)]
    assert 0 < pairs[0][2] <= 2 < ALIKE_WITHIN
    assert pairs[1][2] == 0


def test_no_pair_is_passed_over_that_comparing_every_pair_finds() -> None:
    generator = np.random.default_rng(5)
    common = generator.integers(0, 256, (28, 28))
    left, right = ((common + generator.normal(0, 4, (30, 28, 28))).clip(0, 255).astype(np.uint8) for _ in range(2))
    within = 5.6

    found = {(one, other) for one, other, _ in alike_pairs(left, right, within)}

    differences = (left[:, None].astype(float) - right[None]) ** 2
    expected = {(int(one), int(other)) for one, other in np.argwhere(np.sqrt(differences.mean((2, 3))) <= within)}
    assert found == expected
    assert 0 < len(expected) < 900


def test_nothing_is_the_same_as_nothing() -> None:
    assert list(alike_pairs(noise(0), noise(3))) == []


def test_a_filled_rectangle_has_no_shape() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 4:24, 4:24] = 255
    images[1, 4:24, 4:24] = 255
    images[1, 10, 10] = 0

    assert has_shape(images).tolist() == [False, True, True]
