"""A version on a user's pictures: what is counted, told and shown. The model here knows each picture by its place."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.data.pictures import Picture
from pipelines.errors import DataError, VersionError
from pipelines.evaluation import (
    FolderEvaluation,
    PictureEvaluation,
    by_source,
    confusions,
    evaluate_folder,
    mean,
    pooled,
    worst_errors,
)
from pipelines.metrics import Scores
from pipelines.picture_report import left_out_rows, source_rows, write_picture_report

CARD = {"labels": ["ä", "木"], "thresholds": [0.7, 0.5]}
NAMES = ["photo/ä/1.png", "photo/ä/2.png", "photo/木/1.jpg", "photo/木/2.png", "scan/木/1.png"]  # as they are found
SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55]], np.float32)


def draw(path: Path, is_clear: bool = False) -> None:
    """A bar on paper, or on nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0)) if is_clear else Image.new("RGB", (300, 200), "white")
    ImageDraw.Draw(image).rectangle((120, 30, 150, 150), fill=(20, 20, 90))
    image.save(path)


def prepared(_: Path, images: NDArray[np.uint8]) -> Scores:
    return SCORES[: len(images)]


def ignore(done: int, total: int) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        draw(tmp_path / "data" / name, is_clear=name == "photo/ä/2.png")
    (tmp_path / "data" / "scan" / "ä").mkdir()
    (tmp_path / "data" / "scan" / "ä" / "broken.png").write_bytes(b"no picture")
    draw(tmp_path / "data" / "scan" / "%2F" / "1.png")
    draw(tmp_path / "data" / "stray.png")
    return tmp_path / "data"


@pytest.fixture
def whole(folder: Path) -> FolderEvaluation:
    return evaluate_folder(Path("version"), CARD, folder, ignore, prepared)


@pytest.fixture
def evaluation(whole: FolderEvaluation) -> PictureEvaluation:
    return characters(whole)


def characters(whole: FolderEvaluation) -> PictureEvaluation:
    assert whole.characters is not None
    return whole.characters


def test_each_source_has_its_figures(evaluation: PictureEvaluation) -> None:
    photo, scan = by_source(evaluation)

    assert (photo.name, photo.images, photo.right, photo.unread) == ("photo", 4, 2, 0)
    assert photo.confidence == pytest.approx((0.9 + 0.8 + 0.6 + 0.7) / 4)
    assert photo.ece == pytest.approx((0.1 + 0.8 + 0.6 + 0.3) / 4)
    assert (photo.rejected, photo.rejected_share, photo.rejected_wrong) == (1, 0.25, 1)
    assert (scan.name, scan.images, scan.right, scan.rejected) == ("scan", 2, 1, 0)


def test_a_picture_that_cannot_be_read_counts_as_wrong(evaluation: PictureEvaluation) -> None:
    scan = by_source(evaluation)[1]

    assert (scan.unread, scan.accuracy) == (1, 0.5)
    assert (scan.low, scan.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)
    assert [item.picture.name for item in evaluation.unread] == ["scan/ä/broken.png"]


def test_a_source_of_which_nothing_can_be_read_has_figures(folder: Path) -> None:
    (folder / "fax" / "ä").mkdir(parents=True)
    (folder / "fax" / "ä" / "1.png").write_bytes(b"no picture")
    fax = by_source(characters(evaluate_folder(Path("version"), CARD, folder, ignore, prepared)))[0]

    assert (fax.name, fax.images, fax.unread, fax.accuracy, fax.confidence, fax.ece) == ("fax", 1, 1, 0, 0, 0)


def test_pictures_are_pooled_and_sources_averaged(evaluation: PictureEvaluation) -> None:
    assert (pooled(evaluation).images, pooled(evaluation).accuracy) == (6, 0.5)
    assert mean(by_source(evaluation)).accuracy == 0.5
    assert mean(by_source(evaluation)).rejected_share == 0.125


def test_labels_that_the_model_does_not_know_are_counted_and_named(whole: FolderEvaluation) -> None:
    assert whole.unknown == {"/": 1}
    assert left_out_rows(whole) == [
        ["pictures of '/', which is none of the model's classes", "1"],
        ["pictures in no label's folder", "1"],
    ]


def test_a_character_that_is_merged_into_a_label_is_known(folder: Path) -> None:
    card = CARD | {"merged": {"ä": ["Ä", "/"]}}

    answers = evaluate_folder(Path("version"), card, folder, ignore, lambda _, images: np.full((len(images), 2), 0.5))

    characters = answers.characters
    assert characters is not None
    assert answers.unknown == {}
    named = zip(characters.labels, characters.pictures, strict=True)
    assert [int(label) for label, picture in named if picture.label == "/"] == [0]


def test_errors_come_the_most_confident_first(evaluation: PictureEvaluation) -> None:
    assert [evaluation.pictures[index].name for index in worst_errors(evaluation)] == ["photo/ä/2.png", "photo/木/1.jpg"]
    assert confusions(evaluation) == [("ä", "木", 1), ("木", "ä", 1)]


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    evaluate_folder(Path("version"), CARD, folder, lambda done, total: told.append((done, total)), prepared)

    assert told[-1] == (6, 6)


def test_pictures_of_none_of_the_classes_are_refused(folder: Path) -> None:
    card = {"labels": ["0", "1"], "thresholds": [0.5, 0.5]}

    with pytest.raises(DataError, match="no picture has a label that the model knows; /, ä, 木 there, 0, 1 here"):
        evaluate_folder(Path("version"), card, folder, ignore, prepared)


def test_pictures_of_which_none_can_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ä").mkdir()
    (tmp_path / "ä" / "1.png").write_bytes(b"no picture")

    with pytest.raises(DataError, match=r"none of 1 pictures can be read; the first, ä/1\.png: "):
        evaluate_folder(Path("version"), CARD, tmp_path, ignore, prepared)


@pytest.mark.parametrize("card", [{}, {"labels": ["a", "b"]}, {"labels": ["a", "b"], "thresholds": [0.5]}])
def test_a_version_that_does_not_say_its_classes_is_refused(folder: Path, card: dict[str, object]) -> None:
    with pytest.raises(VersionError, match=r"labels and thresholds|2 labels and 1 thresholds"):
        evaluate_folder(Path("version"), card, folder, ignore, prepared)


def test_a_version_that_cannot_be_run_is_told(folder: Path) -> None:
    def broken(version: Path, images: NDArray[np.uint8]) -> Scores:
        raise RuntimeError("truncated weights")

    with pytest.raises(VersionError, match="version cannot be run: truncated weights"):
        evaluate_folder(Path("version"), CARD, folder, ignore, broken)


def test_scores_of_another_shape_are_refused(folder: Path) -> None:
    with pytest.raises(VersionError, match=r"gives scores \(5, 3\); \(5, 2\) are expected"):
        evaluate_folder(Path("version"), CARD, folder, ignore, lambda _, images: np.ones((len(images), 3), np.float32))


def test_the_table_has_a_row_for_each_source_and_the_sums(evaluation: PictureEvaluation) -> None:
    head, *rows = source_rows(evaluation)

    assert [row[0] for row in rows] == ["photo", "scan", "all", "mean over the sources"]
    assert dict(zip(head, rows[0], strict=True)) == {
        "source": "photo",
        "images": "4",
        "not read": "",
        "right": "50.0 %",
        "95 % interval": "15.0 – 85.0",
        "confidence": "75.0 %",
        "ECE": "45.0 %",
        "rejected": "25.0 %",
        "of those wrong": "1 of 1",
    }


def test_the_report_shows_what_the_model_saw_and_needs_no_other_file(whole: FolderEvaluation, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_picture_report(path, "digits <2> on data", whole)
    text = path.read_text(encoding="utf-8")

    assert "digits &lt;2&gt; on data" in text
    assert (
        len(re.findall(r'<img alt="" class="[a-z ]*" src="data:image/png;base64,', text)) == 4
    )  # two errors, two pictures each
    assert '<img alt="" class="smooth clear"' in text
    assert all(
        said in text for said in ("photo/ä/2.png", "scan/ä/broken.png", "<b>木</b> taken for <b>ä</b>, 60.0 %; rejected")
    )
    assert text.count("<svg") == 3
    assert not any(reference in text for reference in ('src="http', "href=", "url(", "<script"))


def test_a_report_without_errors_says_so(folder: Path, tmp_path: Path) -> None:
    def right(version: Path, images: NDArray[np.uint8]) -> Scores:
        return np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]], np.float32)

    write_picture_report(tmp_path / "r.html", "title", evaluate_folder(Path("v"), CARD, folder, ignore, right))

    assert "every picture that was read is right" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_of_many_classes_the_most_confused_are_plotted(tmp_path: Path) -> None:
    count = 70
    classes = tuple(chr(0x4E00 + index) for index in range(count))
    labels = np.arange(count)
    evaluation = PictureEvaluation(
        classes=classes,
        thresholds=np.zeros(count, np.float32),
        pictures=[Picture(tmp_path / f"{label}.png", f"{label}.png", label, "scan") for label in classes],
        images=np.zeros((count, 28, 28), np.uint8),
        labels=labels,
        scores=np.eye(count, dtype=np.float32)[np.where(labels == 69, 68, labels)],
        unread=[],
    )
    write_picture_report(tmp_path / "r.html", "title", FolderEvaluation(evaluation, None, None, {}, {}, {}))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert "The 60 most confused of 70 classes." in text
    assert f"<b>{classes[69]}</b> taken for <b>{classes[68]}</b>, 100.0 %" in text
