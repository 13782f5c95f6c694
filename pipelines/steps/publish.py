"""Blessed version → the next number in the model repository."""

from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.progress import say
from pipelines.steps.evaluate import read_blessing
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def publish(name: str, challenger_dir: Path, evaluation_dir: Path, repository: Path) -> int | None:
    """The number of the published version; None where the version is not blessed, and then it says why.

    Raises:
        PipelineError: the repository cannot take it.
    """
    blessing = read_blessing(evaluation_dir)
    if not blessing.is_blessed:
        say(f"not published: {'; '.join(blessing.reasons)}")
        return None
    try:
        version = Repository(repository).publish(name, challenger_dir)
    except (RepositoryError, OSError) as error:
        raise PipelineError(f"cannot publish into {repository}: {error}") from error
    say(f"published as {name} version {version}")
    return version
