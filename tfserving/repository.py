"""The model repository on disk, as TensorFlow Serving reads it.

    <root>/models.config             which versions are served under which label: the one record of it
    <root>/release.json              which share of the requests the canary is to get: see tfserving/release.py
    <root>/audit.log                 who changed what, when and why: see tfserving/audit.py
    <root>/<model>/<version>/        a version: SavedModel, assets.extra with warm-up requests, card and manifest
    <root>/<model>/.incoming-…/      a version on its way in; no server looks at a name that is not a number

Every change happens under one lock and appears by one rename, so a crash at any point leaves the state before it or the
state after it. What takes space on the disk is written before the first rename. A version is whole once its folder has a
number; models.config follows in a second rename, and a version that a crash kept out of it lies there unserved until
`promote` puts it in.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from tfserving import audit, manifest, release, wire_pb2
from tfserving.errors import RepositoryError
from tfserving.release import CANARY, Split

CONFIG_FILE = "models.config"
STABLE = "stable"
PREVIOUS = "previous"
"""The label of the version that was stable before: still loaded, so that rollback is one change of labels."""

_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9_+-]{0,62}")
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,30}")
_INCOMING = ".incoming-"
_FULL = (errno.ENOSPC, errno.EDQUOT)


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

    @property
    def audit_path(self) -> Path:
        return self.root / audit.FILE

    def open(self) -> None:
        """Makes the repository if it is new, with nothing served; corrects base paths if it has been moved.

        Raises:
            RepositoryError: it cannot be made or changed, or versions lie in it but no models.config.
        """
        with _explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        with self._locked():
            config = self._read_to_change()
            for model in config.model_config_list.config:
                model.base_path = self._base_path(model.name)
            if not self.config_path.exists() or config != self._read():
                self._write(config, "open")

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

    def splits(self) -> dict[str, Split]:
        """How the traffic of each model is split that is being released."""
        return release.read(self.root / release.FILE)

    def events(self, model: str | None = None) -> list[audit.Entry]:
        """The entries of the audit log, oldest first; those of one model, and those about all, where one is named."""
        return [entry for entry in audit.read(self.audit_path) if model is None or entry.get("model", model) == model]

    def publish(self, model: str, source: Path, why: str = "") -> int:
        """Copies the version in `source` into the repository, lets it be served, and gives its number.

        The model's first version becomes stable at once; a later one waits for `promote`.

        Raises:
            RepositoryError: the name cannot be a model's, `source` holds no SavedModel or not what its manifest says, or
                the disk refuses; then nothing has been changed.
        """
        if not _MODEL_NAME.fullmatch(model):
            raise RepositoryError(f"model name is {model!r}; lower-case letters, digits, '-', '_' and '+' are accepted")
        if not (source / "saved_model.pb").is_file():
            raise RepositoryError(f"{source} holds no saved_model.pb")
        if (source / manifest.FILE).exists():
            manifest.verify(source)
        home = self.root / model
        with self._locked():
            config = self._read_to_change()
            if not self.config_path.exists():
                self._write(config, "open")  # a crash may not leave a version without it
            home.mkdir(exist_ok=True)
            self._remove_leavings(home)
            incoming = home / f"{_INCOMING}{uuid.uuid4().hex}"
            with _removed_on_failure(incoming):
                _copy(source, incoming)
                digest = manifest.write(incoming)
                _sync_tree(incoming)
                number = self._next_number(model, config)
                self._drop_unlabelled(self._serve(config, model, number), number)

                def appear() -> None:
                    incoming.rename(home / str(number))
                    _sync(home)
                    _sync(self.root)

                self._write(config, "publish", appear, model=model, version=number, manifest=digest, why=why)
        return number

    def serve(self, model: str, number: int) -> None:
        """Lets the version be loaded by the model servers, without a label."""
        with self._locked():
            self._require(model, number)
            config = self._read_to_change()
            before = _as_text(config)
            self._serve(config, model, number)
            if _as_text(config) != before:
                self._write(config, "serve", model=model, version=number)

    def promote(
        self, model: str, number: int, label: str = STABLE, wait: Callable[[], None] = lambda: None, why: str = ""
    ) -> None:
        """Moves the label to the version, once `wait` returns: every model server must have it AVAILABLE by then.

        Whatever `wait` raises leaves all labels as they were. A canary that becomes stable is no canary any more.

        Raises:
            RepositoryError: there is no such version, or it is not what was published.
        """
        if not _LABEL.fullmatch(label) or label == PREVIOUS:
            raise RepositoryError(f"label is {label!r}; use {STABLE}, canary, or another lower-case word but {PREVIOUS}")
        self.verify(model, number)
        is_moved = False
        while not is_moved:  # a publish may take it from the servers again while they are waited for
            self.serve(model, number)
            wait()
            is_moved = self._move_label(model, number, label, why)

    def _move_label(self, model: str, number: int, label: str, why: str) -> bool:
        """Whether it did: only to a version that is served already."""
        with self._locked():
            self._require(model, number)
            config = self._read_to_change()
            entry = _entry(config, model)
            if entry is None or number not in entry.model_version_policy.specific.versions:
                return False
            before = _as_text(config)
            old = entry.version_labels.get(label)
            if label == STABLE and old not in (None, number):
                entry.version_labels[PREVIOUS] = old
            if label == STABLE and entry.version_labels.get(CANARY) == number:
                self._write_split(model, None, why)
                del entry.version_labels[CANARY]
            entry.version_labels[label] = number
            if _as_text(config) != before:
                self._write(config, "promote", model=model, label=label, version=number, instead_of=old, why=why)
        return True

    def verify(self, model: str, number: int) -> None:
        """Returns where the version is what was published.

        Versions from before there were manifests have none, and the audit log does not know them: they pass.

        Raises:
            RepositoryError: there is none, or one of its files was changed.
        """
        self._require(model, number)
        path = self.root / model / str(number)
        published = [entry.get("manifest") for entry in self.events(model) if entry.get("version") == number]
        digest = next(filter(None, reversed(published)), None)
        if digest or (path / manifest.FILE).exists():
            manifest.verify(path, digest)

    def split(self, model: str, split: Split | None, why: str = "") -> None:
        """Sets the shares of the model's requests that the version with the label `canary` gets; None: nothing any more.

        Raises:
            RepositoryError: no version of the model is the canary.
        """
        with self._locked():
            entry = _entry(self._read_to_change(), model)
            if split and (entry is None or CANARY not in entry.version_labels):
                raise RepositoryError(f"model {model} has no version with the label {CANARY} to which a share could go")
            self._write_split(model, split, why)

    def end_canary(self, model: str, why: str = "") -> int:
        """Takes traffic and label from the model's canary, and gives its number. It stays loaded until the next publish.

        Raises:
            RepositoryError: there is none.
        """
        with self._locked():
            config = self._read_to_change()
            entry = _entry(config, model)
            if entry is None or CANARY not in entry.version_labels:
                raise RepositoryError(f"model {model} has no version with the label {CANARY}")
            number = entry.version_labels[CANARY]
            self._write_split(model, None, why)
            del entry.version_labels[CANARY]
            self._write(config, "end canary", model=model, version=number, why=why)
        return number

    def refuse(self, model: str, number: int, why: str) -> None:
        """Takes a version that cannot be used from the servers, and from the canary's label, and says why in the audit log.

        Raises:
            RepositoryError: it is in use under another label than `canary`.
        """
        with self._locked():
            config = self._read_to_change()
            entry = _entry(config, model)
            if entry is None:
                raise RepositoryError(f"model {model} is not served: there is no version to refuse")
            if labels := [label for label, one in entry.version_labels.items() if one == number and label != CANARY]:
                raise RepositoryError(f"version {number} of {model} is {', '.join(sorted(labels))}; it cannot be refused")
            if entry.version_labels.get(CANARY) == number:
                self._write_split(model, None, why)
                del entry.version_labels[CANARY]
            elif number in entry.model_version_policy.specific.versions:
                entry.model_version_policy.specific.versions.remove(number)
            self._write(config, "refuse", model=model, version=number, why=why)

    def rollback(self, model: str, why: str = "") -> int:
        """Makes the version that was stable before stable again, and gives its number.

        Raises:
            RepositoryError: there is none, or it is not what was published.
        """
        with self._locked():
            config = self._read_to_change()
            entry = _entry(config, model)
            if entry is None or PREVIOUS not in entry.version_labels:
                raise RepositoryError(f"model {model} has no version that was stable before: nothing to go back to")
            number, old = entry.version_labels[PREVIOUS], entry.version_labels.get(STABLE)
            self.verify(model, number)
            del entry.version_labels[PREVIOUS]
            entry.version_labels[STABLE] = number
            self._write(config, "rollback", model=model, label=STABLE, version=number, instead_of=old, why=why)
        return number

    def prune(self, model: str, keep: int, why: str = "") -> list[int]:
        """Deletes the model's versions but the newest `keep` and all that are served; gives the numbers of those deleted."""
        if keep < 1:
            raise RepositoryError(f"keep is {keep}; at least 1 is accepted")
        with self._locked():
            self._remove_leavings(self.root / model)
            doomed = [version for version in self.versions(model)[keep:] if not version.is_served]
            numbers = [version.number for version in doomed]
            is_logged = bool(numbers) and self._logs_prune(model, numbers, why)
            for version in doomed:
                # Out of the servers' sight in one step; what is left after a crash goes with the next publish or prune.
                hidden = version.path.with_name(f"{_INCOMING}{uuid.uuid4().hex}")
                version.path.rename(hidden)
                shutil.rmtree(hidden)
            if numbers and not is_logged:
                self._log_prune(model, numbers, why)
        return numbers

    def _logs_prune(self, model: str, numbers: list[int], why: str) -> bool:
        """Whether there is space to tell of it; on a full disk there is some only afterwards."""
        try:
            self._log_prune(model, numbers, why)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            return False
        return True

    def _log_prune(self, model: str, numbers: list[int], why: str) -> None:
        state = self._digest()
        audit.append(self.audit_path, state, state, "prune", why, model=model, versions=numbers)

    def _serve(self, config: wire_pb2.ModelServerConfig, model: str, number: int) -> wire_pb2.ModelConfig:
        entry = _entry(config, model)
        if entry is None:
            entry = config.model_config_list.config.add(
                name=model, base_path=self._base_path(model), model_platform="tensorflow", version_labels={STABLE: number}
            )
        if number not in entry.model_version_policy.specific.versions:
            entry.model_version_policy.specific.versions.append(number)
        return entry

    def _drop_unlabelled(self, entry: wire_pb2.ModelConfig, newest: int) -> None:
        """Leaves served what has a label, and the newest candidate.

        Only `publish` calls it: a change that took a label from a version and the version from the servers at once would
        leave a moment in which the label still names the version that is going.
        """
        versions = entry.model_version_policy.specific.versions
        kept = {*entry.version_labels.values(), newest}
        versions[:] = sorted(kept & {newest, *self._numbers(entry.name)})

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

    def _read_to_change(self) -> wire_pb2.ModelServerConfig:
        """What `_read` gives, for one who will write it: not nothing where versions lie here, whose labels that would lose."""
        if not self.config_path.exists() and self.models():
            raise RepositoryError(
                f"{self.root} holds versions of {', '.join(self.models())} but no {CONFIG_FILE}, which says how they are "
                "labelled. Put it back, from a backup or from what audit.log says; or, to start with no labels, make it "
                "with the line: model_config_list { }"
            )
        return self._read()

    def _write(
        self, config: wire_pb2.ModelServerConfig, action: str, appear: Callable[[], None] = lambda: None, **told: Any
    ) -> None:
        """Puts the configuration in place, after `appear` has run, and that into the audit log before both."""
        self._replace(self.config_path, _as_text(config), action, appear, **told)

    def _write_split(self, model: str, split: Split | None, why: str) -> None:
        """Puts release.json in place with this split of the model's traffic, unless it says so already."""
        splits = self.splits()
        if splits.get(model) == split:
            return
        changed = {name: one for name, one in splits.items() if name != model} | ({model: split} if split else {})
        shares = {"canary": split.canary, "shadow": split.shadow} if split else {"canary": 0, "shadow": 0}
        path = self.root / release.FILE
        self._replace(path, release.as_text(changed), "split", lambda: None, model=model, **shares, why=why)

    def _replace(self, path: Path, content: str, action: str, appear: Callable[[], None], **told: Any) -> None:
        temporary = self.root / f".{path.name}-{uuid.uuid4().hex}"
        with _removed_on_failure(temporary):
            with temporary.open("w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            after = self._digest({path.name: content.encode()})
            audit.append(self.audit_path, self._digest(), after, action, **told)
            appear()
            temporary.rename(path)
        _sync(self.root)

    def _digest(self, changed: dict[str, bytes] | None = None) -> str:
        """A digest of what says which version gets which requests: as it is, or with other contents of some files."""
        parts = hashlib.sha256()
        for name in (CONFIG_FILE, release.FILE):
            path = self.root / name
            content = (changed or {}).get(name) or (path.read_bytes() if path.exists() else b"")
            parts.update(hashlib.sha256(content).digest())
        return parts.hexdigest()[:16]

    def _remove_leavings(self, home: Path) -> None:
        """Under the lock nobody is at work: what is on its way in has been left by a crash."""
        for path in home.glob(f"{_INCOMING}*"):
            shutil.rmtree(path)
        for name in (CONFIG_FILE, release.FILE):
            for path in self.root.glob(f".{name}-*"):
                path.unlink()

    @contextmanager
    def _locked(self, timeout_seconds: float = 60.0) -> Iterator[None]:
        with _explained(self.root), (self.root / ".lock").open("w") as file:
            deadline = time.monotonic() + timeout_seconds
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise RepositoryError(f"{self.root} has been locked by another process for {timeout_seconds:.0f} s")
                time.sleep(0.05)
            yield


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Turns what the operating system refuses into an error that says what it means for the repository."""
    try:
        yield
    except OSError as error:
        raise RepositoryError(_meaning(error, root)) from error


def _meaning(error: OSError, root: Path) -> str:
    if error.errno in _FULL:
        return f"{root} has no space left ({error}); `hcr prune` frees some"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{root} cannot be written to ({error}): it is read-only, or another user's"
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EIO, errno.ENODEV, errno.ENXIO):
        return f"{root} is gone or damaged ({error}): is its volume mounted?"
    return f"{root}: {error}"


@contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    """Leaves nothing at the path where the block fails; what cannot be removed either goes with the next publish."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        raise


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


def _copy(source: Path, target: Path) -> None:
    """As shutil.copytree, which tells all errors in one text; here the first one ends it."""
    for parent, _, files in os.walk(source, onerror=_raise):
        folder = target / Path(parent).relative_to(source)
        folder.mkdir()
        for name in files:
            shutil.copyfile(Path(parent, name), folder / name)


def _raise(error: OSError) -> None:
    raise error


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder, onerror=_raise):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
