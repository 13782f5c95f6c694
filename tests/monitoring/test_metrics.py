"""Rules and dashboards ask for metrics that there are."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from gateway.metrics import Metrics

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "handwriting"
DASHBOARDS = sorted(CHART.glob("files/dashboards/*.json"))
RULES = yaml.safe_load((CHART / "files" / "rules" / "handwriting.yaml").read_text())
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
ELSEWHERE = {
    "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
    "container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
    ":tensorflow:serving:request_count",
    ":tensorflow:serving:request_latency_count", ":tensorflow:serving:request_latency_bucket",
}  # fmt: skip
"""Metrics of the kubelet and of TensorFlow Serving."""


def gateway_metrics() -> set[str]:
    """The names of all samples that a gateway can give."""
    metrics = Metrics()
    types = re.findall(r"^# TYPE (\S+) (\w+)$", generate_latest(metrics.registry).decode(), re.MULTILINE)
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
    return {name + suffix for name, kind in types for suffix in suffixes[kind]}


def asked(expression: str) -> set[str]:
    """The names of metrics in a PromQL expression."""
    names = r"(?<![\w:])((?:gateway|process|kubelet|container)_\w+|handwriting:[\w:]+|:tensorflow:[\w:]+)(?!\s*=)"
    return set(re.findall(names, re.sub(r"\bby \([^)]*\)", "", expression)))


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries(namespace: str) -> list[str]:
    """What all panels ask, as Grafana asks it for that namespace."""
    expressions = [target["expr"] for path in DASHBOARDS for panel in panels(path) for target in panel["targets"]]
    return [one.replace("$namespace", namespace).replace("$__rate_interval", "1m") for one in expressions]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_metrics_that_there_are(path: Path) -> None:
    expressions = [target["expr"] for panel in panels(path) for target in panel["targets"]]

    assert all(asked(expression) for expression in expressions)
    assert set().union(*map(asked, expressions)) <= gateway_metrics() | RECORDED | ELSEWHERE


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    expressions = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]

    assert all(asked(expression) for expression in expressions)
    assert set().union(*map(asked, expressions)) <= gateway_metrics() | RECORDED | ELSEWHERE


def test_what_a_gateway_measures_is_on_a_dashboard() -> None:
    shown = set().union(
        *(asked(target["expr"]) for path in DASHBOARDS for panel in panels(path) for target in panel["targets"])
    )
    measured = (
        "requests_total",
        "requests_in_flight",
        "shed_total",
        "predictions_total",
        "model_call_total",
        "model_version_info",
    )

    assert {f"gateway_{name}" for name in measured} <= shown
    assert {"gateway_batch_size_bucket", "gateway_confidence_bucket", "gateway_stage_duration_seconds_bucket"} <= shown


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_s_panels_have_their_own_place_and_number(path: Path) -> None:
    every = json.loads(path.read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in every}

    assert len(places) == len({panel["id"] for panel in every}) == len(every)


def test_prometheus_understands_what_the_dashboards_ask(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": "panel", "expr": query, "labels": {"number": str(number)}} for number, query in enumerate(queries("n"))]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))

    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_no_two_dashboards_share_a_uid() -> None:
    assert len({json.loads(path.read_text())["uid"] for path in DASHBOARDS}) == len(DASHBOARDS) == 3
