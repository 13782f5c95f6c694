"""The steps of the compiled pipeline, started as Kubeflow's launcher does: inputs and outputs are files that it names."""

import json
from typing import Any

import yaml

from pipelines.run import COMPILED

SPEC, PLATFORM = yaml.safe_load_all(COMPILED.read_text())
ARTIFACTS = "/models/.artifacts"
"""Where the launcher would have fetched and would store them; any folder that the steps' pods share."""

STEPS = tuple(name.removeprefix("exec-") for name in SPEC["deploymentSpec"]["executors"])


def command(step: str, parameters: dict[str, Any]) -> list[str]:
    """The step's command line, with `{{$}}` replaced by what it is to read and to write."""
    container = SPEC["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
    task = SPEC["root"]["dag"]["tasks"][step]
    component = SPEC["components"][task["componentRef"]["name"]]
    taken = {
        name: _artifact(source["taskOutputArtifact"]["producerTask"], source["taskOutputArtifact"]["outputArtifactKey"])
        for name, source in task["inputs"].get("artifacts", {}).items()
    }
    made = {name: _artifact(step, name, kind) for name, kind in component["outputDefinitions"].get("artifacts", {}).items()}
    wanted = component["inputDefinitions"].get("parameters", {})
    executor_input = {
        "inputs": {"parameterValues": {name: parameters[name] for name in wanted}, "artifacts": taken},
        "outputs": {"artifacts": made, "outputFile": f"{ARTIFACTS}/{step}/executor_output.json"},
    }
    return [*container["command"], *(text.replace("{{$}}", json.dumps(executor_input)) for text in container["args"])]


def mounts_the_repository(step: str) -> bool:
    """Whether the compiled pipeline mounts the claim into the step's pod."""
    return "pvcMount" in PLATFORM["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{step}"]


def _artifact(step: str, name: str, kind: dict[str, Any] | None = None) -> dict[str, Any]:
    schema = kind["artifactType"] if kind else _output(step, name)["artifactType"]
    return {"artifacts": [{"name": name, "uri": f"{ARTIFACTS}/{step}/{name}", "type": schema, "metadata": {}}]}


def _output(step: str, name: str) -> dict[str, Any]:
    component = SPEC["components"][SPEC["root"]["dag"]["tasks"][step]["componentRef"]["name"]]
    found: dict[str, Any] = component["outputDefinitions"]["artifacts"][name]
    return found
