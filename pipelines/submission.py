"""The pipeline on a Kubeflow endpoint: runs, recurring runs, and what has become of them.

The pipeline is uploaded as a version that is named by its content, so that the same pipeline is uploaded once.
"""

import hashlib
import io
import socket
import tempfile
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import SubmitError
from pipelines.recipe import load_recipe

_HEALTH = "/apis/v2beta1/healthz"
_LOG = "/apis/v1alpha1/runs/{run}/nodes/{pod}/log"
_TIMEOUT_SECONDS = 20.0
_PIPELINE = "handwriting"
_ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass(frozen=True)
class Endpoint:
    """A Kubeflow Pipelines endpoint: its URL, the user's namespace where it has several, a token where it wants one."""

    host: str
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return (self.host if "://" in self.host else f"http://{self.host}").rstrip("/")


@dataclass(frozen=True)
class Job:
    """What to run: the recipe, how long to train, and where the steps find their image and the model repository."""

    recipe: str | Path = "digits"
    preset: str = "default"
    seed: int | None = None
    repository: str = "/models"
    experiment: str = "handwriting"
    image: str | None = None
    """The image of the steps, best by digest; the compiled pipeline's where it is None."""
    claim: str | None = None
    """The PersistentVolumeClaim with the repository; the compiled pipeline's where it is None."""

    def arguments(self) -> dict[str, Any]:
        """The pipeline's parameters.

        Raises:
            RecipeError: the recipe or the preset is wrong.
        """
        checked = load_recipe(self.recipe)
        checked.preset(self.preset)
        seed = -1 if self.seed is None else self.seed
        return {"recipe": checked.text, "preset": self.preset, "seed": seed, "repository": self.repository}

    @property
    def title(self) -> str:
        return f"{load_recipe(self.recipe).name} {self.preset}"


@dataclass(frozen=True)
class Submission:
    """A run that the endpoint has accepted."""

    run_id: str
    url: str


@dataclass(frozen=True)
class RunState:
    """A run as the endpoint tells it; `error` where it failed."""

    run_id: str
    name: str
    state: str
    created: str
    error: str = ""
    steps: tuple[tuple[str, str, str], ...] = ()
    """Name, state and pod of each step, in the order in which they began."""

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED


def submit(endpoint: Endpoint, job: Job, compiled: Path | None = None) -> Submission:
    """Starts a run of the compiled pipeline on the endpoint, without waiting for its end.

    Raises:
        RecipeError: the recipe or the preset is wrong; nothing has been sent.
        SubmitError: the endpoint cannot be reached, is no Kubeflow endpoint, or refuses.
    """
    arguments = job.arguments()
    with _client(endpoint) as client:
        version, pipeline = _upload(client, endpoint, _tailored(job, compiled))
        kept = client.create_experiment(job.experiment, namespace=endpoint.namespace)
        run = client.run_pipeline(kept.experiment_id, job.title, pipeline_id=pipeline, version_id=version, params=arguments)
    return Submission(run.run_id, f"{endpoint.address}/#/runs/details/{run.run_id}")


def schedule(endpoint: Endpoint, job: Job, cron: str, compiled: Path | None = None) -> str:
    """The id of a recurring run that starts at the times of `cron` (six fields, seconds first), one at a time.

    Raises:
        RecipeError: the recipe or the preset is wrong; nothing has been sent.
        SubmitError: as for `submit`.
    """
    if len(cron.split()) != 6:
        raise SubmitError(f"cron is {cron!r}; six fields are expected, seconds first: '0 0 3 * * 1' is Mondays at three")
    arguments = job.arguments()
    with _client(endpoint) as client:
        version, pipeline = _upload(client, endpoint, _tailored(job, compiled))
        kept = client.create_experiment(job.experiment, namespace=endpoint.namespace)
        recurring = client.create_recurring_run(
            kept.experiment_id,
            job.title,
            cron_expression=cron,
            max_concurrency=1,
            no_catchup=True,
            params=arguments,
            pipeline_id=pipeline,
            version_id=version,
        )
    return str(recurring.recurring_run_id)


def runs(endpoint: Endpoint, experiment: str = "handwriting") -> list[RunState]:
    """The newest twenty runs of the experiment, newest first; none where there is no such experiment.

    Raises:
        SubmitError: as for `submit`.
    """
    with _client(endpoint) as client:
        try:
            kept = client.get_experiment(experiment_name=experiment, namespace=endpoint.namespace)
        except ValueError:  # kfp's word for an experiment that is not there
            return []
        listed = client.list_runs(
            page_size=20, sort_by="created_at desc", experiment_id=kept.experiment_id, namespace=endpoint.namespace
        )
    return [_state(run) for run in listed.runs or []]


def run_state(endpoint: Endpoint, run_id: str) -> RunState:
    """A run, with its steps.

    Raises:
        SubmitError: as for `submit`, or there is no such run.
    """
    with _client(endpoint) as client:
        return _state(client.get_run(run_id))


def step_log(endpoint: Endpoint, run: RunState, step: str) -> str:
    """What the step's pod has written.

    Raises:
        SubmitError: the run has no such step, or its log is gone.
    """
    pods = {name: pod for name, _, pod in run.steps}
    if not pods.get(step):
        raise SubmitError(f"run {run.run_id} has no pod of a step {step!r}; steps: {', '.join(pods) or 'none yet'}")
    path = _LOG.format(run=run.run_id, pod=pods[step])
    try:
        with urllib.request.urlopen(_request(endpoint, path), timeout=_TIMEOUT_SECONDS) as response:
            return str(response.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        raise SubmitError(
            f"{endpoint.address}{path} answered HTTP {error.code}{_hint(error.code)}: the pod may be gone"
        ) from None
    except OSError as error:
        raise SubmitError(f"{endpoint.address} stopped answering: {error}") from None


def _tailored(job: Job, compiled: Path | None) -> str:
    """The compiled pipeline with the job's image and claim."""
    from pipelines.run import COMPILED

    documents = list(yaml.safe_load_all((compiled or COMPILED).read_text("utf-8")))
    for document in documents:
        if job.image and "deploymentSpec" in document:
            for executor in document["deploymentSpec"]["executors"].values():
                executor["container"]["image"] = job.image
        if job.claim and "platforms" in document:
            for executor in document["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
                for mount in executor.get("pvcMount", ()):
                    mount["constant"] = job.claim
                    mount["pvcNameParameter"] = {"runtimeValue": {"constant": job.claim}}
    return yaml.safe_dump_all(documents, sort_keys=True)


def _upload(client: Any, endpoint: Endpoint, text: str) -> tuple[str, str]:
    """The ids of the version, uploaded unless it is there, and of the pipeline."""
    name = f"{_PIPELINE}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{_PIPELINE}.yaml")
        file.write_text(text, "utf-8")
        pipeline = client.get_pipeline_id(_PIPELINE)
        if pipeline is None:
            made = client.upload_pipeline(str(file), pipeline_name=_PIPELINE, namespace=endpoint.namespace)
            pipeline = made.pipeline_id
        present = client.list_pipeline_versions(pipeline, page_size=100, sort_by="created_at desc").pipeline_versions or []
        for version in present:
            if version.display_name == name:
                return version.pipeline_version_id, pipeline
        uploaded = client.upload_pipeline_version(str(file), name, pipeline_id=pipeline)
    return uploaded.pipeline_version_id, pipeline


def _state(run: Any) -> RunState:
    details = run.run_details.task_details or [] if run.run_details else []
    steps = sorted((task for task in details if _pod(task)), key=lambda task: str(task.create_time))
    return RunState(
        run_id=run.run_id,
        name=run.display_name,
        state=run.state or "PENDING",
        created=str(run.created_at)[:19],
        error=run.error.message if run.error else "",
        steps=tuple((task.display_name, task.state or "PENDING", _pod(task)) for task in steps),
    )


def _pod(task: Any) -> str:
    """The pod that ran the step itself; a task has others, which only prepare it."""
    children = [child.pod_name for child in task.child_tasks or [] if child.pod_name]
    return str(children[-1] if children else task.pod_name or "")


@contextmanager
def _client(endpoint: Endpoint) -> Iterator[Any]:
    """kfp's client, whose errors are told in our words; it has no timeout of its own."""
    _probe(endpoint)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    address = endpoint.address
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints links of its own
            warnings.simplefilter("ignore")
            import kfp
            import kfp_server_api
            import urllib3

            try:
                yield kfp.Client(host=address, namespace=endpoint.namespace or "kubeflow", existing_token=endpoint.token)
            except kfp_server_api.ApiException as error:
                raise SubmitError(
                    f"{address} refuses: HTTP {error.status} {error.reason}{_hint(error.status)} {_message(error)}"
                ) from None
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise SubmitError(f"{address} stopped answering: {error}") from None
            except (RuntimeError, ValueError, TypeError) as error:  # what kfp's client raises where it dislikes an answer
                raise SubmitError(f"{address} gave an answer that is not understood: {error}") from None
    finally:
        socket.setdefaulttimeout(before)


def _request(endpoint: Endpoint, path: str) -> urllib.request.Request:
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    return urllib.request.Request(endpoint.address + path, headers=headers)


def _probe(endpoint: Endpoint) -> None:
    address = endpoint.address
    try:
        with urllib.request.urlopen(_request(endpoint, _HEALTH), timeout=_TIMEOUT_SECONDS) as response:
            kind = response.headers.get_content_type()
    except urllib.error.HTTPError as error:
        raise SubmitError(f"{address}{_HEALTH} answered HTTP {error.code}{_hint(error.code)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SubmitError(f"{address} cannot be reached: {reason}. Is it the URL of the Kubeflow Pipelines API?") from None
    if kind != "application/json":
        raise SubmitError(
            f"{address}{_HEALTH} answered with {kind}, not JSON: no Kubeflow Pipelines API, or a login page before it"
        )


def _hint(status: int | None) -> str:
    hints = {401: " (a token is needed)", 403: " (the token has no right to this)", 404: " (is the path right?)"}
    return hints.get(status or 0, "")


def _message(error: Any) -> str:
    text = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else str(error.body or "")
    return " ".join(text.split())[:500]
