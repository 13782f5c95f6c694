"""How far training data are from those of another version."""

from pathlib import Path

import numpy as np
import pytest

from pipelines import drift
from pipelines.data.images import OUTLIER, OWN, LabelledImages, Lot
from pipelines.errors import DataError


def strokes(count: int, seed: int, darkness: float = 0.8, classes: int = 2, part: str = "train") -> Lot:
    """Upright strokes, 2 to 9 pixels wide and more or less dark."""
    generator = np.random.default_rng(seed)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, width in zip(images, generator.integers(2, 10, count), strict=True):
        image[4:24, 10 : 10 + width] = min(255, 255 * darkness * generator.uniform(0.8, 1.2))
    return Lot(part, OWN, LabelledImages(images, np.arange(count, dtype=np.int64) % classes), "stroke")


def test_other_images_of_the_same_kind_have_not_drifted() -> None:
    before, after = (drift.summarize([strokes(count, seed)], "ab") for count, seed in ((4000, 1), (3000, 2)))

    found = drift.compare(before, after)

    assert {(one.label, one.measure) for one in found} == {
        ("a", "ink"), ("a", "intensity"), ("b", "ink"), ("b", "intensity"), ("", "class shares"),
    }  # fmt: skip
    assert found[0].psi < 0.1
    assert not any(one.exceeds(0.1) for one in found)


def test_paler_ink_is_a_drift_of_every_class_that_has_it() -> None:
    before, after = (drift.summarize([strokes(1000, 1, darkness)], "ab") for darkness in (0.8, 0.5))

    assert {one.label for one in drift.compare(before, after) if one.measure == "intensity" and one.exceeds(0.25)} == {"a", "b"}


def test_few_images_stray_without_having_drifted() -> None:
    before = drift.summarize([strokes(1000, 1)], "ab")
    few = [drift.compare(before, drift.summarize([strokes(24, seed)], "ab")) for seed in range(20)]

    assert max(found[0].psi for found in few) > 0.25
    assert not any(one.exceeds(0.25) for found in few for one in found)


def test_a_class_that_has_become_rare_is_a_drift_of_shares() -> None:
    before, now = strokes(1000, 1), strokes(1000, 2)
    labels = np.where(np.arange(1000) < 950, 0, 1)
    after = Lot("train", OWN, LabelledImages(now.data.images, labels), "stroke")

    found = drift.compare(drift.summarize([before], "ab"), drift.summarize([after], "ab"))

    assert [one.measure for one in found if one.exceeds(0.25)] == ["class shares"]


def test_only_what_both_have_is_compared() -> None:
    before = drift.summarize([strokes(100, 1, classes=3)], "abc")
    after = drift.summarize([strokes(100, 1), Lot("train", "fonts", strokes(50, 2).data, "font")], "bd")

    assert {(one.origin, one.label) for one in drift.compare(before, after)} == {(OWN, "b")}


def test_what_is_in_the_test_and_what_is_no_character_is_not_in_the_summary() -> None:
    outliers = LabelledImages(strokes(10, 3).data.images, np.full(10, OUTLIER))
    lots = [
        strokes(40, 1),
        strokes(30, 2, part="test"),
        strokes(20, 3, part="validation"),
        Lot("train", "outliers", outliers, ""),
    ]

    summary = drift.summarize(lots, "ab")

    assert list(summary) == [OWN]
    assert {label: int(measures["ink"].sum()) for label, measures in summary[OWN].items()} == {"a": 30, "b": 30}


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    summary = drift.summarize([strokes(100, 1)], "aß")
    drift.write(tmp_path / drift.SUMMARY, summary)

    again = drift.read(tmp_path / drift.SUMMARY)

    assert again is not None
    assert [one.psi for one in drift.compare(summary, again)] == [0.0] * 5
    assert drift.read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"bins": {"ink": 16, "intensity": 16}, "histograms": {"source": {"a": {"ink": [1]}}}}']
)
def test_a_damaged_summary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / drift.SUMMARY).write_text(content)

    with pytest.raises(DataError, match=r"data_summary\.json is no summary of training data"):
        drift.read(tmp_path / drift.SUMMARY)
