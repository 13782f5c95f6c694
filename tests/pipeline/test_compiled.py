"""The compiled pipeline that is committed."""

from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from pipelines.run import COMPILED, compile_pipeline


def test_the_committed_file_is_current(tmp_path: Path) -> None:
    compile_pipeline(tmp_path / "now.yaml")

    assert COMPILED.read_text() == (tmp_path / "now.yaml").read_text(), "run `make render`"


def test_it_satisfies_the_schemas_of_kubeflow_which_would_see_a_mistake() -> None:
    spec, platform = yaml.safe_load_all(COMPILED.read_text())
    parsed = ParseDict(spec, PipelineSpec())

    assert set(parsed.components) == {f"comp-{name}" for name in ("prepare", "train", "evaluate", "validate", "publish")}
    assert MessageToDict(ParseDict(platform, PlatformSpec())) == platform
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        assert ParseDict(config, KubernetesExecutorConfig()).security_context.run_as_user == 10001
    with pytest.raises(ParseError, match="pvcMounts"):
        ParseDict({"pvcMounts": []}, KubernetesExecutorConfig())
    spec["root"]["dags"] = {}
    with pytest.raises(ParseError, match="dags"):
        ParseDict(spec, PipelineSpec())


def test_steps_that_look_into_the_repository_are_never_cached_and_the_others_are() -> None:
    (pipeline,) = (document for document in yaml.safe_load_all(COMPILED.read_text()) if "root" in document)
    caching = {
        name: task["cachingOptions"].get("enableCache", False) for name, task in pipeline["root"]["dag"]["tasks"].items()
    }

    assert caching == {"prepare": True, "train": True, "evaluate": False, "validate": True, "publish": False}


def test_each_step_runs_in_our_image_restricted_and_with_its_share_of_the_cluster() -> None:
    spec, platform = yaml.safe_load_all(COMPILED.read_text())
    executors = spec["deploymentSpec"]["executors"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]

    assert set(executors) == set(settings) == {"exec-prepare", "exec-train", "exec-evaluate", "exec-validate", "exec-publish"}
    for name, executor in executors.items():
        container = executor["container"]
        assert container["image"].startswith("handwriting-pipelines:")
        assert not container["image"].endswith(":latest")
        assert "kfp.dsl.executor_main" in " ".join(container["command"] + container["args"])
        assert "pip install" not in " ".join(container["command"])
        assert {"resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(container["resources"])
        assert settings[name]["securityContext"] == {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
        assert settings[name]["imagePullPolicy"] == "IfNotPresent"


def test_what_keeps_something_on_the_claim_mounts_it_and_publish_is_not_tried_again() -> None:
    spec, platform = yaml.safe_load_all(COMPILED.read_text())
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {name: executor["pvcMount"] for name, executor in settings.items() if "pvcMount" in executor}
    retried = {name for name, task in spec["root"]["dag"]["tasks"].items() if task.get("retryPolicy", {}).get("maxRetryCount")}

    assert set(mounts) == {"exec-prepare", "exec-train", "exec-evaluate", "exec-publish"}
    for mount in mounts.values():
        assert [(one["constant"], one["mountPath"]) for one in mount] == [("handwriting-repository", "/models")]
    assert retried == {"prepare", "train", "evaluate", "validate"}
