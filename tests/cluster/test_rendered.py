"""`kubectl apply` of the rendered manifests on an empty namespace."""

import json

from tests.cluster.conftest import ROOT, Namespace

NAMESPACE = "handwriting-rendered"


def test_the_rendered_manifests_become_a_gateway_that_answers(namespace: Namespace) -> None:
    namespace.kubectl("apply", "-f", str(ROOT / "k8s" / "rendered" / "development.yaml"))

    namespace.kubectl("wait", "--for=condition=Available", "deployment/handwriting-gateway", "--timeout=600s", timeout=610)

    raw = f"/api/v1/namespaces/{NAMESPACE}/services/handwriting:http/proxy/readyz"
    assert json.loads(namespace.kubectl("get", "--raw", raw))["status"] == "ready"
