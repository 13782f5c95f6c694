"""`hcr --kube`: runs a command where the repository's volume is, as a Job from the template that the chart left there."""

import json
import subprocess
import sys
import time
from typing import Any

import click

from tfserving import audit

COMMANDS = ("models", "history", "promote", "split", "end-canary", "rollback", "prune")
"""What can run in a cluster: all that needs the repository, and no picture, gateway or training."""

_TIMEOUT_SECONDS = 300
_POLL_SECONDS = 0.5


def run(where: str, arguments: list[str]) -> int:
    """The command's exit status, after its output. `where` is a namespace, or namespace/release where it has several.

    Raises:
        ClickException: there is no such release, or its pod does not come to run.
    """
    namespace, _, release = where.partition("/")
    template = _template(namespace, release)
    job = _kubectl(namespace, "create", "-f", "-", "-o", "name", given=json.dumps(_job(template, arguments))).strip()
    return _follow(namespace, job)


def _template(namespace: str, release: str) -> dict[str, Any]:
    selector = "app.kubernetes.io/part-of=handwriting,app.kubernetes.io/component=release"
    if release:
        selector += f",app.kubernetes.io/instance={release}"
    found: list[dict[str, Any]] = json.loads(_kubectl(namespace, "get", "cronjobs", "-l", selector, "-o", "json"))["items"]
    if not found:
        raise click.ClickException(f"namespace {namespace} has no release {release}".rstrip() + " of the chart handwriting")
    if len(found) > 1:
        names = ", ".join(f"{namespace}/{item['metadata']['labels']['app.kubernetes.io/instance']}" for item in found)
        raise click.ClickException(f"namespace {namespace} has several releases; name one: --kube {names}")
    return found[0]


def _job(template: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    made = template["spec"]["jobTemplate"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["args"] = arguments
    actor = {"name": audit.ACTOR_VARIABLE, "value": audit.actor()}  # the audit log names who asked, not the pod
    container["env"] = [*(item for item in container.get("env", []) if item["name"] != actor["name"]), actor]
    described = template["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": described["name"], "uid": described["uid"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": f"{described['name']}-{arguments[0]}-",
            "labels": made["metadata"].get("labels", {}),
            "ownerReferences": [owner],  # it goes with the release
        },
        "spec": made["spec"],
    }


def _follow(namespace: str, job: str) -> int:
    """Waits for the Job's end, prints what its pod wrote, and gives the pod's exit status."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not (pod := _ended(namespace, job)):
        if time.monotonic() > deadline:
            raise click.ClickException(f"{job} did not end within {_TIMEOUT_SECONDS} s: {_why(namespace, job)}")
        time.sleep(_POLL_SECONDS)
    sys.stdout.write(_kubectl(namespace, "logs", pod["metadata"]["name"]))
    (container,) = pod["status"].get("containerStatuses") or [{}]
    return int(container.get("state", {}).get("terminated", {}).get("exitCode", 1))


def _ended(namespace: str, job: str) -> dict[str, Any] | None:
    pods = _pods(namespace, job)
    return next((pod for pod in pods if pod["status"].get("phase") in ("Succeeded", "Failed")), None)


def _why(namespace: str, job: str) -> str:
    pods = _pods(namespace, job)
    if not pods:
        return "it has no pod; kubectl describe says why"
    status = pods[0]["status"]
    waiting = [item["state"]["waiting"] for item in status.get("containerStatuses", []) if "waiting" in item["state"]]
    reasons = [*waiting, *(item for item in status.get("conditions", []) if item.get("status") == "False")]
    return f"its pod is {status['phase']}: " + "; ".join(str(item.get("message") or item.get("reason")) for item in reasons)


def _pods(namespace: str, job: str) -> list[dict[str, Any]]:
    selector = f"batch.kubernetes.io/job-name={job.partition('/')[2]}"
    found: list[dict[str, Any]] = json.loads(_kubectl(namespace, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return found


def _kubectl(namespace: str, *arguments: str, given: str | None = None) -> str:
    command = ["kubectl", "--namespace", namespace, *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise click.ClickException("--kube needs kubectl on PATH, with access to the cluster") from None
    except subprocess.TimeoutExpired:
        raise click.ClickException(f"kubectl {arguments[0]} did not answer within 60 s") from None
    if done.returncode:
        raise click.ClickException(f"kubectl {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
