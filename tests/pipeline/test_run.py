"""The whole pipeline on this machine, with a tiny alphabet."""

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from handwriting import contract
from pipelines import drift
from pipelines.dataset import VALIDATION
from pipelines.errors import PipelineFailed, RecipeError
from pipelines.recipe import load_recipe
from pipelines.run import RunResult, run_locally
from pipelines.servable import read_card
from pipelines.steps.prepare import prepare
from tests.pipeline.conftest import drawn
from tfserving.repository import Repository


@dataclass(frozen=True)
class Run:
    result: RunResult
    shown: str
    repository: Path
    work: Path


@pytest.fixture(scope="module")
def blessed(tmp_path_factory: pytest.TempPathFactory, recipe_text: str) -> Run:
    """A run that publishes, made once for all tests here."""
    root = tmp_path_factory.mktemp("run")
    (root / "shapes.toml").write_text(recipe_text, encoding="utf-8")
    program = (
        "import dataclasses, json, sys; from pipelines.run import run_locally;"
        "r = run_locally('shapes.toml', repository='repository', work='work');"
        "open('result.json', 'w').write(json.dumps(dataclasses.asdict(r), default=str))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    fields = json.loads((root / "result.json").read_text())
    fields |= {name: Path(fields[name]) for name in ("report", "data_report", "folder", "evaluation")}
    return Run(RunResult(**fields), done.stdout, root / "repository", root / "work")


def test_a_blessed_version_is_published(blessed: Run) -> None:
    versions = Repository(blessed.repository).versions("shapes")

    assert (blessed.result.version, blessed.result.is_blessed, blessed.result.reasons) == (1, True, [])
    assert [version.number for version in versions] == [1]
    assert blessed.result.metrics["accuracy"] >= 0.5


def test_a_published_version_carries_its_own_card(blessed: Run) -> None:
    card = read_card(blessed.repository / "shapes" / "1")

    assert card["labels"] == ["○", "✕", "木"]
    assert card["metrics"] == blessed.result.metrics
    assert card["blessing"] == {"is_blessed": True, "reasons": []}
    assert card["data"]["counts"]["test"] == {"○": 12, "✕": 8, "木": 5}


def test_the_user_sees_the_steps_and_no_library_chatter(blessed: Run) -> None:
    headings = [line for line in blessed.shown.splitlines() if not line.startswith("  ")]

    assert headings == ["prepare", "train", "evaluate", "validate", "publish"]
    assert blessed.shown.count("  epoch ") == 8
    assert "accuracy" in blessed.shown
    assert not any(noise in blessed.shown for noise in ("tensorflow", "oneDNN", "KFP", "INFO", "Warning", "@@"))


def test_a_version_carries_a_summary_of_its_data_for_the_next_one(blessed: Run, recipe_text: str, pictures: Path) -> None:
    summary = drift.read(blessed.repository / "shapes" / "1" / drift.ASSET)

    assert summary is not None
    counts = read_card(blessed.repository / "shapes" / "1")["data"]["counts"]
    own = {label: counts["train"][label] + counts["validation"][label] for label in ("○", "✕", "木")}
    assert {label: int(measures["ink"].sum()) for label, measures in summary["source"].items()} == own
    assert "Fit to train on." in blessed.result.data_report.read_text(encoding="utf-8")
    prepare(load_recipe(recipe_text), blessed.work / "again", blessed.work / "data", repository=blessed.repository)
    assert "the data of version 1 of shapes" in (blessed.work / "again" / VALIDATION).read_text(encoding="utf-8")


def test_feedback_that_the_stable_version_is_sure_is_wrong_waits_for_a_human(
    blessed: Run, recipe_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = random.Random(11)
    for label, shown, count in (("○", "○", 8), ("✕", "木", 3)):
        folder = tmp_path / "shapes" / label
        folder.mkdir(parents=True)
        for number in range(count):
            drawn(shown, generator).save(folder / f"{number}.png")
    more = f'[data]\nfeedback = "{tmp_path}"\nfeedback_confidence = 0.5'
    recipe = load_recipe(recipe_text.replace("[data]", more, 1))

    prepare(recipe, tmp_path / "data", blessed.work / "data", repository=blessed.repository)

    told = capsys.readouterr().out
    assert "feedback: 3 contradict the stable version where it is sure, and wait for a human:" in told
    assert told.count("sent as ✕, taken for 木 at ") == 3
    report = (tmp_path / "data" / VALIDATION).read_text(encoding="utf-8")
    assert "Feedback to be looked at" in report
    assert f"{tmp_path}/shapes/✕/0.png" in report


def test_every_step_is_timed(blessed: Run) -> None:
    assert list(blessed.result.seconds) == ["prepare", "train", "evaluate", "validate", "publish"]


def test_the_report_needs_no_other_file(blessed: Run) -> None:
    page = blessed.result.report.read_text(encoding="utf-8")

    assert "木" in page
    assert "<svg" in page
    assert not any(reference in page for reference in ('src="http', 'href="', "url(", "<script"))


def test_predictions_are_those_of_the_published_version(blessed: Run) -> None:
    import tensorflow as tf

    predictions = np.load(blessed.result.evaluation / "predictions.npz")
    (images,) = blessed.work.glob("pipeline/*/steps/*/prepare/dataset/test_images.npy")
    version = tf.saved_model.load(str(blessed.repository / "shapes" / "1"))
    scores = version.signatures[contract.SIGNATURE](images=tf.constant(np.load(images)))[contract.SCORES].numpy()

    assert (scores.argmax(1) == predictions["predicted"]).all()
    np.testing.assert_allclose(scores.max(1), predictions["confidence"], atol=1e-5)


def test_an_unblessed_version_is_not_published(
    in_an_empty_folder: Path, strict_recipe_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_locally(strict_recipe_text, repository="repository")

    assert (result.version, result.is_blessed) == (None, False)
    assert any(reason.startswith("accuracy is ") for reason in result.reasons)
    assert not Path("repository/shapes").exists()
    assert "not published: accuracy is " in capsys.readouterr().out


def test_a_failed_step_is_named_with_its_reason(in_an_empty_folder: Path, recipe_text: str, pictures: Path) -> None:
    gone = recipe_text.replace(str(pictures), "no-such-folder")

    with pytest.raises(PipelineFailed, match=r"step prepare failed: no-such-folder is no folder") as caught:
        run_locally(gone)

    assert caught.value.step == "prepare"
    assert "Traceback" not in str(caught.value)


def test_an_unknown_preset_starts_nothing(in_an_empty_folder: Path, recipe_text: str) -> None:
    with pytest.raises(RecipeError, match="no preset 'fastest'"):
        run_locally(recipe_text, "fastest")

    assert list(in_an_empty_folder.iterdir()) == []
