"""A program that makes one of `changes.CHANGES`, to be killed on the way.

    python -m tests.drills.change NAME REPOSITORY

Writes `done` to standard output after it.
"""

import sys

from tests.drills.changes import CHANGES
from tfserving.repository import Repository


def main(name: str, root: str) -> None:
    repository = Repository(root)
    for step in CHANGES[name].steps:
        step(repository)
    print("done")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
