"""A repository with something of all that it can hold, and what must hold of it whatever happens."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from google.protobuf import text_format

from tfserving import wire_pb2
from tfserving.release import Split
from tfserving.repository import Repository

FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data", "assets.extra/model_card.json")


@dataclass(frozen=True)
class State:
    """What says which version gets which requests."""

    labels: dict[str, dict[str, int]]
    """Model → label → version."""
    splits: dict[str, Split]
    served: dict[str, frozenset[int]]


def make(folder: Path) -> Repository:
    """Version 2 is stable, 1 was before, 3 the canary with a tenth, 4 a candidate; 5 and 6 lie there, not served."""
    source = make_source(folder / "source")
    repository = Repository(folder / "repository")
    repository.open()
    for _ in range(4):
        repository.publish("digits", source)
    repository.promote("digits", 2)
    repository.promote("digits", 3, "canary")
    repository.serve("digits", 4)
    repository.split("digits", Split(canary=0.1))
    for number in ("5", "6", "7"):
        shutil.copytree(repository.root / "digits" / "4", repository.root / "digits" / number)
    return repository


def make_source(folder: Path) -> Path:
    """What is published: a few files of a few kilobytes."""
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 500)
    return folder


def state(repository: Repository) -> State:
    """Which version gets which requests, as model servers and gateways read it."""
    models = [entry.name for entry in _config(repository).model_config_list.config]
    served = {model: frozenset(one.number for one in repository.versions(model) if one.is_served) for model in models}
    return State({model: repository.labels(model) for model in models}, repository.splits(), served)


def states(repository: Repository, steps: Sequence[Callable[[Repository], object]]) -> list[State]:
    """The state before the first step and after each one, and what lies between where a step writes two files."""
    found = [state(repository)]
    for step in steps:
        before = found[-1]
        step(repository)
        after = state(repository)
        labelled = {
            model: before.served.get(model, frozenset()) | set(labels.values()) for model, labels in after.labels.items()
        }
        found += [
            State(before.labels, after.splits, before.served),  # the shares go before the label
            State(before.labels, before.splits, before.served | labelled),  # served, and then labelled
            after,
        ]
    return found


def check(repository: Repository) -> None:
    """Raises AssertionError unless every version that can be seen is whole, and every label names one that is served."""
    entries = {entry.name: entry for entry in _config(repository).model_config_list.config}
    assert not repository.models() or repository.config_path.exists(), "a version without models.config"
    assert not repository.splits() or set(repository.splits()) <= entries.keys()
    for model in {*repository.models(), *entries}:
        versions = repository.versions(model)
        assert len({version.number for version in versions}) == len(versions)
        for version in versions:
            repository.verify(model, version.number)
            for name in FILES:
                assert (version.path / name).read_bytes() == name.encode() * 500
        if model in entries:
            served, labels = set(entries[model].model_version_policy.specific.versions), entries[model].version_labels
            assert served <= {version.number for version in versions}, f"served but not there: {served}"
            assert set(labels.values()) <= served
            assert "stable" in labels
            assert model not in repository.splits() or "canary" in labels


def _config(repository: Repository) -> wire_pb2.ModelServerConfig:
    if not repository.config_path.exists():
        return wire_pb2.ModelServerConfig()
    return text_format.Parse(repository.config_path.read_text(), wire_pb2.ModelServerConfig())


def check_log(repository: Repository, torn: int = 0) -> None:
    """Raises AssertionError unless each entry of the audit log goes on from the one before, or one says why not; so many
    lines may be half written."""
    entries = repository.events()
    lines = repository.audit_path.read_text().splitlines()
    assert len(lines) - len(entries) == torn, "a line of the audit log cannot be read"
    for one, other in pairwise(entries):
        assert other["before"] == one["after"] or other["action"] in ("interrupted", "edited"), json.dumps([one, other])


def feedback(folder: Path) -> dict[str, bytes]:
    """The contents of all images and notes that have their names, by path in the folder."""
    paths = (path for path in folder.glob("*/*/*") if not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def check_feedback(folder: Path, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Raises AssertionError unless each file is whole, each image has its note, and nothing is gone that was to stay."""
    found = feedback(folder)
    for path, content in found.items():
        assert content in (before.get(path), after.get(path)), path
        assert path.endswith(".json") or str(Path(path).with_suffix(".json")) in found
    assert before.keys() & after.keys() <= found.keys()
