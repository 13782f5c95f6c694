"""One pipeline, three ways to run it: on this machine, compiled to a file, on a Kubeflow endpoint.

Kubeflow is imported inside the functions: it takes a second, and `hcr --help` needs none of it.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.errors import PipelineError, PipelineFailed
from pipelines.progress import VARIABLE
from pipelines.recipe import Recipe, load_recipe
from pipelines.screen import Screen
from pipelines.step_process import LIFELINE
from pipelines.unfinished import Arguments, newest, recorded
from tfserving.repository import Repository

COMPILED = Path(__file__).with_name("compiled") / "handwriting.yaml"
WORK = Path(".hcr")
_RUNS = "pipeline"
_KEPT_RUNS = 5


@dataclass(frozen=True)
class RunResult:
    """What a run on this machine came to."""

    model: str
    version: int | None
    """The published version; None where it is not blessed."""
    is_blessed: bool
    reasons: list[str]
    """What speaks against the blessing."""
    metrics: dict[str, float]
    """accuracy, ece, nll, worst_recall, test_images; size_mb, latency_p99_ms, corrupted_accuracy,
    corrupted_worst; fonts_accuracy and feedback_accuracy where the data set has such parts, outliers_accepted and
    outliers_accepted_keeping_97 where the data set has outliers."""
    report: Path
    data_report: Path
    """On what the checks found in the data."""
    folder: Path
    """Everything that the run made: log.txt, and the evaluation with predictions.npz."""
    evaluation: Path
    seconds: dict[str, float]
    """By step."""


def run_locally(
    recipe: str | Path = "digits",
    preset: str = "default",
    seed: int | None = None,
    repository: Path | str = "model_repo",
    work: Path | str = WORK,
    instead_of: Path | None = None,
) -> RunResult:
    """Runs the pipeline on this machine, each step in a process of its own, and shows its progress on standard output.

    Downloads and what the run makes are kept under `work`. When this process ends, in whatever way, its steps do too.
    `instead_of` is the folder of an unfinished run that need not be resumed any more once this one has begun.

    Raises:
        RecipeError: the recipe or the preset is wrong; nothing has been started.
        RepositoryError: the repository cannot be made or changed; nothing has been started.
        PipelineFailed: a step failed; says which one and why.
    """
    checked = load_recipe(recipe)
    checked.preset(preset)
    Repository(repository).open()
    work = Path(work).resolve()
    folder = _new_folder(work / _RUNS)
    begun = Arguments(checked.text, preset, seed, str(Path(repository).resolve()))
    arguments = {
        "recipe": checked.text,
        "preset": preset,
        "seed": -1 if seed is None else seed,
        "repository": begun.repository,
        "cache_dir": str(work / "data"),
        "state_dir": str(work / "data"),
    }
    screen = Screen(sys.stdout, folder / "log.txt")
    with recorded(folder, begun, instead_of), screen, _lifeline():
        _run(arguments, folder, screen)
    return _result(checked, folder, screen)


def resume(work: Path | str = WORK) -> tuple[RunResult, Path]:
    """Goes on with the newest run that did not come to its end, as it was started: the result, and the repository.

    The state of its training was kept after each epoch, so at most one is trained once more.

    Raises:
        PipelineError: there is none.
        PipelineFailed: a step failed; says which one and why.
        RepositoryError: the repository cannot be made or changed; nothing has been started.
    """
    runs = Path(work).resolve() / _RUNS
    found = newest(runs)
    if found is None:
        raise PipelineError(f"nothing to resume: {runs} holds no run that was killed or failed")
    folder, begun = found
    result = run_locally(begun.recipe, begun.preset, begun.seed, begun.repository, work, folder)
    return result, Path(begun.repository)


def compile_pipeline(path: Path | str = COMPILED) -> None:
    """Writes the pipeline as Kubeflow's IR YAML; the same pipeline gives the same file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

        from pipelines.pipeline import handwriting

        compiler.Compiler().compile(handwriting, str(path))


def _run(arguments: dict[str, object], folder: Path, screen: Screen) -> None:
    with redirect_stdout(screen), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import local

        from pipelines.pipeline import handwriting

        runner = local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(folder / "steps"), workspace_root=str(folder / "workspace"))
        try:
            handwriting(**arguments)
        except RuntimeError as error:  # Kubeflow's word for every failed step
            raise PipelineFailed(
                screen.step or "start", "\n".join(screen.problems or screen.last_lines) or str(error)
            ) from None


@contextmanager
def _lifeline() -> Iterator[None]:
    """Holds a FIFO open that the steps wait at; it closes with this process, even if that is killed, and so they end.

    Also tells the steps to mark their messages, and to keep temporary files where they are removed in the end.
    """
    with tempfile.TemporaryDirectory(prefix="hcr-run-", ignore_cleanup_errors=True) as temporary:
        fifo = Path(temporary, "lifeline")  # not in the checkout, whose file system may have no FIFOs
        os.mkfifo(fifo)
        descriptor = os.open(fifo, os.O_RDWR)  # O_WRONLY would wait for a reader
        try:
            with _environment({LIFELINE: str(fifo), VARIABLE: "marked", "TMPDIR": temporary}):
                yield
        finally:
            os.close(descriptor)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _new_folder(runs: Path) -> Path:
    """A folder for a new run, named by the time; of the older ones the newest are kept."""
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(path for path in runs.iterdir() if path.is_dir())[: -_KEPT_RUNS + 1]:
        shutil.rmtree(old, ignore_errors=True)
    folder = runs / datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    folder.mkdir()
    return folder


def _result(recipe: Recipe, folder: Path, screen: Screen) -> RunResult:
    from pipelines.dataset import VALIDATION
    from pipelines.servable import read_card
    from pipelines.steps.evaluate import REPORT, read_blessing

    (steps,) = (folder / "steps").iterdir()
    evaluation = steps / "evaluate" / "evaluation"
    blessing = read_blessing(steps / "validate" / "validation")
    return RunResult(
        model=recipe.name,
        version=json.loads((steps / "publish" / "outcome").read_text())["version"],
        is_blessed=blessing.is_blessed,
        reasons=blessing.reasons,
        metrics=read_card(steps / "evaluate" / "challenger")["metrics"],
        report=evaluation / REPORT,
        data_report=steps / "prepare" / "dataset" / VALIDATION,
        folder=folder,
        evaluation=evaluation,
        seconds=screen.seconds(),
    )
