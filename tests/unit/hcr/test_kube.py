"""`hcr --kube`, with a kubectl that answers from files and keeps what it was asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hcr.main import cli

KUBECTL = """#!/bin/sh
echo "$*" >> "$FOLDER/asked"
case "$3" in
    create) cat > "$FOLDER/job.json"; echo job.batch/handwriting-release-promote-x1 ;;
    get) cat "$FOLDER/$4.json" ;;
    logs) echo "stable of digits is version 2 now" ;;
    *) echo "unknown $3" >&2; exit 1 ;;
esac
"""


def template(release: str) -> dict[str, Any]:
    container = {"name": "release", "image": "handwriting-gateway:1", "command": ["hcr"], "args": ["models"]}
    container |= {"env": [{"name": "HCR_REPOSITORY", "value": "/models"}]}
    return {
        "metadata": {"name": f"{release}-release", "uid": "u-1", "labels": {"app.kubernetes.io/instance": release}},
        "spec": {
            "suspend": True,
            "jobTemplate": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"backoffLimit": 0, "template": {"spec": {"containers": [container]}}},
            },
        },
    }


class Cluster:
    """What the kubectl of a test answers, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer("cronjobs", template("handwriting"))
        self.pod_ends("Succeeded", 0)

    def answer(self, kind: str, *items: dict[str, Any]) -> None:
        (self.folder / f"{kind}.json").write_text(json.dumps({"items": items}))

    def pod_ends(self, phase: str, status: int) -> None:
        state = {"terminated": {"exitCode": status}}
        self.answer(
            "pods", {"metadata": {"name": "pod-1"}, "status": {"phase": phase, "containerStatuses": [{"state": state}]}}
        )

    @property
    def job(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads((self.folder / "job.json").read_text())
        return made

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return Cluster(tmp_path)


def test_a_promotion_runs_as_a_job_from_the_release_s_template(cluster: Cluster) -> None:
    result = CliRunner().invoke(cli, ["--kube", "ns/handwriting", "promote", "digits", "2", "--timeout", "9"])

    assert (result.exit_code, result.output) == (0, "stable of digits is version 2 now\n")
    (container,) = cluster.job["spec"]["template"]["spec"]["containers"]
    assert (container["command"], container["args"]) == (["hcr"], ["promote", "digits", "2", "--timeout", "9"])
    assert cluster.job["metadata"]["generateName"] == "handwriting-release-promote-"
    assert cluster.job["metadata"]["labels"] == {"a": "b"}
    assert [(owner["kind"], owner["uid"]) for owner in cluster.job["metadata"]["ownerReferences"]] == [("CronJob", "u-1")]
    assert all(line.startswith("--namespace ns ") for line in cluster.asked)


def test_the_history_in_a_cluster_names_who_asked(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCR_ACTOR", "ada@example")

    result = CliRunner().invoke(cli, ["--kube", "ns", "history", "digits", "--json"])

    assert result.exit_code == 0
    (container,) = cluster.job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["history", "digits", "--json"]
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "HCR_REPOSITORY": "/models",
        "HCR_ACTOR": "ada@example",
    }


def test_a_failure_in_the_cluster_is_the_command_s(cluster: Cluster) -> None:
    cluster.pod_ends("Failed", 1)

    assert CliRunner().invoke(cli, ["--kube", "ns", "rollback", "digits"]).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["predict", "seven.png"], "--kube runs models, history, promote, split, end-canary, rollback, prune, not predict"),
        (["promote", "digits", "two"], "'two' is not a valid integer"),
        (["prune", "digits", "--keep", "0"], "0 is not in the range"),
    ],
)
def test_a_mistake_starts_nothing(cluster: Cluster, arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(cli, ["--kube", "ns", *arguments])

    assert result.exit_code == 2
    assert complaint in result.output
    assert not (cluster.folder / "asked").exists()


def test_one_of_several_releases_must_be_named(cluster: Cluster) -> None:
    cluster.answer("cronjobs", template("one"), template("two"))

    result = CliRunner().invoke(cli, ["--kube", "ns", "models"])

    assert result.exit_code == 1
    assert "ns/one, ns/two" in result.output


def test_a_namespace_without_a_release_is_named(cluster: Cluster) -> None:
    cluster.answer("cronjobs")

    result = CliRunner().invoke(cli, ["--kube", "empty", "models"])

    assert (result.exit_code, "namespace empty has no release" in result.output) == (1, True)


def test_without_kubectl_it_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    result = CliRunner().invoke(cli, ["--kube", "ns", "models"])

    assert (result.exit_code, "needs kubectl" in result.output) == (1, True)
