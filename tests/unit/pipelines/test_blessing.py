"""The verdict of the gates, and what publish does with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import PipelineError
from pipelines.metrics import evaluate
from pipelines.recipe import Gates
from pipelines.steps.evaluate import BLESSING, Blessing, bless
from pipelines.steps.publish import publish

SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9]], np.float32)
EVALUATION = evaluate(SCORES, np.array([0, 0, 1, 1]))


def test_a_version_that_passes_every_gate_is_blessed() -> None:
    assert bless(EVALUATION, Gates(accuracy=0.75, recall=0.5, ece=0.5), ("ä", "ö")) == Blessing(True, [])


def test_each_gate_that_is_missed_is_a_reason() -> None:
    blessing = bless(EVALUATION, Gates(accuracy=0.8, recall=0.6, ece=0.1), ("ä", "ö"))

    assert not blessing.is_blessed
    assert blessing.reasons[:2] == ["accuracy is 0.7500; at least 0.8", "recall of 'ö' is 0.5000; at least 0.6"]
    assert blessing.reasons[2].startswith("expected calibration error is 0.")


def challenger(folder: Path, is_blessed: bool) -> Path:
    card = folder / "challenger" / "assets.extra" / "model_card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    (folder / "challenger" / "saved_model.pb").write_bytes(b"graph")
    (folder / BLESSING).write_text(json.dumps({"is_blessed": is_blessed, "reasons": [] if is_blessed else ["accuracy is low"]}))
    return folder / "challenger"


def test_a_blessed_version_gets_the_next_number(tmp_path: Path) -> None:
    source = challenger(tmp_path, is_blessed=True)
    (tmp_path / "repository").mkdir()

    numbers = [publish("shapes", source, tmp_path, tmp_path / "repository") for _ in range(2)]

    assert numbers == [1, 2]
    assert (tmp_path / "repository" / "shapes" / "2" / "saved_model.pb").is_file()


def test_an_unblessed_version_stays_out_and_the_user_learns_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = challenger(tmp_path, is_blessed=False)

    assert publish("shapes", source, tmp_path, tmp_path / "repository") is None
    assert "not published: accuracy is low" in capsys.readouterr().out
    assert not (tmp_path / "repository").exists()


def test_a_repository_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = challenger(tmp_path, is_blessed=True)
    (tmp_path / "repository").write_text("a file")

    with pytest.raises(PipelineError, match=r"cannot publish into .*repository"):
        publish("shapes", source, tmp_path, tmp_path / "repository")
