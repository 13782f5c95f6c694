import numpy as np

from pipelines.data.images import LabelledImages
from pipelines.steps.prepare import split


def labelled(*labels: int) -> LabelledImages:
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    return LabelledImages(images, np.array(labels, np.int64))


def test_each_class_holds_out_its_share() -> None:
    rest, held_out = split(labelled(*[0] * 40, *[1] * 20, *[2] * 3), 0.1, class_count=3)

    assert np.bincount(held_out.labels).tolist() == [4, 2, 1]
    assert np.bincount(rest.labels).tolist() == [36, 18, 2]


def test_no_image_is_lost_or_on_both_sides() -> None:
    rest, held_out = split(labelled(*[0, 1] * 50), 0.2, class_count=2)

    assert sorted([*rest.images[:, 0, 0], *held_out.images[:, 0, 0]]) == list(range(100))


def test_a_class_with_one_image_keeps_it_for_training() -> None:
    rest, held_out = split(labelled(0, 0, 1), 0.2, class_count=2)

    assert 1 in rest.labels
    assert 1 not in held_out.labels
