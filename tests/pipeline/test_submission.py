"""Kubeflow endpoints: what is sent to one, and clear errors from those that are not there, not Kubeflow, or unwilling."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from hcr.main import cli
from pipelines.errors import RecipeError, SubmitError
from pipelines.submission import Endpoint, Job, run_state, runs, schedule, step_log, submit
from tests.pipeline.kubeflow_server import Kubeflow, kubeflow

IMAGE = f"registry.example/handwriting-pipelines@sha256:{'a' * 64}"


@pytest.fixture
def server() -> Iterator[tuple[str, Kubeflow]]:
    with kubeflow() as started:
        yield started


def test_a_run_is_created_with_its_arguments(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    submission = submit(Endpoint(host), Job("digits", "quick", seed=5, repository="/volume"))

    assert (submission.run_id, submission.url) == ("r-1", f"{host}/#/runs/details/r-1")
    run = state.runs["r-1"]
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["preset"], parameters["seed"], parameters["repository"]) == ("quick", 5, "/volume")
    assert 'name = "digits"' in parameters["recipe"]
    assert run["experiment_id"] == state.experiments["handwriting"]
    assert run["display_name"] == "digits quick"


def test_the_steps_run_in_the_image_and_on_the_claim_that_were_named(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    submit(Endpoint(host), Job(image=IMAGE, claim="models"))

    (version,) = state.versions.values()
    spec, platform = version["pipeline_spec"]["documents"]
    assert {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()} == {IMAGE}
    (mount,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-publish"]["pvcMount"]
    assert mount["constant"] == mount["pvcNameParameter"]["runtimeValue"]["constant"] == "models"


def test_the_same_pipeline_is_uploaded_once_and_another_is_another_version(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    for image in (IMAGE, IMAGE, "other:1"):
        submit(Endpoint(host), Job(image=image))

    assert (len(state.pipelines), len(state.versions), len(state.runs)) == (1, 2, 3)


def test_a_schedule_is_a_recurring_run_that_neither_overlaps_nor_catches_up(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    made = schedule(Endpoint(host), Job(preset="quick"), "0 0 3 * * 1")

    job = state.recurring[made]
    assert job["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert (job["max_concurrency"], job["no_catchup"]) == (1, True)
    assert job["runtime_config"]["parameters"]["preset"] == "quick"


def test_a_cron_of_five_fields_is_refused_before_anything_is_sent(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    with pytest.raises(SubmitError, match="six fields"):
        schedule(Endpoint(host), Job(), "0 3 * * 1")

    assert state.tokens == []


def test_runs_are_told_with_their_steps_and_what_these_wrote(server: tuple[str, Kubeflow]) -> None:
    host, state = server
    endpoint = Endpoint(host, token="secret")
    assert runs(endpoint) == []
    submit(endpoint, Job())
    state.answers["/apis/v1alpha1/runs/r-1/nodes/train-pod/log"] = (200, "text/plain", "epoch 1/2\n")

    (listed,) = runs(endpoint)
    run = run_state(endpoint, listed.run_id)

    assert (run.state, run.has_ended) == ("SUCCEEDED", True)
    assert run.steps == (("prepare", "SUCCEEDED", "prepare-pod"), ("train", "SUCCEEDED", "train-pod"))
    assert step_log(endpoint, run, "train") == "epoch 1/2\n"
    with pytest.raises(SubmitError, match="steps: prepare, train"):
        step_log(endpoint, run, "publish")
    assert set(state.tokens) == {"Bearer secret"}


def test_the_command_waits_for_the_end_and_tells_each_step(server: tuple[str, Kubeflow]) -> None:
    host, _ = server

    result = CliRunner().invoke(cli, ["submit", "--host", host, "--wait"])

    assert result.exit_code == 0, result.output
    assert "prepare: SUCCEEDED\ntrain: SUCCEEDED\nthe run has succeeded" in result.output


def test_the_command_fails_with_the_run(server: tuple[str, Kubeflow]) -> None:
    host, state = server
    state.outcome = "FAILED"

    result = CliRunner().invoke(cli, ["submit", "--host", host, "--wait"])

    assert result.exit_code == 1
    assert "the run has FAILED: step train" in result.output


def test_the_command_gives_up_waiting_and_says_for_what(server: tuple[str, Kubeflow]) -> None:
    from hcr.kubeflow import submit as run

    host, state = server
    state.outcome = "RUNNING"
    options = {"host": host, "namespace": None, "recipe": "digits", "preset": "quick", "seed": None, "repository": "/models"}

    with pytest.raises(Exception, match=r"(?s)is RUNNING after 0 s.*train +RUNNING +train-pod"):
        run({**options, "experiment": "e", "image": None, "claim": None}, 0.0, 0.0)


def test_the_command_lists_runs_and_steps_and_makes_schedules(server: tuple[str, Kubeflow]) -> None:
    host, state = server
    state.answers["/apis/v1alpha1/runs/r-1/nodes/prepare-pod/log"] = (200, "text/plain", "verified")
    submit(Endpoint(host), Job())

    def said(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, "--host", host])
        assert result.exit_code == 0, result.output
        return result.output

    assert "r-1" in said("runs")
    assert "train-pod" in said("runs", "r-1")
    assert said("runs", "r-1", "--logs", "prepare") == "verified\n"
    assert "recurring run rr-1" in said("schedule", "digits", "--cron", "0 0 3 * * 1")


def test_an_unreachable_endpoint_is_named() -> None:
    with pytest.raises(SubmitError, match=r"http://127\.0\.0\.1:9 cannot be reached: .*refused"):
        submit(Endpoint("127.0.0.1:9"), Job())


@pytest.mark.parametrize(
    ("path", "answer", "complaint"),
    [
        ("/apis/v2beta1/healthz", (401, "text/plain", ""), "HTTP 401 .a token is needed"),
        ("/apis/v2beta1/healthz", (404, "text/html", ""), "HTTP 404 .is the path right"),
        ("/apis/v2beta1/healthz", (200, "text/html", "<html>"), "answered with text/html, not JSON"),
        ("/apis/v2beta1/runs", (400, "application/json", '{"error": "no such pipeline root"}'), "refuses: HTTP 400.*root"),
        ("/apis/v2beta1/runs", (403, "application/json", "{}"), "the token has no right to this"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    server: tuple[str, Kubeflow], path: str, answer: tuple[int, str, str], complaint: str
) -> None:
    host, state = server
    state.answers[path] = answer

    with pytest.raises(SubmitError, match=complaint):
        submit(Endpoint(host), Job())


def test_a_wrong_preset_sends_nothing(server: tuple[str, Kubeflow]) -> None:
    host, state = server

    with pytest.raises(RecipeError):
        submit(Endpoint(host), Job(preset="fastest"))

    assert state.tokens == []
