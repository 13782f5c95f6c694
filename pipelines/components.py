"""The steps as Kubeflow components: each takes apart its artifacts and calls the real function.

Kubeflow copies the source of these functions into the compiled pipeline, so they import inside, from the package that lies in
the image. No `from __future__ import annotations` here: Kubeflow reads the annotations themselves.
"""

import os

from kfp import dsl

IMAGE = os.environ.get("HCR_PIPELINES_IMAGE", "handwriting-pipelines:local")
"""The image in which the steps run on a cluster; it holds this package with the extra `pipelines`."""


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare(
    recipe: str,
    preset: str,
    repository: str,
    cache_dir: str,
    dataset: dsl.Output[dsl.Dataset],
    report: dsl.Output[dsl.HTML],
) -> None:
    from pathlib import Path

    from pipelines.step_process import step

    with step("prepare"):
        from pipelines.dataset import VALIDATION
        from pipelines.recipe import load_recipe
        from pipelines.steps.prepare import prepare

        folder = Path(dataset.path)
        manifest = prepare(load_recipe(recipe), folder, Path(cache_dir), preset, Path(repository))
        Path(report.path).write_bytes((folder / VALIDATION).read_bytes())
        dataset.metadata["digests"] = manifest["sha256"]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    recipe: str, preset: str, seed: int, state_dir: str, dataset: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]
) -> None:
    from pathlib import Path

    from pipelines.step_process import step

    with step("train"):
        from pipelines.recipe import load_recipe
        from pipelines.steps.train import train

        chosen = None if seed < 0 else seed
        train(load_recipe(recipe), Path(dataset.path), Path(model.path), preset, chosen, Path(state_dir))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    recipe: str,
    repository: str,
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    challenger: dsl.Output[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
) -> None:
    from pathlib import Path

    from pipelines.step_process import step

    with step("evaluate"):
        from pipelines.recipe import load_recipe
        from pipelines.steps import evaluate as it

        folder = Path(evaluation.path)
        version, measured = Path(model.path), Path(challenger.path)
        card = it.evaluate(load_recipe(recipe), Path(dataset.path), version, measured, folder, Path(repository))
        for name, value in card["metrics"].items():
            metrics.log_metric(name, value)
        confusion.log_confusion_matrix(card["labels"], it.read_metrics(folder)["confusion"])
        Path(report.path).write_bytes((folder / it.REPORT).read_bytes())


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate(
    recipe: str,
    challenger: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    validation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    from pathlib import Path

    from pipelines.step_process import step

    with step("validate"):
        from pipelines.recipe import load_recipe
        from pipelines.steps import validate as it

        folder = Path(validation.path)
        it.validate(load_recipe(recipe), Path(challenger.path), Path(evaluation.path), folder)
        for name, value in ((it.read_validation(folder) or {}).get("metrics") or {}).items():
            metrics.log_metric(name, value)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish(
    recipe: str,
    repository: str,
    challenger: dsl.Input[dsl.Model],
    validation: dsl.Input[dsl.Artifact],
    outcome: dsl.Output[dsl.Artifact],
) -> None:
    import json
    from pathlib import Path

    from pipelines.step_process import step

    with step("publish"):
        from pipelines.recipe import load_recipe
        from pipelines.steps.publish import publish

        version = publish(load_recipe(recipe).name, Path(challenger.path), Path(validation.path), Path(repository))
        Path(outcome.path).write_text(json.dumps({"version": version}))
