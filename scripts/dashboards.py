"""Grafana's dashboards, as JSON in the chart. One row of figures after another, each panel a title, a unit and its queries."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "helm" / "handwriting" / "files" / "dashboards"

_ROUTES = 'namespace="$namespace", route=~"/v[12].*"'
_NS = 'namespace="$namespace"'
Panel = tuple[str, str, list[tuple[str, str]]]
"""Title, Grafana's unit, and (query, legend) of each line."""


def _quantiles(
    metric: str, by: str = "", where: str = _NS, shares: tuple[float, ...] = (0.5, 0.95, 0.99)
) -> list[tuple[str, str]]:
    labels = f"le{', ' + by if by else ''}"
    legend = f" {{{{{by}}}}}" if by else ""
    rates = f"sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    return [(f"histogram_quantile({share}, {rates})", f"p{share:.0%}{legend}") for share in shares]


def _rate(metric: str, by: str, where: str = _NS) -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))", " ".join(
        f"{{{{{name}}}}}" for name in by.split(", ")
    )


GATEWAY: dict[str, list[Panel]] = {
    "Rate, errors, duration": [
        ("Requests", "reqps", [_rate("gateway_requests_total", "route", _ROUTES)]),
        ("Answers by status", "reqps", [_rate("gateway_requests_total", "status", _ROUTES)]),
        ("Duration", "s", _quantiles("gateway_request_duration_seconds", where=_ROUTES)),
        (
            "Failed (objective 0.1 %)",
            "percentunit",
            [
                (f"handwriting:request_errors:ratio_rate5m{{{_NS}}}", "5 min"),
                (f"handwriting:request_errors:ratio_rate1h{{{_NS}}}", "1 h"),
            ],
        ),
        (
            "Slower than 250 ms (objective 1 %)",
            "percentunit",
            [
                (f"handwriting:slow_requests:ratio_rate5m{{{_NS}}}", "5 min"),
                (f"handwriting:slow_requests:ratio_rate1h{{{_NS}}}", "1 h"),
            ],
        ),
        ("Turned away", "reqps", [_rate("gateway_shed_total", "reason")]),
    ],
    "Use": [
        ("Requests in flight", "short", [(f"sum by (pod) (gateway_requests_in_flight{{{_NS}}})", "{{pod}}")]),
        (
            "CPU",
            "short",
            [(f'sum by (pod) (rate(process_cpu_seconds_total{{{_NS}, pod=~".*-gateway-.*"}}[$__rate_interval]))', "{{pod}}")],
        ),
        ("Memory", "bytes", [(f'sum by (pod) (process_resident_memory_bytes{{{_NS}, pod=~".*-gateway-.*"}})', "{{pod}}")]),
    ],
    "Where the time goes": [
        ("Time in stages, of all requests", "s", [_rate("gateway_stage_duration_seconds_sum", "stage")]),
        ("Stage, p99", "s", _quantiles("gateway_stage_duration_seconds", "stage", shares=(0.99,))),
        ("Images in a model call", "short", _quantiles("gateway_batch_size")),
        ("Model calls by status", "ops", [_rate("gateway_model_call_total", "code")]),
    ],
}
MODELS: dict[str, list[Panel]] = {
    "Versions": [
        (
            "Version of each label",
            "none",
            [
                (
                    f"max by (model, label, version) (gateway_model_version_info{{{_NS}}} == 1)",
                    "{{model}} {{label}} = {{version}}",
                )
            ],
        ),
        ("Versions by state", "short", [(f"max by (model, state) (gateway_model_versions{{{_NS}}})", "{{model}} {{state}}")]),
        ("Predictions by version", "ops", [_rate("gateway_predictions_total", "model, version")]),
    ],
    "What is recognised": [
        ("Predictions by class", "ops", [_rate("gateway_predictions_total", "label")]),
        (
            "Share of classes",
            "percentunit",
            [
                (
                    f"sum by (label) (rate(gateway_predictions_total{{{_NS}}}[$__rate_interval])) / ignoring(label) group_left "
                    f"sum(rate(gateway_predictions_total{{{_NS}}}[$__rate_interval]))",
                    "{{label}}",
                )
            ],
        ),
        (
            "Confidence: share of predictions below",
            "percentunit",
            [
                (
                    f"sum by (le) (rate(gateway_confidence_bucket{{{_NS}}}[$__rate_interval])) / ignoring(le) group_left "
                    f"sum(rate(gateway_confidence_count{{{_NS}}}[$__rate_interval]))",
                    "{{le}}",
                )
            ],
        ),
        ("Rejected", "percentunit", [(f"handwriting:rejected:ratio_rate30m{{{_NS}}}", "{{model}}")]),
    ],
}
_OF_ROLE = f"sum by (model, role) (rate(gateway_answers_total{{{_NS}}}[$__rate_interval]))"
MODELS["A release"] = [
    ("Answers by part in the release", "ops", [_rate("gateway_answers_total", "model, version, role")]),
    (
        "Failed, of what each was asked",
        "percentunit",
        [
            (
                f'sum by (model, role) (rate(gateway_answers_total{{{_NS}, outcome="error"}}[$__rate_interval])) / {_OF_ROLE}',
                "{{model}} {{role}}",
            )
        ],
    ),
    ("Wait for scores, p99", "s", _quantiles("gateway_model_seconds", "role", shares=(0.99,))),
    (
        "Mean confidence",
        "percentunit",
        [
            (
                f"sum by (model, version) (rate(gateway_confidence_sum{{{_NS}}}[$__rate_interval])) "
                f"/ sum by (model, version) (rate(gateway_confidence_count{{{_NS}}}[$__rate_interval]))",
                "{{model}} {{version}}",
            )
        ],
    ),
    (
        "Rejected",
        "percentunit",
        [
            (
                f"sum by (model, version) (rate(gateway_rejected_total{{{_NS}}}[$__rate_interval])) "
                f"/ sum by (model, version) (rate(gateway_confidence_count{{{_NS}}}[$__rate_interval]))",
                "{{model}} {{version}}",
            )
        ],
    ),
    ("Asked unseen, by outcome", "ops", [_rate("gateway_shadow_total", "model, outcome")]),
]
SERVING: dict[str, list[Panel]] = {
    "TensorFlow Serving": [
        ("Calls by status", "ops", [_rate(":tensorflow:serving:request_count", "status")]),
        ("Calls by pod", "ops", [_rate(":tensorflow:serving:request_latency_count", "pod")]),
        ("Latency in the server", "µs", _quantiles(":tensorflow:serving:request_latency")),
    ],
    "Pods": [
        (
            "CPU",
            "short",
            [
                (
                    f'sum by (pod) (rate(container_cpu_usage_seconds_total{{{_NS}, container="serving"}}[$__rate_interval]))',
                    "{{pod}}",
                )
            ],
        ),
        ("Memory", "bytes", [(f'sum by (pod) (container_memory_working_set_bytes{{{_NS}, container="serving"}})', "{{pod}}")]),
        (
            "Repository, used",
            "percentunit",
            [
                (
                    f'1 - kubelet_volume_stats_available_bytes{{{_NS}, persistentvolumeclaim=~".*-repository"}} '
                    f'/ kubelet_volume_stats_capacity_bytes{{{_NS}, persistentvolumeclaim=~".*-repository"}}',
                    "{{persistentvolumeclaim}}",
                )
            ],
        ),
    ],
}


def files() -> dict[Path, str]:
    """The dashboards' files, with the content that they should have."""
    made = {
        "gateway": ("Handwriting: gateway", GATEWAY),
        "models": ("Handwriting: models", MODELS),
        "serving": ("Handwriting: model servers", SERVING),
    }
    return {
        FOLDER / f"{name}.json": json.dumps(_dashboard(f"handwriting-{name}", title, rows), indent=1) + "\n"
        for name, (title, rows) in made.items()
    }


def _dashboard(uid: str, title: str, rows: dict[str, list[Panel]]) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for name, figures in rows.items():
        panels.append({"id": len(panels) + 1, "type": "row", "title": name, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        for place, panel in enumerate(figures):
            at = {"x": place % 3 * 8, "y": top + place // 3 * 8, "w": 8, "h": 8}
            panels.append(_panel(len(panels) + 1, panel, at))
        top += (len(figures) + 2) // 3 * 8
    return {
        "uid": uid,
        "title": title,
        "tags": ["handwriting"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_DATASOURCE, _NAMESPACE]},
        "panels": panels,
    }


_DATASOURCE = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
_NAMESPACE = {
    "name": "namespace",
    "type": "query",
    "label": "Namespace",
    "datasource": {"type": "prometheus", "uid": "${datasource}"},
    "query": {"query": "label_values(gateway_requests_in_flight, namespace)", "refId": "namespace"},
    "refresh": 2,
}


def _panel(number: int, panel: Panel, at: dict[str, int]) -> dict[str, Any]:
    title, unit, queries = panel
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "gridPos": at,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries)
        ],
    }
