"""scripts/cluster.sh, beside a ../shared/cluster that is made up: what is left out is told, and what fails fails."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chart.conftest import ROOT

_SCRIPTS = {
    "build": "", "up": "echo true", "base-image": "", "smoke-test": "touch smoked", "load-image": "", "down": "touch went-down",
}  # fmt: skip
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="brings up a cluster of its own only as root: run as root")


def run(folder: Path, cluster: dict[str, str] | None, command: str = "true", **environment: str) -> tuple[int, str]:
    """The exit status and standard error of cluster.sh in a checkout beside such a cluster, with a docker that does nothing."""
    scripts = folder / "checkout" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "cluster.sh", scripts)
    shutil.copy(ROOT / "pyproject.toml", folder / "checkout")
    programs = {scripts / "images.sh": "", folder / "bin" / "docker": ""}
    for name, text in (cluster or {}).items():
        programs[folder / "shared" / "cluster" / name] = text
    for path, text in programs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\ncd {folder}\n{text}\n")
        path.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "CLUSTER_IS_OPTIONAL")}
    done = subprocess.run(
        ["bash", str(scripts / "cluster.sh"), "sh", "-c", command],
        env=kept | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **environment},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("environment", "status"), [({}, 3), ({"CLUSTER_IS_OPTIONAL": "1"}, 0)])
def test_without_a_cluster_it_says_so(tmp_path: Path, environment: dict[str, str], status: int) -> None:
    code, said = run(tmp_path, None, "touch ran", **environment)

    assert code == status
    assert "left out, for there is no cluster: KUBECONFIG names none" in said
    assert not (tmp_path / "checkout" / "ran").exists()


@needs_root
@pytest.mark.parametrize("step", ["build", "up", "base-image"])
@pytest.mark.parametrize(("environment", "status"), [({}, 3), ({"CLUSTER_IS_OPTIONAL": "1"}, 0)])
def test_a_machine_that_can_have_no_cluster_is_named(
    tmp_path: Path, step: str, environment: dict[str, str], status: int
) -> None:
    code, said = run(tmp_path, _SCRIPTS | {step: "echo no overlayfs >&2; exit 1"}, "touch ran", **environment)

    assert code == status
    assert "no overlayfs" in said
    assert f"left out, for there is no cluster: ../shared/cluster/{step} fails" in said
    assert not (tmp_path / "checkout" / "ran").exists()
    assert (tmp_path / "went-down").exists() is (step != "build")


@needs_root
def test_a_cluster_that_is_optional_is_tried_first(tmp_path: Path) -> None:
    code, said = run(tmp_path, _SCRIPTS | {"smoke-test": "echo FAIL policy; exit 1"}, "touch ran", CLUSTER_IS_OPTIONAL="1")

    assert code == 0
    assert "FAIL policy" in said
    assert "../shared/cluster/smoke-test finds faults" in said
    assert not (tmp_path / "checkout" / "ran").exists()
    assert (tmp_path / "went-down").exists()


@needs_root
def test_what_fails_on_the_cluster_fails_where_a_cluster_is_optional_too(tmp_path: Path) -> None:
    code, said = run(tmp_path, _SCRIPTS, "exit 7", CLUSTER_IS_OPTIONAL="1")

    assert (code, said) == (7, "")
    assert (tmp_path / "smoked").exists()
    assert (tmp_path / "went-down").exists()


@needs_root
def test_the_command_runs_with_the_cluster_which_is_taken_down_afterwards(tmp_path: Path) -> None:
    cluster = _SCRIPTS | {"up": "echo export KUBECONFIG=theirs"}

    assert run(tmp_path, cluster, '[ "$KUBECONFIG" = theirs ] && [ ! -e ../went-down ] && touch ran') == (0, "")
    assert (tmp_path / "checkout" / "ran").exists()
    assert not (tmp_path / "smoked").exists()
    assert (tmp_path / "went-down").exists()
