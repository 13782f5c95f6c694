"""What k8s/kubeflow holds for a Kubeflow that is there already: valid, restricted, and a command line that submits."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hcr.main import cli
from tests.chart.conftest import KUBERNETES, ROOT, Manifest, of_kind, pod_faults, pod_templates, schema_faults
from tests.pipeline.kubeflow_server import kubeflow

FILES = sorted((ROOT / "k8s" / "kubeflow").glob("*.yaml"))
HOST = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"


@pytest.fixture
def manifests() -> list[Manifest]:
    return [manifest for file in FILES for manifest in yaml.safe_load_all(file.read_text())]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_satisfies_the_schemas_of_the_api(file: Path, version: str) -> None:
    assert schema_faults(file, version) == ""


def test_the_pod_satisfies_the_standard_restricted(manifests: list[Manifest]) -> None:
    (pod,) = pod_templates(manifests).values()

    assert pod_faults(pod["spec"]) == []


def test_the_recurring_run_submits_with_the_account_s_token(
    manifests: list[Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pod,) = pod_templates(manifests).values()
    (container,) = pod["spec"]["containers"]
    (variable,) = container["env"]
    (tmp_path / "token").write_text("of-the-account\n")
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    monkeypatch.setenv(variable["name"], str(tmp_path / "token"))

    with kubeflow() as (host, state):
        done = CliRunner().invoke(cli, [*container["command"][1:], *(one.replace(HOST, host) for one in container["args"])])

    assert done.exit_code == 0, done.output
    assert [run["display_name"] for run in state.runs.values()] == ["digits default"]
    assert set(state.tokens) == {"Bearer of-the-account"}


def test_it_runs_as_the_account_that_the_rights_are_given_to_in_the_project_s_image(manifests: list[Manifest]) -> None:
    (pod,) = pod_templates(manifests).values()
    (version,) = re.findall(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert pod["spec"]["containers"][0]["image"] == f"handwriting-pipelines:{version}"
    account = of_kind(manifests, "ServiceAccount")["metadata"]["name"]
    binding = of_kind(manifests, "RoleBinding")
    assert pod["spec"]["serviceAccountName"] == account
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert binding["roleRef"]["name"] == of_kind(manifests, "Role")["metadata"]["name"]


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "none"))

    done = CliRunner().invoke(cli, ["runs", "--host", "http://127.0.0.1:1"])

    assert done.exit_code == 1
    assert f"KF_PIPELINES_SA_TOKEN_PATH={tmp_path / 'none'}: No such file or directory" in done.output
