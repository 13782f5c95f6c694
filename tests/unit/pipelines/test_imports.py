"""What is imported when: TensorFlow takes ten seconds, so only the steps that need it pay."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "pipelines.run",
        "pipelines.submission",
        "pipelines.recipe",
        "pipelines.steps.prepare",
        "pipelines.steps.publish",
        "pipelines.evaluation",
        "pipelines.picture_report",
    ],
)
def test_neither_tensorflow_nor_kubeflow_is_imported(module: str) -> None:
    program = f"import sys, {module}; print(*(name for name in ('tensorflow', 'keras', 'kfp') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
