"""The chart's values.schema.json and the table of its README, both made from values.yaml and the gateway's settings.

In values.yaml the comment above a value is its description; a line `# @ {…}` there adds to its schema.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from gateway.settings import Settings

CHART = Path(__file__).parents[1] / "helm" / "handwriting"
VALUES, SCHEMA, README = CHART / "values.yaml", CHART / "values.schema.json", CHART / "README.md"
_START, _END = "<!-- values: written by scripts/check_generated.py --write -->", "<!-- /values -->"
_FREE = ("resources", "requests", "limits")
"""Objects whose members are Kubernetes' own."""
_SET_BY_CHART = ("host", "port", "metrics_port", "model_server", "keys_file", "drain_seconds", "log_format")
"""Settings that follow from the chart's own values."""


@dataclass(frozen=True)
class Value:
    """A value of the chart: where it is, what it is by default, and what values.yaml says about it."""

    path: str
    default: Any
    description: str
    schema: dict[str, Any]


def files() -> dict[Path, str]:
    """The generated files, with the content that they should have."""
    return {SCHEMA: json.dumps(schema(), indent=2) + "\n", README: readme()}


def schema() -> dict[str, Any]:
    """JSON schema (draft 7, as helm reads it) of values.yaml."""
    root = yaml.compose(VALUES.read_text())
    made = _schema_of(root, {}, "")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart handwriting",
        **made,
        "properties": made["properties"]
        | {"global": {"type": "object", "description": "Of a chart that has this one inside."}},
    }


def readme() -> str:
    """README.md with the table of values.yaml as it is."""
    rows = [
        f"| `{item.path}` | `{json.dumps(item.default)}` | {item.description} |"
        for item in _leaves(yaml.compose(VALUES.read_text()))
    ]
    before, _, rest = README.read_text().partition(_START)
    table = "\n".join(["| value | default | what |", "|---|---|---|", *rows])
    return f"{before}{_START}\n{table}\n{_END}{rest.partition(_END)[2]}"


def _schema_of(node: Any, extra: dict[str, Any], description: str) -> dict[str, Any]:
    default = yaml.safe_load(yaml.serialize(node))
    said = {"description": description} if description else {}
    if extra.pop("settings", False):
        return {**said, "type": "object", "properties": _settings(), "additionalProperties": False}
    if not isinstance(node, yaml.MappingNode) or not node.value:
        free = {} if isinstance(default, dict) else {"default": default}
        return {**said, "type": _type_of(default), **free, **extra}
    properties = {
        key.value: {"type": "object", "description": about} if key.value in _FREE else _schema_of(value, more, about)
        for key, value, about, more in _members(node)
    }
    is_closed = not all(key.startswith(("grafana", "prometheus")) for key in properties)
    if not is_closed:  # labels
        return {**said, "type": "object", "additionalProperties": {"type": "string"}}
    return {**said, "type": "object", "properties": properties, "additionalProperties": False, **extra}


def _settings() -> dict[str, Any]:
    """The gateway's settings, with the types, bounds and choices that the gateway itself checks."""
    made = {}
    for item in fields(Settings):
        if item.name in _SET_BY_CHART:
            continue
        least, choices = item.metadata["least"], item.metadata["choices"]
        entry: dict[str, Any] = {"type": _type_of(item.default), "description": item.metadata["help"]}
        if isinstance(item.default, float):
            entry["type"] = "number"
        made[item.name] = (
            entry | ({"minimum": least} if least is not None else {}) | ({"enum": list(choices)} if choices else {})
        )
    return made


def _type_of(default: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(default)]


def _leaves(node: Any, path: str = "", inherited: str = "") -> list[Value]:
    found: list[Value] = []
    for key, value, about, extra in _members(node):
        name = f"{path}{key.value}"
        default = yaml.safe_load(yaml.serialize(value))
        is_leaf = not isinstance(value, yaml.MappingNode) or not value.value or key.value in _FREE or key.value == "labels"
        found += [Value(name, default, about, extra)] if is_leaf else _leaves(value, f"{name}.")
    return found


def _members(node: Any) -> list[tuple[Any, Any, str, dict[str, Any]]]:
    """A mapping's keys and values, with the comment above each and what it adds to the schema."""
    lines = VALUES.read_text().splitlines()
    return [(key, value, *_comment(lines, key.start_mark.line)) for key, value in node.value]


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    words: list[str] = []
    extra: dict[str, Any] = {}
    for text in reversed(lines[:line]):
        text = text.strip()
        if not text.startswith("#"):
            break
        if text.startswith("# @ "):
            extra |= json.loads(text.removeprefix("# @ "))
        else:
            words.insert(0, text.removeprefix("#").strip())
    return " ".join(words), extra
