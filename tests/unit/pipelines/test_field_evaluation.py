"""A version on pictures of fields: what is read, counted, told and shown. The model here knows a ring from a cross."""

import re
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gateway.batching import Batcher
from gateway.budget import Baton, Deadline, PixelBudget
from gateway.catalogue import Catalogue, Classes
from gateway.metrics import Metrics, Stages
from gateway.reader import FieldOptions, Reader
from gateway.recognizer import Options
from gateway.split import Releases, Splits
from handwriting.constraint import Constraint
from pipelines import field_evaluation
from pipelines.evaluation import FolderEvaluation, evaluate_folder
from pipelines.field_evaluation import (
    FieldEvaluation,
    by_source,
    edit_distance,
    lengths,
    mean,
    pooled,
    unknown_characters,
    worst_errors,
)
from pipelines.field_report import field_rows
from pipelines.metrics import Scores
from pipelines.picture_report import left_out_rows, verdict, write_picture_report

CARD = {"labels": ["0", "+"], "thresholds": [0.5, 0.99]}
FIELDS = {"form/1.png": "0++0", "form/2.png": "+00+", "scan/1.png": "+0+"}


def write(path: Path, text: str) -> None:
    """Rings and crosses, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (60 * len(text) + 40, 100), 255)
    pen = ImageDraw.Draw(image)
    for place, character in enumerate(text):
        left = 30 + 60 * place
        if character == "0":
            pen.ellipse((left, 20, left + 36, 80), outline=0, width=6)
        else:
            pen.rectangle((left + 15, 20, left + 20, 80), fill=0)
            pen.rectangle((left, 47, left + 36, 52), fill=0)
    image.save(path)


def rings_and_crosses(_: Path, images: NDArray[np.uint8]) -> Scores:
    """Both reach all four sides, and a ring is hollow; of anything else it is not sure at all."""
    ink = images > 100
    row, column = ink[:, 13:15].any(1), ink[:, :, 13:15].any(2)
    reaches = np.all([end.any(1) for end in (row[:, :11], row[:, 17:], column[:, :8], column[:, 20:])], axis=0)[:, None]
    is_hollow = ~ink[:, 11:17, 13:15].any((1, 2))[:, None]
    return np.select([reaches & is_hollow, reaches], [[0.98, 0.02], [0.02, 0.98]], [0.5, 0.5]).astype(np.float32)


def ignore(done: int, total: int) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three fields, one of which has a wrong label; a blank one; one with characters that the model lacks."""
    folder = tmp_path / "data"
    for name, text in FIELDS.items():
        write(folder / name, text)
    Image.new("L", (200, 60), 255).save(folder / "scan" / "blank.png")
    rows = ["form/1.png,0++0,form", "form/2.png,+00+0,form", "scan/1.png,+0+,scan", "scan/blank.png,++,scan"]
    rows += ["scan/1.png,+a-a,scan"]
    (folder / "labels.csv").write_text("\n".join(["path,label,source,kind", *(f"{row},strings" for row in rows)]))
    return folder


@pytest.fixture
def whole(folder: Path) -> FolderEvaluation:
    return evaluate_folder(Path("version"), CARD, folder, ignore, rings_and_crosses)


@pytest.fixture
def evaluation(whole: FolderEvaluation) -> FieldEvaluation:
    assert whole.fields is not None
    return whole.fields


def test_fields_are_read_without_being_told_their_length(evaluation: FieldEvaluation) -> None:
    assert [(answer.picture.name, answer.text) for answer in evaluation.answers] == [
        ("form/2.png", "+00+"),
        ("form/1.png", "0++0"),
        ("scan/1.png", "+0+"),
    ]


def test_what_is_read_is_what_the_gateway_answers(evaluation: FieldEvaluation) -> None:
    class Serving(Catalogue):
        """Tells of the version here."""

        def __init__(self) -> None:
            pass

        def resolve(self, model: str, version: int | str | None, deadline: Deadline) -> int:
            return 1

        def card_of(self, model: str, version: int, deadline: Deadline) -> dict[str, Any]:
            return CARD

        def classes_of(self, model: str, version: int, deadline: Deadline) -> Classes:
            return Classes(tuple(CARD["labels"]), tuple(CARD["thresholds"]))

        def scores(
            self,
            tensors: NDArray[np.uint8],
            model: str,
            version: int | str | None,
            deadline: Deadline,
            request_ids: Sequence[str] = (),
        ) -> tuple[Scores, int]:
            return rings_and_crosses(Path(), tensors), 1

    catalogue, baton, metrics = Serving(), Baton(), Metrics()
    reader = Reader(
        catalogue,
        Releases(Splits(None), catalogue, metrics),
        Batcher(catalogue, baton, metrics),
        baton,
        PixelBudget(10**6),
        metrics,
    )
    options = FieldOptions(Options("model"), Constraint())

    for answer in evaluation.answers:
        served = reader.read(answer.picture.path.read_bytes(), options, Deadline(60), Stages(monotonic()))
        characters = [character for line in served.lines for character in line.characters]
        assert served.candidates == answer.candidates
        assert tuple(character.box for character in characters) == answer.boxes
        assert any(character.recognition.rejected for character in characters) == answer.is_rejected


def test_each_source_has_its_figures(evaluation: FieldEvaluation) -> None:
    form, scan = by_source(evaluation)

    assert (form.name, form.images, form.unread, form.exact, form.exact_share) == ("form", 2, 0, 1, 0.5)
    assert form.character_error_rate == pytest.approx((0 + 1 / 5) / 2)
    assert (form.too_short, form.too_long) == (1, 0)
    assert (scan.name, scan.images, scan.exact) == ("scan", 2, 1)


def test_a_field_that_cannot_be_read_counts_as_wrong_in_every_character(evaluation: FieldEvaluation) -> None:
    scan = by_source(evaluation)[1]

    assert (scan.unread, scan.exact_share, scan.among_candidates, scan.character_error_rate) == (1, 0.5, 0.5, 0.5)
    assert [item.picture.name for item in evaluation.unread] == ["scan/blank.png"]


def test_the_calibration_is_that_of_the_best_readings_probability(evaluation: FieldEvaluation) -> None:
    form, (first, second, _) = by_source(evaluation)[0], evaluation.answers

    assert form.probability == pytest.approx((first.probability + second.probability) / 2)
    assert 0 < first.probability < 1
    assert pooled(evaluation).ece > 0


def test_a_field_is_rejected_for_one_character_below_its_threshold(folder: Path) -> None:
    rows = ["path,label,kind", "ring.png,00,strings", "both.png,0+,strings"]
    (folder / "labels.csv").write_text("\n".join(rows))
    for name, text in (("ring.png", "00"), ("both.png", "0+")):
        write(folder / name, text)
    evaluation = evaluate_folder(Path("version"), CARD, folder, ignore, rings_and_crosses).fields

    assert evaluation is not None
    assert {answer.text: answer.is_rejected for answer in evaluation.answers} == {"00": False, "0+": True}
    assert (pooled(evaluation).rejected, pooled(evaluation).rejected_wrong) == (1, 0)


def test_boxes_are_those_of_the_characters_in_order(evaluation: FieldEvaluation) -> None:
    answer = evaluation.answers[0]

    assert answer.size == (280, 100)
    assert [abs(box[0] - x) <= 2 for box, x in zip(answer.boxes, (30, 90, 150, 210), strict=True)] == [True] * 4


def test_wrong_lengths_are_counted(evaluation: FieldEvaluation) -> None:
    assert lengths(evaluation) == [(5, 4, 1)]
    assert [answer.picture.name for answer in worst_errors(evaluation)] == ["form/2.png"]


def test_texts_with_characters_that_the_model_lacks_are_left_out_and_told(whole: FolderEvaluation) -> None:
    assert whole.unknown_in_fields == {"a-": 1}
    assert left_out_rows(whole) == [["fields with 'a-', which the model does not know", "1"]]


def test_a_line_break_is_no_unknown_character() -> None:
    assert unknown_characters("12\n3", ["1", "2"]) == "3"


def test_sources_are_averaged(evaluation: FieldEvaluation) -> None:
    assert mean(by_source(evaluation)).exact_share == 0.5
    assert mean(by_source(evaluation)).character_error_rate == pytest.approx((0.1 + 0.5) / 2)


def test_the_model_is_asked_once_for_many_fields_and_each_is_told(folder: Path) -> None:
    asked: list[int] = []
    told: list[tuple[int, int]] = []

    def score(version: Path, images: NDArray[np.uint8]) -> Scores:
        asked.append(len(images))
        return rings_and_crosses(version, images)

    evaluate_folder(Path("version"), CARD, folder, lambda done, total: told.append((done, total)), score)

    assert len(asked) == 1
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_answers_are_the_same_however_many_are_asked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = evaluate_folder(Path("version"), CARD, folder, ignore, rings_and_crosses).fields
    monkeypatch.setattr(field_evaluation, "_AT_ONCE", 1)
    apart = evaluate_folder(Path("version"), CARD, folder, ignore, rings_and_crosses).fields

    assert apart == together


def test_the_table_has_a_row_for_each_source_and_the_sums(evaluation: FieldEvaluation) -> None:
    head, *rows = field_rows(evaluation)

    assert [row[0] for row in rows] == ["form", "scan", "all", "mean over the sources"]
    assert all(len(row) == len(head) for row in rows)
    assert dict(zip(head, rows[1], strict=True))["CER"] == "50.0 %"


def test_the_report_shows_the_field_with_boxes_and_both_texts(whole: FolderEvaluation, tmp_path: Path) -> None:
    write_picture_report(tmp_path / "r.html", "title", whole)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert verdict(whole) == "2 of 4 fields are read exactly: 50.00 %; the mean over 2 sources is 50.00 %."
    assert re.search(r"<b>\+00\+0</b> read as <b>\+00\+</b>, \d+\.\d %", text)
    assert text.count('src="data:image/jpeg;base64,') == 1
    assert "scan/blank.png" in text
    assert "1 of 1 wrong texts have another length than what is written." in text


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("12", "12", 0),
        ("", "12", 2),
        ("123", "13", 1),
        ("13", "123", 1),
        ("kitten", "sitting", 3),
        ("12", "21", 2),
    ],
)
def test_the_edit_distance_counts_insertions_deletions_and_replacements(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance
