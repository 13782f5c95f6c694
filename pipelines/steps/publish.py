"""Blessed version → the next number in the model repository."""

import json
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from pipelines.progress import say
from pipelines.steps.evaluate import BLESSING
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def publish(name: str, challenger_dir: Path, evaluation_dir: Path, repository: Path) -> int | None:
    """The number of the published version; None where the version is not blessed, and then it says why.

    Raises:
        PipelineError: the repository cannot take it.
    """
    blessing: dict[str, Any] = json.loads((evaluation_dir / BLESSING).read_text(encoding="utf-8"))
    if not blessing["is_blessed"]:
        say(f"not published: {'; '.join(blessing['reasons'])}")
        return None
    try:
        version = Repository(repository).publish(name, challenger_dir)
    except (RepositoryError, OSError) as error:
        raise PipelineError(f"cannot publish into {repository}: {error}") from error
    say(f"published as {name} version {version}")
    return version
