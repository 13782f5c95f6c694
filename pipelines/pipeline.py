"""The pipeline: prepare → train → evaluate → publish. What `publish` may do hangs on the blessing that it reads."""

from kfp import dsl

from pipelines.components import evaluate, prepare, publish, train

NAME = "handwriting"


@dsl.pipeline(name=NAME, description="Trains a recipe's network, measures it, and publishes it where it is blessed.")
def handwriting(
    recipe: str = "digits",
    preset: str = "default",
    seed: int = -1,
    repository: str = "/models",
    cache_dir: str = "/tmp/hcr/data",  # noqa: S108  (in the step's own container)
) -> None:
    """Builds and publishes a version.

    Args:
        recipe: The name of a recipe in the image, or a recipe's text.
        preset: One of the recipe's presets.
        seed: Where randomness starts; -1 for the recipe's own.
        repository: The model repository's folder, as the steps see it.
        cache_dir: Where downloaded data is kept, and the state of a training until its end.
    """
    prepared = prepare(recipe=recipe, preset=preset, cache_dir=cache_dir)
    dataset = prepared.outputs["dataset"]
    trained = train(recipe=recipe, preset=preset, seed=seed, cache_dir=cache_dir, dataset=dataset)
    evaluated = evaluate(recipe=recipe, dataset=dataset, model=trained.outputs["model"])
    published = publish(
        recipe=recipe,
        repository=repository,
        challenger=evaluated.outputs["challenger"],
        evaluation=evaluated.outputs["evaluation"],
    )
    published.set_caching_options(False)  # its effect is in the repository, where the cache does not look
