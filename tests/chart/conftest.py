"""The chart as helm renders it. Where there is no helm, these tests are skipped and say what would make them run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "handwriting"
KUBERNETES = ("1.31.0", "1.35.0")
"""The API versions whose schemas every manifest must satisfy."""
VALUE_SETS = {
    "default": (),
    **{path.name.removesuffix("-values.yaml"): ("-f", str(path)) for path in CHART.glob("ci/*-values.yaml")},
}
_PATH_TO_POD = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm program."""
    places = os.pathsep.join([os.environ["PATH"], str(ROOT / ".venv-chart" / "bin")])
    found = shutil.which("helm", path=places)
    if not found:
        pytest.skip("helm is not on PATH; scripts/setup.sh chart builds one where Go is installed")
    return found


@pytest.fixture(scope="session")
def template(helm: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`helm template` with further arguments, whether it succeeds or not."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [helm, "template", "handwriting", str(CHART), "--namespace", "test", "--kube-version", "1.31.0", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def render(template: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """The manifests that the chart makes with such arguments."""

    @cache
    def run(*arguments: str) -> list[Manifest]:
        done = template(*arguments)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return run


@pytest.fixture(params=sorted(VALUE_SETS))
def manifests(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    """What each of the value sets makes."""
    return render(*VALUE_SETS[request.param])


def pod_templates(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Kind and name → the pod that the object makes."""
    found = {}
    for manifest in manifests:
        made = manifest
        for step in _PATH_TO_POD.get(manifest["kind"], ()):
            made = made[step]
        if manifest["kind"] in _PATH_TO_POD:
            found[f"{manifest['kind']} {manifest['metadata']['name']}"] = made
    return found


def of_kind(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The one object of that kind, and of that name where it is given."""
    (found,) = [item for item in manifests if item["kind"] == kind and name in ("", item["metadata"]["name"])]
    return found


def schema_faults(file: Path, version: str) -> str:
    """What the schemas of that version of the API find wrong with the manifests; empty where they find nothing."""
    validate = ROOT / ".venv-chart" / "bin" / "kubernetes-validate"
    if not validate.exists():
        pytest.skip("the schemas of the Kubernetes API are missing; scripts/setup.sh chart installs them")
    done = subprocess.run([validate, "-k", version, "--strict", file], capture_output=True, text=True)
    said = done.stdout + done.stderr
    return said if done.returncode or "ERROR" in said else ""


def pod_faults(pod: dict[str, Any]) -> list[str]:
    """What keeps the pod from the standard *restricted* (Kubernetes 1.35), or from what else we ask of every pod."""
    context = pod.get("securityContext", {})
    volumes = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
    faults = [
        *([] if context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0 else ["may run as root"]),
        *([] if context.get("seccompProfile", {}).get("type") == "RuntimeDefault" else ["no seccomp profile"]),
        *(f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)),
        *(
            []
            if volumes <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}
            else [f"volumes {volumes}"]
        ),
        *([] if pod.get("automountServiceAccountToken") is False else ["has a service account's token"]),
    ]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        faults += [f"{container['name']}: {fault}" for fault in _container_faults(container)]
    return faults


def _container_faults(container: dict[str, Any]) -> list[str]:
    context = container.get("securityContext", {})
    capabilities = context.get("capabilities", {})
    return [
        *([] if context.get("allowPrivilegeEscalation") is False else ["may gain privileges"]),
        *([] if capabilities.get("drop") == ["ALL"] and not capabilities.get("add") else ["has capabilities"]),
        *([] if context.get("readOnlyRootFilesystem") is True else ["its root can be written"]),
        *(["is privileged"] if context.get("privileged") else []),
        *([] if context.get("runAsNonRoot", True) and context.get("runAsUser", 1) else ["runs as root"]),
        *(["host port"] if any("hostPort" in port for port in container.get("ports", [])) else []),
        *([] if container.get("resources", {}).get("limits", {}).get("memory") else ["its memory has no limit"]),
    ]
