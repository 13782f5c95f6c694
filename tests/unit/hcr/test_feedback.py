"""`hcr feedback`."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.feedback import FeedbackStore
from handwriting.labels import folder_name
from hcr.main import cli

SENT = (("digits", "7", 100), ("digits", "7", 1), ("digits", "1", 1), ("signs", "/", 9))
"""Model, label, and how many days ago."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images as the gateway stores them."""
    root = tmp_path / "feedback"
    store = FeedbackStore(root, 1 << 20)
    for number, (model, label, days) in enumerate(SENT):
        time = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
        note = {"label": label, "model": model, "version": 1, "time": time, "id": f"id-{number}"}
        store.keep(b"image %d" % number, ".png", Path(model, folder_name(label)), note)
    return root


def hcr(*arguments: str, folder: Path | None = None) -> Result:
    return CliRunner().invoke(cli, ["feedback", *arguments], env={"GATEWAY_FEEDBACK_DIR": str(folder) if folder else None})


def images(folder: Path) -> list[str]:
    return sorted("/".join(path.parts[-3:-1]) for path in folder.rglob("*.png"))


def test_the_images_are_counted_by_model_and_label(folder: Path) -> None:
    told = hcr("list", folder=folder).output.splitlines()

    assert [line.split()[:3] for line in told[1:-1]] == [["digits", "1", "1"], ["digits", "7", "2"], ["signs", "/", "1"]]
    assert told[-1].startswith("4 images, ")


def test_each_image_is_listed_with_its_note(folder: Path) -> None:
    told = hcr("list", "--json", "--model", "digits", "--label", "7", "--folder", str(folder))

    lines = [json.loads(line) for line in told.output.splitlines()]
    assert [line["id"] for line in lines] == ["id-0", "id-1"]
    assert all(Path(line["file"]).is_file() and line["label"] == "7" for line in lines)


def test_what_is_exported_is_what_was_sent(folder: Path, tmp_path: Path) -> None:
    told = hcr("export", str(tmp_path / "out"), "--model", "signs", folder=folder)

    assert told.output == f"copied to {tmp_path / 'out'}: 1 images\n"
    (image,) = (tmp_path / "out").rglob("*.png")
    assert image.relative_to(tmp_path / "out").parent == Path("signs", "%2F")
    assert image.read_bytes() == b"image 3"
    assert json.loads(image.with_suffix(".json").read_bytes())["id"] == "id-3"


def test_what_is_older_goes_with_its_notes_and_the_rest_stays(folder: Path) -> None:
    told = hcr("purge", "--older-than", "90d", folder=folder)

    assert told.output.startswith(f"taken away from {folder}: 1 images, ")
    assert images(folder) == ["digits/1", "digits/7", "signs/%2F"]
    assert len(list(folder.rglob("*.json"))) == 3


@pytest.mark.parametrize(
    ("arguments", "left"),
    [(["--model", "digits"], ["signs/%2F"]), (["--label", "7"], ["digits/1", "signs/%2F"]), (["--all"], [])],
)
def test_what_is_named_goes(folder: Path, arguments: list[str], left: list[str]) -> None:
    assert hcr("purge", *arguments, folder=folder).exit_code == 0

    assert images(folder) == left


@pytest.mark.parametrize("arguments", [[], ["--all", "--model", "digits"], ["--older-than", "long"], ["--older-than", "-1d"]])
def test_nothing_goes_where_it_is_not_said_what(folder: Path, arguments: list[str]) -> None:
    assert hcr("purge", *arguments, folder=folder).exit_code == 2

    assert len(images(folder)) == 4


def test_a_confirmed_image_says_so_in_its_note(folder: Path, tmp_path: Path) -> None:
    (image,) = (folder / "signs").rglob("*.png")

    assert hcr("confirm", str(image)).output == "confirmed: 1 images\n"
    note = json.loads(image.with_suffix(".json").read_bytes())
    assert (note["confirmed"], note["id"], note["label"]) == (True, "id-3", "/")
    assert hcr("confirm", str(tmp_path / "none.png")).exit_code == 1


def test_without_a_folder_nothing_is_done(tmp_path: Path) -> None:
    missing = hcr("list", folder=tmp_path / "none")

    assert (missing.exit_code, "is no folder; GATEWAY_FEEDBACK_DIR" in missing.output) == (1, True)
    assert hcr("list").exit_code == 2
