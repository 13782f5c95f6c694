"""`hcr evaluate` as users start it, on a version of a tiny alphabet."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.network import build
from pipelines.recipe import Network
from pipelines.servable import export
from pipelines.step_process import be_quiet
from tfserving.repository import Repository


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory whose repository holds one version, untrained."""
    be_quiet()
    home = tmp_path_factory.mktemp("home")
    labels, thresholds = ["○", "✕", "木"], [0.1, 0.2, 0.3]
    network = build(Network(channels=(4, 4, 4), blocks=1, dropout=0.0), len(labels))
    card = {"labels": labels, "thresholds": thresholds}
    export(network, 1.0, labels, np.array(thresholds, np.float32), card, home / "exported")
    repository = Repository(home / "model_repo")
    repository.open()
    repository.publish("shapes", home / "exported")
    return home


def hcr(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hcr.main", "evaluate", *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120)


def test_figures_and_a_report_without_library_chatter(home: Path, pictures: Path) -> None:
    done = hcr(home, "shapes", "--data", str(pictures))
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == f"shapes version 1 (stable) on {pictures}"
    assert lines[3].split()[:2] == ["SOURCE", "IMAGES"]
    assert lines[4].split()[:2] == [pictures.name, "125"]
    assert "taken for" in done.stdout
    assert lines[-1] == "report   .hcr/evaluate/shapes-1.html"
    assert "木" in (home / ".hcr/evaluate/shapes-1.html").read_text(encoding="utf-8")


def test_figures_as_json(home: Path, pictures: Path) -> None:
    done = hcr(home, "shapes", "--data", str(pictures), "--version", "1", "--report", "own.html", "--json")
    answer = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (answer["model"], answer["version"], answer["report"]) == ("shapes", 1, "own.html")
    assert answer["pooled"]["images"] == 125
    assert answer["pooled"]["right"] + len(answer["errors"]) == 125
    assert {error["label"] for error in answer["errors"]} <= {"○", "✕", "木"}
    assert (home / "own.html").is_file()


@pytest.fixture(scope="module")
def mixed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose table names characters, a field of three of them, one with a character too many, and a blank sheet."""
    folder = tmp_path_factory.mktemp("mixed")
    shapes = [Image.open(pictures / label / "000.png") for label in ("○", "✕", "木")]
    field = Image.new("L", (3 * 60, 60), 255)
    for place, shape in enumerate(shapes):
        field.paste(shape, (6 + 60 * place, 6))
        shape.save(folder / f"{place}.png")
    field.save(folder / "field.png")
    Image.new("L", (60, 60), 255).save(folder / "blank.png")
    rows = ["0.png,○,single", "1.png,✕,single", "2.png,木,single", "field.png,○✕木,strings", "field.png,○✕木7,strings"]
    (folder / "labels.csv").write_text(
        "\n".join(["path,label,kind", *rows, "blank.png,,none", "0.png,,none"]), encoding="utf-8"
    )
    return folder


def test_fields_and_what_is_none_of_the_characters_are_told(home: Path, mixed: Path) -> None:
    done = hcr(home, "shapes", "--data", str(mixed), "--version", "1", "--report", "mixed.html")

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("SOURCE", "FIELDS", "NONE OF"))] == [
        ["SOURCE", "IMAGES"],
        ["FIELDS", "IMAGES"],
        ["NONE", "OF"],
    ]
    assert "fields with '7', which the model does not know" in done.stdout
    assert "field.png" in (home / "mixed.html").read_text(encoding="utf-8")


def test_fields_and_what_is_none_of_the_characters_are_in_the_json(home: Path, mixed: Path) -> None:
    done = hcr(home, "shapes", "--data", str(mixed), "--version", "1", "--json")
    answer = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (answer["pooled"]["images"], answer["fields"]["pooled"]["images"], answer["none"]["pooled"]["images"]) == (3, 1, 2)
    assert answer["none"]["pooled"]["no_ink"] == 1
    assert answer["fields"]["pooled"]["exact"] + len(answer["fields"]["errors"]) == 1
    assert answer["unknown_characters"] == {"7": 1}


def test_a_damaged_version_is_told_without_a_traceback(home: Path, pictures: Path) -> None:
    repository = Repository(home / "model_repo")
    number = repository.publish("shapes", home / "exported")
    (repository.root / "shapes" / str(number) / "saved_model.pb").write_bytes(b"damaged")
    done = hcr(home, "shapes", "--data", str(pictures), "--version", str(number))

    assert done.returncode == 1
    assert f"shapes/{number} cannot be run: " in done.stderr
    assert "Traceback" not in done.stderr
