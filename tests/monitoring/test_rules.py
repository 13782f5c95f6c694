"""The alerts: each fires where it should and not where it should not (promtool), and each has its place in the runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm" / "handwriting" / "files" / "rules" / "handwriting.yaml"
CASES = Path(__file__).with_name("rules_test.yaml")
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if "alert" in rule
}


def test_prometheus_accepts_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_not_otherwise(promtool: str) -> None:
    done = subprocess.run([promtool, "test", "rules", CASES], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}

    assert firing == quiet == set(ALERTS)


def test_every_alert_has_a_heading_in_the_runbook() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    headings = {heading.strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}

    assert [name for name in ALERTS if name.lower() not in headings] == []
    assert {rule["annotations"]["runbook"] for rule in ALERTS.values()} == {
        f"docs/operations.md#{name.lower()}" for name in ALERTS
    }
