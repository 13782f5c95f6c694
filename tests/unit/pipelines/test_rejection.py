"""What is none of the characters: when it is accepted, and how that is counted, told and shown."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.data.images import LabelledImages
from pipelines.errors import DataError
from pipelines.evaluation import FolderEvaluation, evaluate_folder
from pipelines.metrics import Scores
from pipelines.metrics import evaluate as measure
from pipelines.outlier_report import outlier_rows, outlier_text
from pipelines.picture_report import left_out_rows, verdict, write_picture_report
from pipelines.rejection import (
    OutlierEvaluation,
    accepted,
    by_source,
    comparing_thresholds,
    kept_share,
    most_confident,
    pooled,
    taken_for,
)
from pipelines.report import GateResults, Outliers, write_report

CARD = {"labels": ["a", "b"], "thresholds": [0.7, 0.9]}
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05], [0.6, 0.4], [0.1, 0.9]], np.float32)
"""Of two pictures of characters, then of three of none."""


def draw(path: Path, colour: int = 0) -> None:
    """A bar on paper; nothing where it is white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(image).rectangle((20, 10, 26, 40), fill=colour)
    image.save(path)


def ignore(done: int, total: int) -> None:
    pass


def prepared(_: Path, images: NDArray[np.uint8]) -> Scores:
    return SCORES[-len(images) :]


def whole(folder: Path) -> FolderEvaluation:
    return evaluate_folder(Path("version"), CARD, folder, ignore, prepared)


def outliers_of(evaluation: FolderEvaluation) -> OutlierEvaluation:
    assert evaluation.outliers is not None
    return evaluation.outliers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("pen/a/1.png", "pen/b/1.png", "pen/_none/1.png", "pen/_none/2.png", "web/_none/1.png"):
        draw(tmp_path / "data" / name)
    draw(tmp_path / "data" / "web" / "_none" / "blank.png", colour=255)
    return tmp_path / "data"


def test_an_answer_is_accepted_from_the_threshold_of_its_class_on() -> None:
    scores = np.array([[0.7, 0.3], [0.69, 0.31], [0.1, 0.9], [0.2, 0.8]], np.float32)

    assert accepted(scores, np.array([0.7, 0.9], np.float32)).tolist() == [True, False, True, False]


def test_each_source_has_its_figures(folder: Path) -> None:
    pen, web = by_source(outliers_of(whole(folder)))

    assert (pen.name, pen.images, pen.no_ink, pen.accepted, pen.accepted_share) == ("pen", 2, 0, 1, 0.5)
    assert (web.name, web.images, web.no_ink, web.accepted, web.accepted_share) == ("web", 2, 1, 1, 0.5)
    assert (web.low, web.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_pictures_that_preprocessing_refuses_are_not_accepted(folder: Path) -> None:
    figures = pooled(outliers_of(whole(folder)))

    assert (figures.images, figures.no_ink, figures.accepted) == (4, 1, 2)


def test_the_share_of_right_answers_that_the_thresholds_keep_is_told(folder: Path) -> None:
    outliers = outliers_of(whole(folder))  # right: 0.9 for a, above 0.7; 0.8 for b, below 0.9

    assert outliers.kept == 0.5
    assert "these thresholds keep 50.0 % of the right answers" in outlier_text(outliers)


def test_thresholds_for_comparing_keep_97_of_100_right_answers() -> None:
    confidences = np.linspace(0.51, 1, 100, dtype=np.float32)
    scores = np.stack([confidences, 1 - confidences], axis=1)
    labels = np.zeros(100, np.int64)
    thresholds = comparing_thresholds(scores, labels)

    assert thresholds is not None
    assert kept_share(scores, labels, thresholds) == pytest.approx(0.97)


def test_without_right_answers_there_is_nothing_to_compare_at(tmp_path: Path) -> None:
    draw(tmp_path / "_none" / "1.png")
    outliers = outliers_of(whole(tmp_path))

    assert (outliers.kept, outliers.comparing) == (None, None)
    assert pooled(outliers).accepted_share_comparing is None
    assert outlier_rows(outliers)[1][-1] == ""
    assert "nothing to keep" in outlier_text(outliers)


def test_the_most_confident_accepted_come_first(folder: Path) -> None:
    outliers = outliers_of(whole(folder))

    assert [outliers.pictures[index].name for index in most_confident(outliers)] == ["pen/_none/1.png", "web/_none/1.png"]
    assert taken_for(outliers) == [("a", 1), ("b", 1)]


def test_what_is_no_picture_is_neither_accepted_nor_refused(folder: Path) -> None:
    (folder / "pen" / "_none" / "broken.png").write_bytes(b"no picture")
    evaluation = whole(folder)

    assert pooled(outliers_of(evaluation)).images == 4
    (row,) = left_out_rows(evaluation)
    assert row[0].startswith("pictures of no character that cannot be read; the first, pen/_none/broken.png: ")


def test_a_folder_of_nothing_but_broken_outliers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_none").mkdir()
    (tmp_path / "_none" / "broken.png").write_bytes(b"no picture")

    with pytest.raises(DataError, match=r"none of 1 pictures can be read; the first, _none/broken\.png"):
        whole(tmp_path)


def test_the_report_shows_what_was_accepted(folder: Path, tmp_path: Path) -> None:
    evaluation = whole(folder)
    write_picture_report(tmp_path / "r.html", "title", evaluation)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert verdict(evaluation).endswith("2 of 4 pictures of none of the characters are accepted: 50.00 %.")
    assert "taken for <b>a</b>, 95.0 %" in text
    assert "pen/_none/2.png" not in text


def test_a_training_report_shows_outliers_with_thresholds_and_temperature(tmp_path: Path) -> None:
    images = np.zeros((5, 28, 28), np.uint8)
    test = LabelledImages(images[:2], np.array([0, 1]))
    card = CARD | {
        "name": "letters",
        "preset": "default",
        "seed": 1,
        "temperature": 0.5759,
        "metrics": {"outliers_accepted_keeping_97": 0.25},
        "blessing": {"is_blessed": True, "reasons": []},
    }
    evaluation = measure(SCORES[:2], test.labels)
    write_report(
        tmp_path / "r.html", card, evaluation, test, SCORES[:2], Outliers(images[2:], SCORES[2:]), GateResults([], None, {}, {})
    )
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert "Of 3 images that show none of the classes and were not trained on, 2 (66.7 %) reach" in text
    assert "25.0 % where the thresholds keep 97 %" in text
    assert text.count("<figcaption>taken for ") == 2
    assert "<th>threshold</th>" in text
    assert "<td>90.0 %</td>" in text
    assert "temperature of 0.576" in text
