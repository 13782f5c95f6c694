"""The pipeline: prepare → train → evaluate → validate → publish. What `publish` may do hangs on the blessing that it reads."""

from kfp import dsl, kubernetes

from pipelines.components import evaluate, prepare, publish, train, validate

NAME = "handwriting"
CLAIM = "handwriting-repository"
"""The PersistentVolumeClaim with the model repository, as the chart names it; `hcr submit --claim` puts in another."""

MOUNTED_AT = "/models"
_USER = 10001  # that of the image
_RETRIES = 2


def _fit_for_a_cluster(task: dsl.PipelineTask, cpu: str, memory: str) -> None:
    """What a step needs there and no runner on this machine looks at: resources, and the Pod Security Standard *restricted*."""
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
    kubernetes.set_security_context(task, run_as_user=_USER, run_as_group=_USER, run_as_non_root=True)
    kubernetes.set_image_pull_policy(task, "IfNotPresent")
    kubernetes.empty_dir_mount(task, volume_name="tmp", mount_path="/tmp")  # noqa: S108  (Kubeflow's own files too)


@dsl.pipeline(name=NAME, description="Trains a recipe's network, measures it, and publishes it where it is blessed.")
def handwriting(
    recipe: str = "digits",
    preset: str = "default",
    seed: int = -1,
    repository: str = "/models",
    cache_dir: str = "/tmp/hcr/data",  # noqa: S108  (in the step's own container)
    state_dir: str = "/models/.state",
) -> None:
    """Builds and publishes a version.

    Args:
        recipe: The name of a recipe in the image, or a recipe's text.
        preset: One of the recipe's presets.
        seed: Where randomness starts; -1 for the recipe's own.
        repository: The model repository's folder, as the steps see it.
        cache_dir: Where downloaded data is kept.
        state_dir: Where the state of a training is kept until its end, so that a step which is evicted goes on from there in
            its next pod; and, for when the same is to be trained again, what came of it.
    """
    prepared = prepare(recipe=recipe, preset=preset, repository=repository, cache_dir=cache_dir)
    dataset = prepared.outputs["dataset"]
    trained = train(recipe=recipe, preset=preset, seed=seed, state_dir=state_dir, dataset=dataset)
    evaluated = evaluate(recipe=recipe, repository=repository, dataset=dataset, model=trained.outputs["model"])
    challenger = evaluated.outputs["challenger"]
    validated = validate(recipe=recipe, challenger=challenger, evaluation=evaluated.outputs["evaluation"])
    published = publish(recipe=recipe, repository=repository, challenger=challenger, validation=validated.outputs["validation"])
    for task in (evaluated, published):  # what is stable, and what is published, is in the repository: no cache looks there
        task.set_caching_options(False)
    for task, cpu, memory in (
        (prepared, "1", "2Gi"),
        (trained, "2", "4Gi"),
        (evaluated, "1", "2Gi"),
        (validated, "1", "2Gi"),
        (published, "100m", "512Mi"),
    ):
        _fit_for_a_cluster(task, cpu, memory)
    for task in (prepared, trained, evaluated, validated):
        task.set_retry(_RETRIES, backoff_duration="30s", backoff_factor=2.0)
    for task in (prepared, trained, evaluated, published):  # data and version are compared with those that are stable
        kubernetes.mount_pvc(task, pvc_name=CLAIM, mount_path=MOUNTED_AT)
