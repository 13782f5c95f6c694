"""Which versions of a model should be served: what lies on disk, and what the policy takes of it."""

from pathlib import Path

from tfserving.dev_server.messages import ModelConfig


def aspired_versions(model: ModelConfig) -> list[int]:
    """The version numbers that should be loaded, highest first.

    Raises:
        OSError: the base path cannot be read.
    """
    present = on_disk(Path(model.base_path))
    policy = model.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return present
        case "specific":
            return [number for number in present if number in set(policy.specific.versions)]
        case _:
            return present[: max(policy.latest.num_versions, 1)]


def on_disk(base_path: Path) -> list[int]:
    """The directories whose name is a number, complete or not, highest first. Raises OSError."""
    names = [entry.name for entry in base_path.iterdir() if entry.name.isdecimal() and entry.is_dir()]
    return sorted({int(name) for name in names}, reverse=True)


def folder_of(model: ModelConfig, number: int) -> Path:
    """The version's directory, also where its name has leading zeros."""
    base_path = Path(model.base_path)
    for entry in base_path.iterdir():
        if entry.name.isdecimal() and int(entry.name) == number:
            return entry
    return base_path / str(number)


def fingerprint(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Name, size and time of each file: differs once somebody has written to the directory."""
    found = set()
    for path in folder.rglob("*"):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # gone while we looked
        found.add((str(path), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)
