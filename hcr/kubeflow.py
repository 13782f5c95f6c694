"""`hcr submit`, `schedule` and `runs`: the pipeline on a Kubeflow endpoint, told to a person."""

import os
import time
from pathlib import Path
from typing import Any

import click

from hcr.drawing import columns
from pipelines.errors import PipelineError
from pipelines.submission import Endpoint, Job, RunState, Submission, run_state, step_log
from pipelines.submission import runs as list_runs
from pipelines.submission import schedule as schedule_job
from pipelines.submission import submit as submit_job

_POLL_SECONDS = 5.0
_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"


def submit(options: dict[str, Any], wait_seconds: float | None, poll_seconds: float = _POLL_SECONDS) -> None:
    """Starts a run; with `wait_seconds` waits for its end.

    Raises:
        ClickException: it cannot be started, fails, or does not end in time.
    """
    endpoint, job = _endpoint(options), _job(options)
    try:
        submission = submit_job(endpoint, job)
        click.echo(f"run {submission.run_id} of {job.recipe}, preset {job.preset}\n{submission.url}")
        if wait_seconds is not None:
            _wait(endpoint, submission, wait_seconds, poll_seconds)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None


def schedule(options: dict[str, Any], cron: str) -> None:
    """Makes a recurring run.

    Raises:
        ClickException: it cannot be made.
    """
    job = _job(options)
    try:
        made = schedule_job(_endpoint(options), job, cron)
    except PipelineError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"recurring run {made} of {job.recipe}, preset {job.preset}, at {cron}")


def runs(options: dict[str, Any], experiment: str, run_id: str | None, logs: str | None) -> None:
    """Prints the runs of the experiment, or one with its steps, or what one of these wrote.

    Raises:
        ClickException: the endpoint cannot say.
    """
    endpoint = _endpoint(options)
    try:
        if run_id is None:
            listed = [(run.run_id, run.name, run.state, run.created) for run in list_runs(endpoint, experiment)]
            click.echo(columns([("RUN", "NAME", "STATE", "CREATED"), *listed]) if listed else f"{experiment} has no runs yet")
            return
        run = run_state(endpoint, run_id)
        click.echo(step_log(endpoint, run, logs) if logs else _told(run))
    except PipelineError as error:
        raise click.ClickException(str(error)) from None


def _wait(endpoint: Endpoint, submission: Submission, seconds: float, poll_seconds: float) -> None:
    deadline = time.monotonic() + seconds
    told: set[tuple[str, str]] = set()
    while True:
        run = run_state(endpoint, submission.run_id)
        for name, state, _ in run.steps:
            if (name, state) not in told:
                told.add((name, state))
                click.echo(f"{name}: {state}")
        if run.has_ended:
            break
        if time.monotonic() > deadline:
            raise click.ClickException(f"the run is {run.state} after {seconds:.0f} s; a pod may be waiting:\n{_told(run)}")
        time.sleep(poll_seconds)
    if run.state != "SUCCEEDED":
        raise click.ClickException(f"the run has {run.state}: {run.error or 'see hcr runs RUN --logs STEP'}")
    click.echo("the run has succeeded")


def _told(run: RunState) -> str:
    head = f"{run.name}: {run.state}, created {run.created}" + (f"\n{run.error}" if run.error else "")
    return f"{head}\n{columns([('STEP', 'STATE', 'POD'), *run.steps])}" if run.steps else f"{head}\nno step has begun"


def _endpoint(options: dict[str, Any]) -> Endpoint:
    return Endpoint(options["host"], options["namespace"], _token())


def _token() -> str | None:
    """KFP_TOKEN, or what is in the file that Kubeflow's own clients in a cluster read their token from.

    Raises:
        ClickException: the file that is named cannot be read.
    """
    path = os.environ.get(_FILE_VARIABLE)
    if (token := os.environ.get("KFP_TOKEN")) or not path:
        return token
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{_FILE_VARIABLE}={path}: {getattr(error, 'strerror', None) or 'no text'}") from None


def _job(options: dict[str, Any]) -> Job:
    names = ("recipe", "preset", "seed", "repository", "experiment", "image", "claim")
    return Job(**{name: options[name] for name in names})
