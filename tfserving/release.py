"""How the traffic of a model is split while a version is being released: release.json, beside models.config.

    {"digits": {"canary": 0.1, "shadow": 0.0}}

The version that the shares go to is the one with the label `canary`. Without an entry everything goes to the stable one.
The gateway looks at it every second (gateway/split.py).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tfserving.errors import RepositoryError

FILE = "release.json"
CANARY = "canary"


@dataclass(frozen=True)
class Split:
    """Shares of a model's requests, 0 to 1."""

    canary: float = 0.0
    """Answered by the version with the label `canary`."""
    shadow: float = 0.0
    """Of the others: answered by the stable version, and then asked of the canary as well, to compare the answers."""

    def __post_init__(self) -> None:
        for name, share in asdict(self).items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise RepositoryError(f"the share {name} is {share!r}; a number from 0 to 1 is accepted")


def read(path: Path) -> dict[str, Split]:
    """The split of each model that has one; none where there is no such file.

    Raises:
        RepositoryError: the file is there and cannot be read.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
        return {model: Split(**shares) for model, shares in table.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RepositoryError) as error:
        raise RepositoryError(f"{path} cannot be read: {error}") from error


def as_text(splits: dict[str, Split]) -> str:
    """What `read` reads."""
    return json.dumps({model: asdict(split) for model, split in sorted(splits.items())}, indent=1) + "\n"
