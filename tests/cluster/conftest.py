"""A namespace on the cluster that scripts/cluster.sh has prepared; `make e2e` and `make drill-cluster`."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "handwriting"
VALUES = Path(__file__).with_name("values.yaml")
TAG = next(line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version = "))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not os.environ.get("HCR_CLUSTER_TESTS"):
            item.add_marker(pytest.mark.skip(reason="needs a cluster: make e2e, make drill-cluster"))


def sh(*command: str, given: str | None = None, timeout: float = 120) -> str:
    """The command's standard output; fails with what it wrote to standard error."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def eventually(claim: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `claim`; fails if there is none within the time."""
    deadline = time.monotonic() + seconds
    while not (value := claim()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.5)
    return value


class Namespace:
    """A namespace of the cluster: kubectl and helm in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 120) -> str:
        return sh("kubectl", "-n", self.name, *arguments, given=given, timeout=timeout)

    def helm(self, *arguments: str, timeout: float = 700) -> str:
        return sh("helm", *arguments, "-n", self.name, timeout=timeout)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def pods(self, component: str) -> list[str]:
        """The names of the component's pods that are ready and not going."""
        items = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
        return [
            item["metadata"]["name"]
            for item in items
            if "deletionTimestamp" not in item["metadata"]
            and any(part["type"] == "Ready" and part["status"] == "True" for part in item["status"].get("conditions", []))
        ]

    def rolled_out(self, *components: str) -> None:
        """Waits until the components' Deployments are as they should be, and no pod of before is left."""
        for component in components:
            self.kubectl("rollout", "status", f"deployment/handwriting-{component}", "--timeout=240s", timeout=250)
            eventually(lambda name=component: self._is_settled(name), 120, f"the old pods of {component} to go")

    def _is_settled(self, component: str) -> bool:
        wanted = self.get("deployment", f"handwriting-{component}")["spec"]["replicas"]
        return len(self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]) == wanted

    def run(self, name: str, image: str, *command: str, labels: dict[str, str] | None = None, mounts: bool = False) -> str:
        """What the command wrote, once it has ended well in a pod of its own."""
        self.start(name, image, *command, labels=labels, mounts=mounts)
        try:
            eventually(lambda: self._phase(name) in ("Succeeded", "Failed"), 180, f"pod {name} to end")
            log = self.kubectl("logs", name)
            assert self._phase(name) == "Succeeded", log
            return log
        finally:
            self.kubectl("delete", "pod", name, "--wait=true", "--grace-period=1")

    def start(
        self, name: str, image: str, *command: str, labels: dict[str, str] | None = None, mounts: bool = False, config: str = ""
    ) -> None:
        """A pod that runs the command; it may mount the repository, and a ConfigMap at /scripts."""
        volumes: list[Any] = [{"name": "tmp", "emptyDir": {}}]
        places = [{"name": "tmp", "mountPath": "/tmp"}]
        if mounts:
            volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": "handwriting-repository"}})
            places.append({"name": "models", "mountPath": "/models"})
        if config:
            volumes.append({"name": "scripts", "configMap": {"name": config}})
            places.append({"name": "scripts", "mountPath": "/scripts"})
        container = {
            "name": "main",
            "image": f"handwriting-{image}:{TAG}",
            "command": list(command),
            "volumeMounts": places,
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
        }
        spec = {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": volumes,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}
        self.kubectl("apply", "-f", "-", given=json.dumps(pod))

    def log(self, pod: str) -> str:
        """What the pod has written so far; empty while it has not started."""
        done = subprocess.run(["kubectl", "-n", self.name, "logs", pod], capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def evict(self, pod: str) -> None:
        """Has the API evict a running pod, as a drain of its node does, and waits until it is gone."""
        assert self._phase(pod) == "Running"
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.name},
            "deleteOptions": {"gracePeriodSeconds": 1},
        }
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}/eviction"
        self.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))
        self.kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=60s")

    def _phase(self, name: str) -> str:
        return str(self.get("pod", name)["status"].get("phase"))


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """An empty namespace that enforces the Pod Security Standard *restricted*; what is in it is told where a test failed."""
    name = request.module.NAMESPACE
    sh("kubectl", "create", "namespace", name)
    sh("kubectl", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    failed = request.session.testsfailed
    yield Namespace(name)
    if request.session.testsfailed > failed:
        for arguments in (
            ("get", "all,pvc"),
            ("describe", "pods"),
            ("logs", "-l", "app.kubernetes.io/part-of=handwriting", "--tail=40"),
        ):
            print(subprocess.run(["kubectl", "-n", name, *arguments], capture_output=True, text=True, timeout=60).stdout)
    sh("kubectl", "delete", "namespace", name, "--timeout=180s", timeout=200)
