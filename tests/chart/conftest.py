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
