"""`kubectl apply` of the rendered manifests on an empty namespace."""

import json
import subprocess
from typing import Any

from tests.cluster.conftest import ROOT, Namespace, eventually

NAMESPACE = "handwriting-rendered"


def test_the_rendered_manifests_become_a_gateway_that_answers(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(ROOT / "k8s" / "rendered" / "development.yaml"))

    refusal = eventually(lambda: readiness(namespace), 180, "the gateway to say why it is not ready")
    assert refusal["status"] == 503
    assert refusal["code"] == "model_unavailable"
    assert "digits" in refusal["detail"]

    namespace.kubectl("wait", "--for=condition=Available", "deployment/handwriting-gateway", "--timeout=600s", timeout=610)

    raw = f"/api/v1/namespaces/{NAMESPACE}/services/handwriting:http/proxy/readyz"
    assert json.loads(namespace.kubectl("get", "--raw", raw))["status"] == "ready"


def readiness(namespace: Namespace) -> Any:
    """What a gateway answers on /readyz, ready or not; None while none runs."""
    ask = (
        "import urllib.request as r; r.HTTPErrorProcessor.http_response = lambda self, request, response: response; "
        "print(r.urlopen('http://127.0.0.1:8080/readyz', timeout=20).read().decode())"
    )
    command = ["kubectl", "-n", namespace.name, "exec", "deployment/handwriting-gateway", "--", "python", "-c", ask]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else None
