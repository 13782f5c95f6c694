"""The manifest of a version: the size and SHA-256 of each of its files, so that one that was changed since is refused."""

import hashlib
import json
import os
from pathlib import Path

from tfserving.errors import RepositoryError

FILE = "assets.extra/manifest.json"
_MAX_NAMED = 3

Files = dict[str, dict[str, int | str]]
"""For each file, by its path in the version: `bytes` and `sha256`."""


def write(folder: Path) -> str:
    """Writes the manifest of the version in the folder; gives the manifest's own SHA-256."""
    content = _content(folder)
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def digest(folder: Path) -> str:
    """What `write` gives, without writing: one for all files of the version."""
    return hashlib.sha256(_content(folder)).hexdigest()


def verify(folder: Path, digest: str | None = None) -> None:
    """Returns where the version is what its manifest says, and the manifest the one with the digest, if one is given.

    Raises:
        RepositoryError: a file was changed, added or removed; names some.
    """
    try:
        content = (folder / FILE).read_bytes()
        files: Files = json.loads(content)["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RepositoryError(f"{folder} has no manifest that can be read ({error}); publish it again") from error
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise RepositoryError(f"{folder} is not what was published: its manifest was changed")
    found = _files(folder)
    changed = sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))
    if changed:
        more = " …" if len(changed) > _MAX_NAMED else ""
        raise RepositoryError(
            f"{folder} is not what was published: changed, added or missing are {', '.join(changed[:_MAX_NAMED])}{more}"
        )


def _content(folder: Path) -> bytes:
    return json.dumps({"files": _files(folder)}, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _files(folder: Path) -> Files:
    """All files below the folder but the manifest."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in paths
        if path != folder / FILE
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
