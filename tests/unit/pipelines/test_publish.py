"""What publish does with the verdict of the gates."""

import json
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.steps.evaluate import BLESSING
from pipelines.steps.publish import publish
from pipelines.steps.validate import VALIDATION
from tfserving import manifest


def challenger(folder: Path, is_blessed: bool) -> Path:
    card = folder / "challenger" / "assets.extra" / "model_card.json"
    card.parent.mkdir(parents=True)
    card.write_text("{}")
    (folder / "challenger" / "saved_model.pb").write_bytes(b"graph")
    (folder / BLESSING).write_text(json.dumps({"is_blessed": is_blessed, "reasons": [] if is_blessed else ["accuracy is low"]}))
    found = {"digest": manifest.digest(folder / "challenger"), "server": "a model server"} if is_blessed else None
    (folder / VALIDATION).write_text(json.dumps(found))
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


def test_a_version_that_is_not_the_one_that_was_tried_is_refused(tmp_path: Path) -> None:
    source = challenger(tmp_path, is_blessed=True)
    (source / "saved_model.pb").write_bytes(b"another graph")

    with pytest.raises(PipelineError, match="is not the one that was tried in a model server"):
        publish("shapes", source, tmp_path, tmp_path / "repository")


def test_a_repository_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = challenger(tmp_path, is_blessed=True)
    (tmp_path / "repository").write_text("a file")

    with pytest.raises(PipelineError, match=r"cannot publish into .*repository"):
        publish("shapes", source, tmp_path, tmp_path / "repository")
