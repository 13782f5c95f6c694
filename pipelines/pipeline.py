"""The pipeline: prepare → train → evaluate → publish. What `publish` may do hangs on the blessing that it reads."""

from kfp import dsl, kubernetes

from pipelines.components import evaluate, prepare, publish, train

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
    evaluated = evaluate(recipe=recipe, dataset=dataset, model=trained.outputs["model"])
    published = publish(
        recipe=recipe,
        repository=repository,
        challenger=evaluated.outputs["challenger"],
        evaluation=evaluated.outputs["evaluation"],
    )
    published.set_caching_options(False)  # its effect is in the repository, where the cache does not look
    for task, cpu, memory in (
        (prepared, "1", "2Gi"),
        (trained, "2", "4Gi"),
        (evaluated, "1", "2Gi"),
        (published, "100m", "512Mi"),
    ):
        _fit_for_a_cluster(task, cpu, memory)
    for task in (prepared, trained, evaluated):
        task.set_retry(_RETRIES, backoff_duration="30s", backoff_factor=2.0)
    for task in (prepared, trained, published):  # the first looks at the data of the stable version
        kubernetes.mount_pvc(task, pvc_name=CLAIM, mount_path=MOUNTED_AT)
