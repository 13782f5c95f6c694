"""How the traffic of a model is split while a version is being released: release.json, beside models.config.

    {"digits": {"canary": 0.1, "shadow": 0.0, "until": 1790000000.0}}

The version that the shares go to is the one with the label `canary`. Without an entry, or after its `until`, everything goes to
the stable one.
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
    until: float | None = None
    """Seconds since 1970, from which on the canary gets nothing: who watches it may have died. None: it stays until changed."""

    def __post_init__(self) -> None:
        for name, share in (("canary", self.canary), ("shadow", self.shadow)):
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise RepositoryError(f"the share {name} is {share!r}; a number from 0 to 1 is accepted")
        if self.until is not None and (isinstance(self.until, bool) or not isinstance(self.until, int | float)):
            raise RepositoryError(f"the end of the shares is {self.until!r}; seconds since 1970 are accepted")

    def is_over(self, now: float) -> bool:
        """Whether nothing goes to the canary any more, at `now` in seconds since 1970."""
        return self.until is not None and now >= self.until


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
    table = {model: {k: v for k, v in asdict(split).items() if v is not None} for model, split in sorted(splits.items())}
    return json.dumps(table, indent=1) + "\n"
