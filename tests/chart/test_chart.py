"""What the chart makes, value set by value set: valid, restricted, and as its README says."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.conftest import (
    CHART,
    KUBERNETES,
    ROOT,
    VALUE_SETS,
    Manifest,
    Render,
    of_kind,
    pod_faults,
    pod_templates,
    schema_faults,
)

Template = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("values", sorted(VALUE_SETS))
def test_helm_finds_no_fault(helm: str, values: str) -> None:
    done = subprocess.run(
        [helm, "lint", "--strict", "--kube-version", "1.31.0", str(CHART), *VALUE_SETS[values]], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_satisfies_the_schemas_of_the_api(manifests: list[Manifest], version: str, tmp_path: Path) -> None:
    ours = [item for item in manifests if not item["apiVersion"].startswith("monitoring.coreos.com/")]
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(ours))

    assert schema_faults(file, version) == ""


def test_the_validation_would_see_a_mistake(render: Render, tmp_path: Path) -> None:
    wrong = yaml.safe_load(yaml.safe_dump(of_kind(render(), "Deployment", "handwriting-gateway")))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump(wrong))

    assert "readinesProbe" in schema_faults(file, KUBERNETES[0])


def test_every_pod_satisfies_the_pod_security_standard_restricted(manifests: list[Manifest]) -> None:
    pods = pod_templates(manifests)

    assert {name: faults for name, pod in pods.items() if (faults := pod_faults(pod["spec"]))} == {}
    assert len(pods) >= 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pod: pod["securityContext"].pop("runAsNonRoot"),
        lambda pod: pod["securityContext"].update(seccompProfile={"type": "Unconfined"}),
        lambda pod: pod.update(hostNetwork=True),
        lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        lambda pod: pod["containers"][0]["securityContext"].update(privileged=True),
        lambda pod: pod["containers"][0]["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        lambda pod: pod["initContainers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
        lambda pod: pod.update(automountServiceAccountToken=True),
    ],
)
def test_the_check_of_pod_security_sees_each_fault(render: Render, spoil: Callable[[Any], object]) -> None:
    pod = yaml.safe_load(yaml.safe_dump(pod_templates(render())["Deployment handwriting-serving"]))["spec"]
    assert pod_faults(pod) == []

    spoil(pod)

    assert len(pod_faults(pod)) == 1


def test_what_mounts_a_volume_of_one_node_goes_to_one_node(render: Render) -> None:
    mounting = {
        name: pod
        for name, pod in pod_templates(render()).items()
        if any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes", []))
    }

    assert {name.split()[0] for name in mounting} == {"Deployment", "Job", "CronJob"}
    for pod in mounting.values():
        (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_several_model_servers_and_a_volume_of_one_node_are_refused_in_plain_words(template: Template) -> None:
    refused = template("--set", "serving.replicas=2")

    assert refused.returncode != 0
    assert "repository.accessMode=ReadWriteMany" in refused.stderr
    assert template("--set", "serving.replicas=2,repository.singleNode=true").returncode == 0
    assert template("--set", "serving.replicas=2,repository.accessMode=ReadWriteMany").returncode == 0


def test_no_rollout_takes_a_pod_away_before_another_is_ready(render: Render) -> None:
    for name in ("handwriting-gateway", "handwriting-serving"):
        assert of_kind(render(), "Deployment", name)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_model_server_serves_on_until_every_connection_to_it_has_aged(render: Render) -> None:
    pod = pod_templates(render())["Deployment handwriting-serving"]["spec"]
    (container,) = pod["containers"]
    (age,) = re.findall(r"max_connection_age_ms=(\d+)", " ".join(container["args"]))
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])

    # Twice, as the first look at DNS after the pod went may still have found it; gRPC adds a tenth.
    assert drain >= 1.1 * int(age) / 1000 + 5
    assert pod["terminationGracePeriodSeconds"] > drain


def test_a_change_of_a_setting_rolls_the_gateway(render: Render) -> None:
    def checksum(*arguments: str) -> str:
        pod = pod_templates(render(*arguments))["Deployment handwriting-gateway"]
        return str(pod["metadata"]["annotations"]["checksum/config"])

    assert checksum() != checksum("--set", "gateway.settings.max_batch_images=9")


def test_large_numbers_reach_the_gateway_as_they_were_written(render: Render) -> None:
    data = of_kind(render("--set", "gateway.settings.max_request_bytes=67108864"), "ConfigMap", "handwriting-gateway")["data"]

    assert data["GATEWAY_MAX_REQUEST_BYTES"] == "67108864"


def test_the_gateway_accepts_the_settings_that_the_chart_gives_it(manifests: list[Manifest], tmp_path: Path) -> None:
    from gateway.settings import Settings

    (name,) = [
        item["metadata"]["name"] for item in manifests if item["kind"] == "Deployment" and "gateway" in item["metadata"]["name"]
    ]
    environment = {**of_kind(manifests, "ConfigMap", name)["data"]}
    if "GATEWAY_KEYS_FILE" in environment:
        environment["GATEWAY_KEYS_FILE"] = str(keys_file(tmp_path, manifests))
    settings = Settings.from_environment(environment)

    assert settings.model_server == "handwriting-serving:8500"
    assert settings.drain_seconds == 10


def test_a_generated_key_is_one_that_the_gateway_lets_in(render: Render, tmp_path: Path) -> None:
    from gateway.keys import KeyRing

    manifests = render("--set", "gateway.keys.generate=true")
    key = KeyRing(keys_file(tmp_path, manifests)).find(of_kind(manifests, "Secret")["stringData"]["key"])

    assert key is not None
    assert key.scopes == {"predict", "feedback"}
    mounted = pod_templates(manifests)["Deployment handwriting-gateway"]["spec"]["volumes"]
    assert {"secretName": "handwriting-keys", "items": [{"key": "keys", "path": "keys"}]} in [
        item.get("secret") for item in mounted
    ]


@pytest.mark.parametrize(
    ("values", "given", "passes", "says"),
    [
        ((), "", True, "'prediction': '7'"),
        (("--set", "gateway.keys.generate=true"), "right", True, "'prediction': '7'"),
        (("--set", "gateway.keys.generate=true"), "wrong", False, "unauthorized"),
        (("--set", "gateway.keys.existingSecret=mine"), "", True, "give the Secret mine a member `key`"),
    ],
)
def test_helm_test_asks_as_the_gateway_wants_to_be_asked(
    render: Render, values: tuple[str, ...], given: str, passes: bool, says: str
) -> None:
    (container,) = pod_templates(render(*values))["Pod handwriting-test-recognises"]["spec"]["containers"]
    with _answering("right" if values else "") as url:
        environment = {**os.environ, "HCR_KEY": given} | {item["name"]: item.get("value", given) for item in container["env"]}
        command = [sys.executable, *container["command"][1:]]
        done = subprocess.run(command, env=environment | {"URL": url}, cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode == 0) is passes, done.stderr
    assert says in done.stdout


def test_the_notes_ask_until_the_gateway_is_ready(helm: str, tmp_path: Path) -> None:
    command = next(line for line in notes(helm, tmp_path).splitlines() if "curl" in line)
    assert "X-API-Key" not in command
    with _answering("", unready=2) as url:
        done = subprocess.run(
            ["bash", "-c", command.replace("http://127.0.0.1:8080", url)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"prediction": "7"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("gateway.keys.generate=true", "KEY=$(kubectl -n test get secret handwriting-keys"),
        ("gateway.keys.existingSecret=mine", "in the Secret mine"),
    ],
)
def test_the_notes_say_which_key_to_ask_with(helm: str, tmp_path: Path, values: str, says: str) -> None:
    text = notes(helm, tmp_path, "--set", values)

    assert says in text
    assert '-H "X-API-Key: $KEY"' in text


def notes(helm: str, folder: Path, *arguments: str) -> str:
    """NOTES.txt as helm install prints it. Without a cluster helm makes only manifests, so they become one."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart)
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "notes.yaml").write_text(
        f'{{{{- define "notes" }}}}{text}{{{{ end }}}}\nnotes: {{{{ include "notes" . | toJson }}}}\n'
    )
    command = [
        helm,
        "template",
        "handwriting",
        str(chart),
        "-n",
        "test",
        "--kube-version",
        "1.31.0",
        "-s",
        "templates/notes.yaml",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


@contextmanager
def _answering(key: str, unready: int = 0) -> Iterator[str]:
    """The URL of a server that answers 7 to who has the key, and 401 to others; 503 so many times before."""
    left = iter(range(unready))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_let_in = self.path == "/v1/predict" and self.headers.get("X-API-Key", "") == key
            body = json.dumps({"prediction": "7"} if is_let_in else {"code": "unauthorized"}).encode()
            is_ready = next(left, None) is None
            self.send_response((200 if is_let_in else 401) if is_ready else 503)
            if not is_ready:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def keys_file(folder: Path, manifests: list[Manifest]) -> Path:
    """The file that a gateway would see; that of a Secret which the chart does not make holds some other key."""
    made = [item["stringData"]["keys"] for item in manifests if item["kind"] == "Secret"]
    file = folder / "keys"
    file.write_text(made[0] if made else f"other predict sha256:{'0' * 64}\n")
    return file


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("gateway.settings.no_such_setting=1", "no_such_setting"),
        ("gateway.settings.max_batch_images=0", "max_batch_images"),
        ("gateway.replica=3", "replica"),
        ("repository.accessMode=ReadWriteSometimes", "accessMode"),
        ("bootstrap.preset=fastest", "preset"),
        ("serving.image.digest=sha256:12", "digest"),
    ],
)
def test_a_wrong_value_is_named(template: Template, wrong: str, named: str) -> None:
    done = template("--set", wrong)

    assert done.returncode != 0
    assert named in done.stderr


def test_only_gateways_and_releases_reach_a_model_server_and_it_reaches_nobody(render: Render) -> None:
    policy = of_kind(render(), "NetworkPolicy", "handwriting-serving")["spec"]
    (calls,) = [rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "grpc"]

    assert {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in calls["from"]} == {
        "gateway",
        "release",
    }
    assert "Egress" in policy["policyTypes"]
    assert "egress" not in policy


def test_every_pod_of_the_release_is_denied_what_no_policy_allows(render: Render) -> None:
    policy = of_kind(render(), "NetworkPolicy", "handwriting-deny")["spec"]
    selector = policy["podSelector"]["matchLabels"].items()

    assert (policy["policyTypes"], policy.get("ingress"), policy.get("egress")) == (["Ingress", "Egress"], None, None)
    assert all(selector <= pod["metadata"]["labels"].items() for pod in pod_templates(render()).values())


def test_the_models_outlive_the_release(render: Render) -> None:
    assert of_kind(render(), "PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_another_bootstrap_is_another_job(render: Render) -> None:
    names = {of_kind(render(*change), "Job")["metadata"]["name"] for change in ((), ("--set", "bootstrap.preset=default"))}

    assert len(names) == 2


def test_the_versions_are_the_project_s(render: Render) -> None:
    (version,) = re.findall(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == version
    development = yaml.safe_load((CHART / "ci" / "development-values.yaml").read_text())
    assert development["serving"]["image"]["tag"] == version


def test_the_model_server_is_not_older_than_the_tensorflow_that_trains() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    (trains,) = re.findall(
        r"^tensorflow-cpu==(\d+)\.(\d+)", (ROOT / "requirements" / "pipelines.txt").read_text(), re.MULTILINE
    )

    assert tuple(map(int, values["serving"]["image"]["tag"].split(".")[:2])) >= tuple(map(int, trains))


@pytest.mark.parametrize("name", ["handwriting", "development"])
def test_the_rendered_manifests_are_current(template: Template, name: str) -> None:
    values = () if name == "handwriting" else VALUE_SETS[name]
    done = subprocess.run([str(ROOT / "scripts" / "render.sh"), "--print", *values], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "k8s" / "rendered" / f"{name}.yaml").read_text(), "run make render"
