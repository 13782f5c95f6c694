"""A program that makes one change of a repository, or keeps one piece of feedback, to be killed on the way.

    python tests/drills/change.py publish|promote|rollback|prune|split|end-canary|feedback ROOT SOURCE

Writes `done` to standard output after it.
"""

import sys
from pathlib import Path

from gateway.feedback import FeedbackStore
from tfserving.release import Split
from tfserving.repository import Repository


def main(change: str, root: Path, source: Path) -> None:
    repository = Repository(root)
    changes = {
        "publish": lambda: repository.publish("digits", source),
        "promote": lambda: repository.promote("digits", 4),
        "rollback": lambda: repository.rollback("digits"),
        "prune": lambda: repository.prune("digits", keep=1),
        "split": lambda: repository.split("digits", Split(canary=0.5)),
        "end-canary": lambda: repository.end_canary("digits"),
        "feedback": lambda: FeedbackStore(root / "feedback", 10**6).keep(
            b"an image", ".png", Path("digits", "7"), {"label": "7"}
        ),
    }
    changes[change]()
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
