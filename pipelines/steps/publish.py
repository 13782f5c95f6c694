"""Blessed version → the next number in the model repository."""

from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.progress import say
from pipelines.steps.evaluate import read_blessing
from pipelines.steps.validate import read_validation
from tfserving import manifest
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def publish(name: str, challenger_dir: Path, validation_dir: Path, repository: Path) -> int | None:
    """The number of the published version; None where the version is not blessed, and then it says why.

    `validation_dir` holds the verdict, as `validate` wrote it.

    Raises:
        PipelineError: the version is not the one that was tried in a model server, or the repository cannot take it.
    """
    blessing = read_blessing(validation_dir)
    if not blessing.is_blessed:
        say(f"not published: {'; '.join(blessing.reasons)}")
        return None
    found = read_validation(validation_dir)
    if found is None or found["digest"] != manifest.digest(challenger_dir):
        raise PipelineError(f"the version in {challenger_dir} is not the one that was tried in a model server")
    try:
        version = Repository(repository).publish(name, challenger_dir, f"blessed, and tried in {found['server']}")
    except (RepositoryError, OSError) as error:
        raise PipelineError(f"cannot publish into {repository}: {error}") from error
    say(f"published as {name} version {version}")
    return version
