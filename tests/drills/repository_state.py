"""A repository with something of all that it can hold, and what must hold of it whatever happens."""

import json
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from google.protobuf import text_format

from tfserving import wire_pb2
from tfserving.release import Split
from tfserving.repository import Repository

LABELS = {"stable": 2, "previous": 1, "canary": 3}


@dataclass(frozen=True)
class State:
    """What says which version gets which requests."""

    labels: dict[str, int]
    splits: dict[str, Split]
    served: frozenset[int]


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
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data", "assets.extra/model_card.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 500)
    return folder


def state(repository: Repository) -> State:
    """Which version gets which requests, as model servers and gateways read it."""
    served = frozenset(version.number for version in repository.versions("digits") if version.is_served)
    return State(repository.labels("digits"), repository.splits(), served)


def check(repository: Repository) -> None:
    """Raises AssertionError unless every version that can be seen is whole, and every label names one that is served."""
    versions = repository.versions("digits")
    assert len({version.number for version in versions}) == len(versions)
    for version in versions:
        repository.verify("digits", version.number)
        assert (version.path / "saved_model.pb").read_bytes() == b"saved_model.pb" * 500
    config = text_format.Parse(repository.config_path.read_text(), wire_pb2.ModelServerConfig())
    (entry,) = config.model_config_list.config
    served = set(entry.model_version_policy.specific.versions)
    assert served <= {version.number for version in versions}, f"served but not there: {served}"
    assert set(entry.version_labels.values()) <= served
    assert "stable" in entry.version_labels
    assert not repository.splits() or "canary" in entry.version_labels


def check_log(repository: Repository) -> None:
    """Raises AssertionError unless each entry of the audit log goes on from the one before, or one says why not."""
    entries = repository.events()
    for one, other in pairwise(entries):
        assert other["before"] == one["after"] or other["action"] in ("interrupted", "edited"), json.dumps([one, other])
