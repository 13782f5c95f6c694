"""Whether a training would be of something new: data, recipe, seed, code and packages are compared by content."""

from pathlib import Path

from pipelines import provenance
from pipelines.recipe import Recipe
from pipelines.steps.prepare import data_digests
from tfserving.repository import Repository


def since_published(
    recipe: Recipe, preset: str, seed: int | None, repository: Repository, cache_dir: Path
) -> tuple[int | None, list[str]]:
    """The number of the newest version, and what would be other than in it; nothing where a version is of the same, whose
    number it is then. None where there is no version.

    Raises:
        RecipeError: the recipe has no such preset.
        DataError: the source cannot be had, or does not fit the recipe.
        RepositoryError: the repository cannot be read.
    """
    versions = repository.versions(recipe.name)
    if not versions:
        return None, []
    data = data_digests(recipe, cache_dir, preset, repository.root)
    inputs = provenance.inputs(recipe, preset, recipe.seed if seed is None else seed, data)
    changes = {version.number: provenance.changed(version.card, inputs) for version in versions}
    same = [number for number, changed in changes.items() if not changed]
    number = same[0] if same else versions[0].number
    return number, changes[number]
