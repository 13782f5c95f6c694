"""No failed request, whatever changes: 50 requests a second from inside the cluster, each on a connection of its own."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import CHART, ROOT, VALUES, Namespace, eventually, sh

NAMESPACE = "handwriting-drills"
HCR = str(ROOT / ".venv" / "bin" / "hcr")
pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def release(namespace: Namespace) -> Namespace:
    """The chart, installed, with a first model and two model servers on the one node."""
    settings = ("--set", "repository.singleNode=true,serving.replicas=2,gateway.autoscaling.enabled=false")
    namespace.helm("install", "handwriting", str(CHART), "-f", str(VALUES), *settings, "--wait", "--timeout", "10m")
    script = ROOT / "tests" / "cluster" / "load.py"
    namespace.kubectl("create", "configmap", "load", f"--from-file={script}")
    return namespace


@contextmanager
def load(namespace: Namespace, title: str) -> Iterator[dict[str, Any]]:
    """Asks all the while; what came of it is in the dictionary afterwards, and on standard output for the table."""
    found: dict[str, Any] = {}
    namespace.start("load", "gateway", "python", "/scripts/load.py", config="load")
    namespace.kubectl("wait", "--for=condition=Ready", "pod/load", "--timeout=60s")
    try:
        time.sleep(3)
        start = time.monotonic()
        yield found
        time.sleep(3)
        namespace.kubectl("exec", "load", "--", "touch", "/tmp/stop")
        eventually(lambda: namespace.get("pod", "load")["status"]["phase"] == "Succeeded", 60, "the load to end")
        found |= json.loads(namespace.kubectl("logs", "load").splitlines()[-1])
        seconds = time.monotonic() - start
        print(f"\n| {title} | {seconds:.0f} s | {found['answers']} | {len(found['failures'])} | {found['slowest']:.2f} s |")
    finally:
        namespace.kubectl("delete", "pod", "load", "--grace-period=1")
    assert found["failures"] == []
    assert found["answers"] > 0.5 * 50 * seconds


def test_a_rolling_restart_of_the_gateway(release: Namespace) -> None:
    with load(release, "rolling restart of the gateway"):
        release.kubectl("rollout", "restart", "deployment/handwriting-gateway")
        release.rolled_out("gateway")


def test_a_rolling_restart_of_the_model_servers(release: Namespace) -> None:
    with load(release, "rolling restart of the model servers"):
        release.kubectl("rollout", "restart", "deployment/handwriting-serving")
        release.rolled_out("serving")


def test_an_upgrade_of_the_chart(release: Namespace) -> None:
    settings = ("--reuse-values", "--set", "gateway.settings.max_batch_images=9,serving.grpcMaxThreads=32")
    with load(release, "upgrade of the chart: both roll"):
        release.helm("upgrade", "handwriting", str(CHART), *settings, "--wait", "--timeout", "5m")
        release.rolled_out("gateway", "serving")


def test_a_version_is_published_and_promoted(release: Namespace) -> None:
    publish = (
        "from tfserving.repository import Repository; from pathlib import Path; "
        "print(Repository('/models').publish('digits', Path('/models/digits/1')))"
    )
    with load(release, "publish and promote a version") as found:
        release.run("publish", "gateway", "python", "-c", publish, mounts=True)
        sh(HCR, "--kube", NAMESPACE, "promote", "digits", "2", timeout=200)
        time.sleep(5)

    assert set(found["versions"]) == {"1", "2"}


def test_each_pod_is_deleted_in_turn(release: Namespace) -> None:
    with load(release, "delete each pod in turn"):
        for component in ("gateway", "serving"):
            for pod in release.pods(component):
                release.kubectl("delete", "pod", pod, "--wait=false")
                eventually(lambda gone=pod, of=component: gone not in release.pods(of), 60, f"{pod} to go")
                eventually(lambda of=component: len(release.pods(of)) == 2, 90, f"two pods of {component}")
        release.rolled_out("gateway", "serving")


def test_model_servers_scale_to_three_that_share_the_calls_and_back(release: Namespace) -> None:
    with load(release, "scale the model servers 1 → 3 → 1"):
        release.kubectl("scale", "deployment/handwriting-serving", "--replicas=1")
        release.rolled_out("serving")
        release.kubectl("scale", "deployment/handwriting-serving", "--replicas=3")
        release.rolled_out("serving")
        time.sleep(25)  # within 40 s of the rollout's end, over the last 15 of which calls are counted
        before = calls(release)
        time.sleep(15)
        counts = {pod: count - before[pod] for pod, count in calls(release).items()}
        release.kubectl("scale", "deployment/handwriting-serving", "--replicas=1")
        release.rolled_out("serving")
        release.kubectl("scale", "deployment/handwriting-serving", "--replicas=2")
        release.rolled_out("serving")
    print(f"share of calls: {sorted(round(count / sum(counts.values()), 2) for count in counts.values())}")

    assert len(counts) == 3
    assert min(counts.values()) >= 0.2 * sum(counts.values())


def test_a_model_server_is_killed(release: Namespace) -> None:
    pod = release.pods("serving")[0]
    (container,) = release.get("pod", pod)["status"]["containerStatuses"]
    with load(release, "kill -9 of one of two model servers"):
        before = calls(release)
        eventually(lambda: all(count > before[name] for name, count in calls(release).items()), 60, "both to get calls")
        kill(pod, container["containerID"].partition("//")[2])
        eventually(lambda: _restarts(release, pod) > container["restartCount"], 60, "the kubelet to start it again")
        eventually(lambda: len(release.pods("serving")) == 2, 90, "two model servers")


def calls(namespace: Namespace) -> dict[str, int]:
    """How many calls each model server has answered."""
    counts = {}
    for pod in namespace.pods("serving"):
        raw = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8501/proxy/monitoring/prometheus/metrics"
        lines = namespace.kubectl("get", "--raw", raw).splitlines()
        counts[pod] = sum(
            int(float(line.split()[-1])) for line in lines if line.startswith(":tensorflow:serving:request_count")
        )
    return counts


def kill(pod: str, container: str) -> None:
    """Kills the container's process on the node, as only a node that is this machine allows."""
    found = subprocess.run(["pgrep", "-f", "tfserving.dev_server"], capture_output=True, text=True).stdout.split()
    (pid,) = [pid for pid in found if container in Path(f"/proc/{pid}/cgroup").read_text()] or [None]
    if pid is None:
        pytest.skip(f"the process of {pod} is not to be seen here; the node must be this machine")
    subprocess.run(["kill", "-9", pid], check=True)


def _restarts(namespace: Namespace, pod: str) -> int:
    return int(namespace.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"])
