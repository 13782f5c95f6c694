"""The model repository on disk, as TensorFlow Serving reads it.

    <root>/models.config             which versions are served under which label: the one record of it
    <root>/<model>/<version>/        a version: SavedModel, assets.extra with warm-up requests and card
    <root>/<model>/.incoming-…/      a version on its way in; no server looks at a name that is not a number

Every change happens under one lock and appears by one rename, so a crash at any point leaves the state before it or the
state after it. A version is whole once its folder has a number; models.config follows in a second rename, and a version
that a crash kept out of it lies there unserved until `promote` puts it in.
"""

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from tfserving import wire_pb2
from tfserving.errors import RepositoryError

CONFIG_FILE = "models.config"
STABLE = "stable"
PREVIOUS = "previous"
"""The label of the version that was stable before: still loaded, so that rollback is one change of labels."""

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_+-]{0,62}")
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,30}")
_INCOMING = ".incoming-"


@dataclass(frozen=True)
class Version:
    """A version that lies in the repository, whether it is served or not."""

    model: str
    number: int
    path: Path
    labels: tuple[str, ...]
    is_served: bool
    card: dict[str, Any]


class Repository:
    """The repository at `root`. `served_as` is where the model servers see it, where that is another path."""

    def __init__(self, root: Path | str, served_as: Path | str | None = None) -> None:
        self.root = Path(root).resolve()
        self._served_as = Path(served_as) if served_as else self.root
        if not self._served_as.is_absolute():
            raise RepositoryError(f"served_as is {served_as}; model servers take an absolute path only")

    @property
    def config_path(self) -> Path:
        return self.root / CONFIG_FILE

    def open(self) -> None:
        """Makes the repository if it is new, with nothing served; corrects base paths if it has been moved."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            config = self._read()
            for model in config.model_config_list.config:
                model.base_path = self._base_path(model.name)
            if not self.config_path.exists() or config != self._read():
                self._write(config)

    def models(self) -> list[str]:
        """The names of the models of which a version lies here, sorted."""
        folders = (path for path in self.root.glob("*") if path.is_dir() and _MODEL_NAME.fullmatch(path.name))
        return sorted(path.name for path in folders if self._numbers(path.name))

    def versions(self, model: str) -> list[Version]:
        """The model's versions on disk, newest first."""
        entry = _entry(self._read(), model)
        served = set(entry.model_version_policy.specific.versions) if entry else set()
        labels: dict[int, list[str]] = {}
        for label, number in sorted(entry.version_labels.items()) if entry else ():
            labels.setdefault(number, []).append(label)
        return [
            Version(model, number, path, tuple(labels.get(number, ())), number in served, _read_card(path))
            for number in sorted(self._numbers(model), reverse=True)
            for path in [self.root / model / str(number)]
        ]

    def labels(self, model: str) -> dict[str, int]:
        """Label → version, as models.config has it."""
        entry = _entry(self._read(), model)
        return dict(entry.version_labels) if entry else {}

    def find(self, model: str, version: int | str = STABLE) -> Version:
        """The version that a number or a label names.

        Raises:
            RepositoryError: there is none.
        """
        versions = self.versions(model) if model in self.models() else []
        if not versions:
            raise RepositoryError(
                f"{self.root} holds no version of {model}; models there: {', '.join(self.models()) or 'none'}"
            )
        for item in versions:
            if version == item.number or version in item.labels:
                return item
        present = ", ".join(" ".join([str(item.number), *item.labels]) for item in versions)
        raise RepositoryError(f"model {model} has no version {version} in {self.root}; present: {present}")

    def publish(self, model: str, source: Path) -> int:
        """Copies the version in `source` into the repository, lets it be served, and gives its number.

        The model's first version becomes stable at once; a later one waits for `promote`.

        Raises:
            RepositoryError: the name cannot be a model's, or `source` holds no SavedModel.
        """
        if not _MODEL_NAME.fullmatch(model):
            raise RepositoryError(f"model name is {model!r}; lower-case letters, digits, '-', '_' and '+' are accepted")
        if not (source / "saved_model.pb").is_file():
            raise RepositoryError(f"{source} holds no saved_model.pb")
        home = self.root / model
        home.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._remove_leavings(home)
            incoming = home / f"{_INCOMING}{uuid.uuid4().hex}"
            shutil.copytree(source, incoming)
            _sync_tree(incoming)
            config = self._read()
            number = self._next_number(model, config)
            incoming.rename(home / str(number))
            _sync(home)
            _sync(self.root)
            self._drop_unlabelled(self._serve(config, model, number))
            self._write(config)
        return number

    def serve(self, model: str, number: int) -> None:
        """Lets the version be loaded by the model servers, without a label."""
        with self._locked():
            self._require(model, number)
            config = self._read()
            self._serve(config, model, number)
            self._write(config)

    def promote(self, model: str, number: int, label: str = STABLE, wait: Callable[[], None] = lambda: None) -> None:
        """Moves the label to the version, once `wait` returns: every model server must have it AVAILABLE by then.

        Whatever `wait` raises leaves all labels as they were.
        """
        if not _LABEL.fullmatch(label) or label == PREVIOUS:
            raise RepositoryError(f"label is {label!r}; use {STABLE}, canary, or another lower-case word but {PREVIOUS}")
        self.serve(model, number)
        wait()
        with self._locked():
            self._require(model, number)
            config = self._read()
            entry = self._serve(config, model, number)
            stable = entry.version_labels.get(STABLE)
            if label == STABLE and stable not in (None, number):
                entry.version_labels[PREVIOUS] = stable
            entry.version_labels[label] = number
            self._write(config)

    def rollback(self, model: str) -> int:
        """Makes the version that was stable before stable again, and gives its number.

        Raises:
            RepositoryError: there is none.
        """
        with self._locked():
            config = self._read()
            entry = _entry(config, model)
            if entry is None or PREVIOUS not in entry.version_labels:
                raise RepositoryError(f"model {model} has no version that was stable before: nothing to go back to")
            number = entry.version_labels[PREVIOUS]
            self._require(model, number)
            del entry.version_labels[PREVIOUS]
            entry.version_labels[STABLE] = number
            self._write(config)
        return number

    def prune(self, model: str, keep: int) -> list[int]:
        """Deletes the model's versions but the newest `keep` and all that are served; gives the numbers of those deleted."""
        if keep < 1:
            raise RepositoryError(f"keep is {keep}; at least 1 is accepted")
        with self._locked():
            doomed = [version for version in self.versions(model)[keep:] if not version.is_served]
            for version in doomed:
                # Out of the servers' sight in one step; what is left after a crash goes with the next publish.
                hidden = version.path.with_name(f"{_INCOMING}pruned-{version.number}-{uuid.uuid4().hex}")
                version.path.rename(hidden)
                shutil.rmtree(hidden)
        return [version.number for version in doomed]

    def _serve(self, config: wire_pb2.ModelServerConfig, model: str, number: int) -> wire_pb2.ModelConfig:
        entry = _entry(config, model)
        if entry is None:
            entry = config.model_config_list.config.add(
                name=model, base_path=self._base_path(model), model_platform="tensorflow", version_labels={STABLE: number}
            )
        if number not in entry.model_version_policy.specific.versions:
            entry.model_version_policy.specific.versions.append(number)
        return entry

    def _drop_unlabelled(self, entry: wire_pb2.ModelConfig) -> None:
        """Leaves served what has a label, and the newest candidate.

        Only `publish` calls it: a change that took a label from a version and the version from the servers at once would
        leave a moment in which the label still names the version that is going.
        """
        versions = entry.model_version_policy.specific.versions
        kept = {*entry.version_labels.values(), max(versions)}
        versions[:] = sorted(kept & set(self._numbers(entry.name)))

    def _next_number(self, model: str, config: wire_pb2.ModelServerConfig) -> int:
        entry = _entry(config, model)
        known = self._numbers(model)
        if entry is not None:
            known += [*entry.model_version_policy.specific.versions, *entry.version_labels.values()]
        return max(known, default=0) + 1

    def _numbers(self, model: str) -> list[int]:
        folder = self.root / model
        return [int(path.name) for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()]

    def _require(self, model: str, number: int) -> None:
        if number not in self._numbers(model):
            present = ", ".join(map(str, sorted(self._numbers(model)))) or "none"
            raise RepositoryError(f"model {model} has no version {number} in {self.root}; present: {present}")

    def _base_path(self, model: str) -> str:
        return str(self._served_as / model)

    def _read(self) -> wire_pb2.ModelServerConfig:
        config = wire_pb2.ModelServerConfig()
        try:
            text_format.Parse(self.config_path.read_text("utf-8"), config)
        except FileNotFoundError:
            pass
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise RepositoryError(f"{self.config_path} cannot be read: {error}") from error
        config.model_config_list.SetInParent()
        return config

    def _write(self, config: wire_pb2.ModelServerConfig) -> None:
        temporary = self.root / f".{CONFIG_FILE}-{uuid.uuid4().hex}"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(_as_text(config))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.config_path)
        _sync(self.root)

    def _remove_leavings(self, home: Path) -> None:
        """Under the lock nobody is at work: what is on its way in has been left by a crash."""
        for path in home.glob(f"{_INCOMING}*"):
            shutil.rmtree(path)
        for path in self.root.glob(f".{CONFIG_FILE}-*"):
            path.unlink()

    @contextmanager
    def _locked(self, timeout_seconds: float = 60.0) -> Iterator[None]:
        with (self.root / ".lock").open("w") as file:
            deadline = time.monotonic() + timeout_seconds
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise RepositoryError(f"{self.root} has been locked by another process for {timeout_seconds:.0f} s")
                time.sleep(0.05)
            yield


def served_models(config: Path) -> tuple[str, ...]:
    """The names of the models in a models.config; none where it cannot be read, as before the repository is opened."""
    try:
        parsed = text_format.Parse(config.read_text("utf-8"), wire_pb2.ModelServerConfig())
    except (OSError, text_format.ParseError, UnicodeDecodeError):
        return ()
    return tuple(entry.name for entry in parsed.model_config_list.config)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _entry(config: wire_pb2.ModelServerConfig, model: str) -> wire_pb2.ModelConfig | None:
    return next((entry for entry in config.model_config_list.config if entry.name == model), None)


def _as_text(config: wire_pb2.ModelServerConfig) -> str:
    if not config.model_config_list.config:
        return "model_config_list { }\n"
    return text_format.MessageToString(config, as_utf8=True)


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads((path / "assets.extra/model_card.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
