"""The chart on a real cluster, from an empty namespace to its uninstallation. The tests build on each other, in this order."""

import base64
import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.cluster import launcher
from tests.cluster.conftest import CHART, ROOT, TAG, VALUES, Namespace, eventually, sh
from tests.monitoring.test_metrics import queries
from tfserving import audit

NAMESPACE = "handwriting-e2e"
HCR = str(ROOT / ".venv" / "bin" / "hcr")
TEST = {
    "app.kubernetes.io/name": "handwriting", "app.kubernetes.io/instance": "handwriting", "app.kubernetes.io/component": "test",
}  # fmt: skip
REACHES_A_MODEL_SERVER = "import socket; socket.create_connection(('handwriting-serving', 8500), 5); print('connected')"


@pytest.fixture(autouse=True)
def stop_at_the_first_failure(request: pytest.FixtureRequest) -> None:
    if request.session.testsfailed:
        pytest.fail("an earlier step of this sequence failed", pytrace=False)


def test_an_install_returns_when_the_first_model_answers(namespace: Namespace) -> None:
    said = namespace.helm("install", "handwriting", str(CHART), "-f", str(VALUES), "--wait", "--timeout", "10m")

    assert answer_of_the_notes(said)["prediction"] == "7"
    assert len(namespace.pods("gateway")) == 2
    (job,) = namespace.get("jobs", "-l", "app.kubernetes.io/component=bootstrap")["items"]
    log = namespace.kubectl("logs", f"job/{job['metadata']['name']}")
    assert "published as digits version 1" in log
    assert "epoch 2/2" in log


def answer_of_the_notes(said: str) -> Any:
    """What comes of the commands that helm's notes give, on a port of this machine that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    commands = [line.strip() for line in said.splitlines() if line.startswith(("  kubectl", "  curl")) and "8080" in line]
    script = "\n".join(["trap 'kill $(jobs -p)' EXIT", *commands]).replace("8080", port)
    return json.loads(re.findall(r"\{.*\}", sh("bash", "-c", f"cd {ROOT}\n{script}"))[0])


def test_helm_s_tests_pass(namespace: Namespace) -> None:
    said = namespace.helm("test", "handwriting", "--timeout", "2m")

    assert said.count("Phase:          Succeeded") == 2


def test_digits_are_recognised_through_the_service(namespace: Namespace) -> None:
    script = (
        "hcr predict --json --url http://handwriting $(dirname $(python -c 'import hcr; print(hcr.__file__)'))/examples/*.png"
    )

    answers = [json.loads(line) for line in namespace.run("digits", "gateway", "sh", "-c", script, labels=TEST).splitlines()]

    names = {"two": "2", "three": "3", "seven": "7"}
    assert len(answers) >= 2
    for answer in answers:
        stem = answer["file"].rpartition("/")[2].removesuffix(".png")
        assert answer["prediction"] == names.get(stem, answer["prediction"])


def test_a_prometheus_scrapes_every_pod_and_takes_the_rules(namespace: Namespace) -> None:
    configmap, pod = yaml.safe_load_all((ROOT / "tests" / "cluster" / "prometheus.yaml").read_text().replace("TAG", TAG))
    for component in ("gateway", "serving"):
        configmap["data"][f"{component}.json"] = json.dumps(scraped(namespace, component))
    namespace.kubectl("apply", "-f", "-", given=yaml.safe_dump_all([configmap, pod]))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/prometheus", "--timeout=90s")

    def ask(path: str) -> Any:
        raw = f"/api/v1/namespaces/{NAMESPACE}/pods/prometheus:9090/proxy/api/v1/{path}"
        return json.loads(sh("kubectl", "get", "--raw", raw))["data"]

    def targets_up() -> bool:
        targets = ask("targets")["activeTargets"]
        return len(targets) == 3 and all(target["health"] == "up" for target in targets)

    eventually(targets_up, 60, "all three targets to be up")
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    written = yaml.safe_load((CHART / "files" / "rules" / "handwriting.yaml").read_text())["groups"]
    assert sorted(rule["name"] for rule in rules) == sorted(
        rule.get("alert") or rule["record"] for group in written for rule in group["rules"]
    )
    eventually(
        lambda: all(rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]), 60, "every rule"
    )
    for metric in ("gateway_predictions_total", "gateway_model_versions", ":tensorflow:serving:request_count"):
        eventually(lambda: ask(f"query?query={metric}")["result"], 30, metric)  # noqa: B023
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
    asked = queries(NAMESPACE)

    def told() -> int:  # by how many; a query that is refused fails. Rates need two samples
        return sum(bool(ask(f"query?query={quote(query)}")["result"]) for query in asked)

    eventually(lambda: told() > len(asked) / 2, 60, "most panels of the dashboards to show something")
    namespace.kubectl("delete", "pod", "prometheus", "--grace-period=1")


def scraped(namespace: Namespace, component: str) -> list[dict[str, Any]]:
    """The component's targets, as a Prometheus that goes by annotations finds them."""
    found = []
    for item in namespace.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]:
        annotations = item["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert (
            annotations["prometheus.io/path"] == {"gateway": "/metrics", "serving": "/monitoring/prometheus/metrics"}[component]
        )
        address = f"{item['status']['podIP']}:{annotations['prometheus.io/port']}"
        found.append({"targets": [address], "labels": {"namespace": namespace.name, "pod": item["metadata"]["name"]}})
    return found


def test_nobody_but_the_gateway_reaches_a_model_server(namespace: Namespace) -> None:
    command = ("python", "-c", REACHES_A_MODEL_SERVER)

    for labels in ({}, TEST):
        with pytest.raises(AssertionError, match=r"[Tt]imed? ?out|refused|resolution|unreachable|not permitted"):
            namespace.run("stranger", "gateway", *command, labels=labels)
    gateway = namespace.pods("gateway")[0]
    assert "connected" in namespace.kubectl("exec", gateway, "--", *command)


def test_a_model_server_reaches_nobody(namespace: Namespace) -> None:
    server = namespace.pods("serving")[0]
    address = namespace.get("service", "handwriting")["spec"]["clusterIP"]
    command = f"import socket; socket.create_connection(('{address}', 80), 3)"

    done = subprocess.run(
        ["kubectl", "-n", NAMESPACE, "exec", server, "-c", "serving", "--", "python", "-c", command],
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "timed out" in done.stderr or "refused" in done.stderr


def test_no_pod_has_a_token_and_no_root_can_be_written(namespace: Namespace) -> None:
    for component, container in (("gateway", "gateway"), ("serving", "serving")):
        pod = namespace.pods(component)[0]
        command = "test ! -e /var/run/secrets/kubernetes.io && ! touch /usr/x 2>/dev/null && id -u"
        assert namespace.kubectl("exec", pod, "-c", container, "--", "sh", "-c", command).strip() == "10001"


def test_versions_are_released_where_the_volume_is(namespace: Namespace) -> None:
    def hcr(*arguments: str) -> str:
        return sh(HCR, "--kube", f"{NAMESPACE}/handwriting", *arguments, timeout=200)

    publish = (
        "from tfserving.repository import Repository; from pathlib import Path; "
        "print(Repository('/models').publish('digits', Path('/models/digits/1')))"
    )
    labels = {"handwriting/repository": "handwriting-repository"}
    assert namespace.run("publish", "gateway", "python", "-c", publish, labels=labels, mounts=True).strip() == "2"

    assert "stable of digits is version 2 now" in hcr("promote", "digits", "2")
    assert "stable of digits is version 1 again" in hcr("rollback", "digits")
    assert "nothing of digits to delete" in hcr("prune", "digits", "--keep", "1")
    assert "stable" in hcr("models")
    done = [json.loads(line) for line in hcr("history", "digits", "--json").splitlines()]
    assert [entry["action"] for entry in done][-2:] == ["promote", "rollback"]
    assert done[-1]["who"] == audit.actor()


RELEASER = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: releaser}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: releaser}
rules:
  - {apiGroups: [batch], resources: [cronjobs], verbs: [list]}
  - {apiGroups: [batch], resources: [jobs], verbs: [create]}
  - {apiGroups: [""], resources: [pods], verbs: [get, list]}
  - {apiGroups: [""], resources: [pods/log], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: releaser}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: releaser}
subjects: [{kind: ServiceAccount, name: releaser}]
"""


def test_releases_need_the_rights_that_the_docs_name_and_no_more(namespace: Namespace, tmp_path: Path) -> None:
    namespace.kubectl("apply", "-f", "-", given=RELEASER)
    models = [HCR, "--kube", NAMESPACE, "models"]

    assert "stable" in sh("env", f"KUBECONFIG={as_account(namespace, 'releaser', tmp_path)}", *models, timeout=200)
    with pytest.raises(AssertionError, match=r"kubectl get: .*[Ff]orbidden"):
        sh("env", f"KUBECONFIG={as_account(namespace, 'default', tmp_path)}", *models)


def as_account(namespace: Namespace, account: str, folder: Path) -> Path:
    """A kubeconfig with which kubectl is that service account."""
    config = json.loads(sh("kubectl", "config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": namespace.kubectl("create", "token", account).strip()}
    path = folder / account
    path.write_text(json.dumps(config))
    return path


def test_the_pipeline_s_steps_run_as_kubeflow_s_launcher_starts_them_and_one_that_is_evicted_goes_on(
    namespace: Namespace,
) -> None:
    recipe = (ROOT / "tests" / "cluster" / "small.toml").read_text()
    parameters = {
        "recipe": recipe,
        "preset": "default",
        "seed": -1,
        "repository": "/models",
        "cache_dir": "/tmp/hcr/data",
        "state_dir": "/models/.state",
    }
    labels = {"handwriting/repository": "handwriting-repository"}

    def run(step: str) -> str:
        return namespace.run(f"step-{step}", "pipelines", *launcher.command(step, parameters), labels=labels, mounts=True)

    run("prepare")
    namespace.start("step-train", "pipelines", *launcher.command("train", parameters), labels=labels, mounts=True)
    eventually(lambda: "epoch 2/" in namespace.log("step-train"), 180, "two epochs of the training")
    namespace.evict("step-train")
    resumed = run("train")
    for step in ("evaluate", "validate", "publish"):
        run(step)

    assert "going on after epoch" in resumed
    assert "epoch 1/" not in resumed
    assert set(launcher.STEPS) == {"prepare", "train", "evaluate", "validate", "publish"}
    assert launcher.mounts_the_repository("publish")
    folder = launcher.ARTIFACTS
    read = f"cat {folder}/publish/outcome {folder}/evaluate/executor_output.json; rm -r {folder}"
    outcome, _, metrics = namespace.run("outcome", "gateway", "sh", "-c", read, labels=labels, mounts=True).partition("}")
    assert json.loads(outcome + "}") == {"version": 1}
    assert '"accuracy"' in metrics


def test_a_recurring_run_is_submitted_with_its_account_s_token_and_its_end_awaited(namespace: Namespace) -> None:
    server = ROOT / "tests" / "pipeline" / "kubeflow_server.py"
    namespace.kubectl("create", "configmap", "kubeflow-server", f"--from-file={server}")
    serve = (
        "import sys, time; sys.path.insert(0, '/scripts'); from kubeflow_server import kubeflow\n"
        "with kubeflow('0.0.0.0', 8888) as (_, state):\n"
        "    while not state.runs: time.sleep(0.2)\n"
        "    print(state.tokens[-1], flush=True); time.sleep(600)"
    )
    namespace.start("kubeflow", "pipelines", "python", "-c", serve, config="kubeflow-server")
    address = eventually(lambda: namespace.get("pod", "kubeflow")["status"].get("podIP"), 60, "the endpoint")
    folder = ROOT / "k8s" / "kubeflow"
    recurring = (folder / "recurring-run.yaml").read_text()
    host = "ml-pipeline.kubeflow.svc.cluster.local"
    assert host in recurring
    namespace.kubectl("apply", "-f", str(folder / "rights.yaml"))
    namespace.kubectl("apply", "-f", "-", given=recurring.replace(host, address))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/kubeflow", "--timeout=60s")

    namespace.kubectl("create", "job", "now", "--from=cronjob/handwriting-pipeline")
    namespace.kubectl("wait", "--for=condition=Complete", "job/now", "--timeout=110s")

    assert "the run has succeeded" in namespace.kubectl("logs", "job/now")
    claims = namespace.kubectl("logs", "kubeflow").split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert told["aud"] == ["pipelines.kubeflow.org"]
    assert told["sub"] == f"system:serviceaccount:{namespace.name}:handwriting-submitter"
    asked = [("create", resource) for resource in ("pipelines", "experiments", "runs", "jobs")]
    assert all(is_allowed(namespace, told["sub"], *one) for one in asked)
    assert not is_allowed(namespace, told["sub"], "delete", "runs")
    namespace.kubectl("delete", "-f", str(folder), "--wait=true")
    namespace.kubectl("delete", "pod/kubeflow", "configmap/kubeflow-server", "--grace-period=1", "--wait=true")


def is_allowed(namespace: Namespace, account: str, verb: str, resource: str) -> bool:
    """What the cluster answers a Kubeflow that asks whether the account may do this to its resources."""
    asked = {"namespace": namespace.name, "verb": verb, "group": "pipelines.kubeflow.org", "resource": resource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": asked},
    }
    answer = json.loads(namespace.kubectl("create", "-f", "-", "-o", "json", given=json.dumps(review)))
    return bool(answer["status"].get("allowed"))


def test_an_upgrade_rolls_the_gateway_and_a_rollback_brings_it_back(namespace: Namespace) -> None:
    arguments = ("upgrade", "handwriting", str(CHART), "-f", str(VALUES), "--wait", "--timeout", "5m")
    namespace.helm(*arguments, "--set", "gateway.settings.max_batch_images=9,gateway.keys.generate=true")
    changed = namespace.get("configmap", "handwriting-gateway")["data"]
    gateway = namespace.pods("gateway")[0]
    assert changed["GATEWAY_MAX_BATCH_IMAGES"] == "9"
    assert namespace.kubectl("exec", gateway, "--", "printenv", "GATEWAY_MAX_BATCH_IMAGES").strip() == "9"
    assert namespace.helm("test", "handwriting", "--timeout", "2m").count("Succeeded") == 2  # with the key
    ask = (
        "import urllib.request as r; r.urlopen(r.Request('http://handwriting/v1/predict', b'x', {'Content-Type': 'image/png'}))"
    )
    with pytest.raises(AssertionError, match="401"):
        namespace.run("keyless", "gateway", "python", "-c", ask, labels=TEST)

    namespace.helm("rollback", "handwriting", "1", "--wait", "--timeout", "5m")

    assert "GATEWAY_MAX_BATCH_IMAGES" not in namespace.get("configmap", "handwriting-gateway")["data"]
    (job,) = namespace.get("jobs", "-l", "app.kubernetes.io/component=bootstrap")["items"]
    assert job["status"]["succeeded"] == 1
    assert namespace.helm("test", "handwriting", "--timeout", "2m").count("Succeeded") == 2


def test_the_models_outlive_an_uninstallation_and_releases_of_this_chart_and_the_one_before_use_them(
    namespace: Namespace,
) -> None:
    namespace.helm("uninstall", "handwriting", "--wait", "--timeout", "3m")

    def left() -> set[str]:
        return {item["kind"] for item in namespace.get("all,pvc,networkpolicy,pdb,hpa")["items"]}

    eventually(lambda: left() == {"PersistentVolumeClaim"}, 60, "all to go but the claim")

    (previous,) = (ROOT / "tests" / "cluster" / "previous").glob("*.tgz")
    arguments = ("-f", str(VALUES), "--set", "bootstrap.enabled=false", "--wait", "--timeout", "4m")
    namespace.helm("install", "handwriting", str(previous), *arguments)
    namespace.helm("upgrade", "handwriting", str(CHART), *arguments)

    assert namespace.get("deployment", "handwriting-gateway")["metadata"]["labels"]["helm.sh/chart"] not in previous.name
    assert namespace.helm("test", "handwriting", "--timeout", "2m").count("Succeeded") == 2
    namespace.helm("uninstall", "handwriting", "--wait", "--timeout", "3m")
