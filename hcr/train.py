"""`hcr train`: a run of the pipeline on this machine, and what it came to."""

import os
import signal
import sys
from pathlib import Path

import click

from hcr import state
from pipelines.errors import PipelineError
from pipelines.recipe import load_recipe
from pipelines.run import RunResult, resume, run_locally
from pipelines.step_process import be_quiet
from tfserving.repository import STABLE, Repository


def train(recipe: str, preset: str, seed: int | None, repository: Repository, first_only: bool, if_changed: bool) -> None:
    """Runs the pipeline and tells what came of it, unless there is nothing to do.

    Raises:
        ClickException: a step failed, or the version is not blessed.
    """
    repository.open()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of run_locally, which clears up
    try:
        if first_only and repository.versions(model := load_recipe(recipe).name):
            click.echo(f"nothing to do: {repository.root} has a version of {model}")
            return
        if if_changed and _is_published(recipe, preset, seed, repository):
            return
        result = run_locally(recipe, preset, seed, repository.root)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    _tell(result, repository)


def go_on() -> None:
    """Goes on with the newest run that did not come to its end, and tells what came of it.

    Raises:
        ClickException: there is none, a step failed, or the version is not blessed.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result, repository = resume()
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    _tell(result, Repository(repository))


def _is_published(recipe: str, preset: str, seed: int | None, repository: Repository) -> bool:
    """Whether there is a version of the same already; says so, or what has changed."""
    from pipelines.changes import since_published

    be_quiet()  # it may ask the stable version about feedback
    checked = load_recipe(recipe)
    number, changed = since_published(checked, preset, seed, repository, Path(state.STATE, "data"))
    if number is not None and not changed:
        same = "the same data, recipe, preset, seed, code and packages"
        click.echo(f"nothing to do: version {number} of {checked.name} was made of {same}")
        return True
    if number is not None:
        click.echo(f"changed since version {number} of {checked.name}: {', '.join(changed)}")
    return False


def _tell(result: RunResult, repository: Repository) -> None:
    report = os.path.relpath(result.report)
    if result.version is None:
        raise click.ClickException(f"not published: {'; '.join(result.reasons)}. Report: {report}")
    is_used = repository.labels(result.model).get(STABLE) == result.version
    click.echo(f"\n{result.model} version {result.version}: {result.metrics['accuracy']:.2%} right on its test set")
    click.echo(f"report   {report}")
    click.echo(f"data     {os.path.relpath(result.data_report)}")
    click.echo(
        "in use   it is the first version of this model" if is_used else f"to use   hcr promote {result.model} {result.version}"
    )
