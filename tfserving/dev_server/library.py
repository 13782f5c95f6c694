"""The versions of all models: brought up and taken down one at a time, lent to calls in between.

One thread calls `reconcile`, any thread the rest. A version goes START → LOADING → AVAILABLE → UNLOADING → END; one whose
load fails ends at END with the error. A version that is no longer wanted is unloaded once another one of its model serves
(or none is wanted), and only when the calls that use it have finished: TensorFlow Serving's availability-preserving policy.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from threading import Condition
from typing import Protocol

from grpc import StatusCode

from tfserving.dev_server.errors import Refused
from tfserving.dev_server.messages import ModelConfig, ModelServerConfig, ModelSpec, PredictRequest, PredictResponse
from tfserving.dev_server.versions import aspired_versions, fingerprint, folder_of

log = logging.getLogger("model server")


class State(IntEnum):
    """ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Loaded(Protocol):
    """What a version is made of; `servable.Servable` is one."""

    @property
    def signatures(self) -> Mapping[str, object]: ...

    def predict(self, request: PredictRequest) -> PredictResponse: ...

    def close(self) -> None: ...


@dataclass
class Version:
    """One version of one model and how far it has come. Guarded by the library's lock."""

    number: int
    state: State = State.START
    error: Refused | None = None
    servable: Loaded | None = None
    calls: int = 0
    seen: frozenset[tuple[str, int, int]] = frozenset()


@dataclass(frozen=True)
class Status:
    """A row of GetModelStatus."""

    number: int
    state: State
    code: int
    message: str


class Library:
    """What is served, under which names, numbers and labels."""

    def __init__(self, load: Callable[[Path], Loaded], *, allow_labels_for_unavailable: bool = False) -> None:
        self._load = load
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self._changed = Condition()
        self._models: dict[str, ModelConfig] = {}
        self._versions: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._configured = 0  # how many configurations have come,
        self._reconciled = 0  # and how many of them have been carried out
        self._complaints: dict[str, str] = {}

    # What calls ask

    @contextmanager
    def lend(self, spec: ModelSpec) -> Iterator[tuple[int, Loaded]]:
        """The version that `spec` names and what it is made of; stays loaded inside the `with`. Raises Refused."""
        version, servable = self._borrow(spec)
        try:
            yield version.number, servable
        finally:
            with self._changed:
                version.calls -= 1
                if version.state is State.UNLOADING:
                    self._changed.notify_all()

    def status(self, name: str) -> list[Status]:
        """All versions that the model has or had, newest first."""
        with self._changed:
            versions = sorted(self._versions.get(name, {}).values(), key=lambda version: -version.number)
            return [_status(version) for version in versions]

    def _borrow(self, spec: ModelSpec) -> tuple[Version, Loaded]:
        if not spec.name:
            raise Refused(StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        with self._changed:
            number = self._number(spec)
            versions = self._versions.get(spec.name, {})
            if number is None:
                number = max((v.number for v in versions.values() if v.state is State.AVAILABLE), default=None)
                text = f"Servable not found for request: Latest({spec.name})"
            else:
                text = f"Servable not found for request: Specific({spec.name}, {number})"
            version = versions.get(number) if number is not None else None
            if version is None or version.state is not State.AVAILABLE or version.servable is None:
                raise Refused(StatusCode.NOT_FOUND, text)
            version.calls += 1
            return version, version.servable

    def _number(self, spec: ModelSpec) -> int | None:
        match spec.WhichOneof("version_choice"):
            case "version":
                return int(spec.version.value)
            case "version_label":
                number = self._labels.get(spec.name, {}).get(spec.version_label)
                if number is None:
                    text = f"Unrecognized servable version label: {spec.version_label}"
                    raise Refused(StatusCode.INVALID_ARGUMENT, text)
                return number
            case _:
                return None

    # What is configured

    def configure(self, config: ModelServerConfig) -> int:
        """Takes the configuration over; `reconcile` carries it out. Labels move at once. Gives its ticket for `wait`.

        Raises:
            Refused: a label names a version that is not available. Nothing has changed then.
        """
        models = {model.name: model for model in config.model_config_list.config}
        with self._changed:
            for model in models.values():
                self._check_labels(model)
            self._models = models
            self._labels = {name: dict(model.version_labels) for name, model in models.items()}
            self._configured += 1
            self._changed.notify_all()
            return self._configured

    def _check_labels(self, model: ModelConfig) -> None:
        versions, labels = self._versions.get(model.name, {}), self._labels.get(model.name, {})
        for label, number in model.version_labels.items():
            version = versions.get(number)
            if version is not None and version.state is State.AVAILABLE:
                continue
            if self._allow_labels_for_unavailable and labels.get(label, number) == number:
                continue
            text = (
                f"Request to assign label to version {number} of model {model.name}, "
                "which is not currently available for inference"
            )
            raise Refused(StatusCode.FAILED_PRECONDITION, text)

    def model_names(self) -> set[str]:
        """The models of the configuration in force."""
        with self._changed:
            return set(self._models)

    def wait(self, ticket: int) -> None:
        """Returns once the configuration of this ticket has been carried out, successfully or not."""
        with self._changed:
            self._changed.wait_for(lambda: self._reconciled >= ticket)

    def wait_for_work(self, seconds: float | None) -> None:
        """Returns after that time, for ever if None, or as soon as there is a new configuration."""
        with self._changed:
            self._changed.wait_for(lambda: self._configured > self._reconciled, seconds)

    # What is carried out

    def reconcile(self) -> None:
        """Looks at the disk, loads what is wanted and missing, unloads what is loaded and no longer wanted."""
        with self._changed:
            ticket, models = self._configured, dict(self._models)
        for name, model in models.items():
            try:
                self._reconcile_model(name, model)
            except OSError as error:
                self._complain(name, f"{model.base_path} cannot be read, the versions of {name} that are loaded stay: {error}")
        for name in [name for name in list(self._versions) if name not in models]:
            self._unload_unwanted(name, [])
        with self._changed:
            self._reconciled = ticket
            self._changed.notify_all()

    def _reconcile_model(self, name: str, model: ModelConfig) -> None:
        """Raises OSError where the disk cannot be read."""
        wanted = aspired_versions(model)
        self._complain(name, "" if wanted else f"no version to serve of {name} under {model.base_path}")
        self._unload_unwanted(name, wanted)
        missing = [number for number in wanted if self._is_missing(name, model, number)]
        with self._changed:
            for number in missing:
                self._versions.setdefault(name, {})[number] = Version(number)
        for number in missing:
            self._load_version(name, number, folder_of(model, number))
            self._unload_unwanted(name, wanted)

    def _complain(self, name: str, text: str) -> None:
        """Logs what holds a model up, once."""
        if text and self._complaints.get(name) != text:
            log.warning(text)
        self._complaints[name] = text

    def _is_missing(self, name: str, model: ModelConfig, number: int) -> bool:
        version = self._versions.get(name, {}).get(number)
        if version is None or (version.state is State.END and version.error is None):
            return True
        if version.error is None:
            return False
        return version.seen != fingerprint(folder_of(model, number))  # failed before: only if its files are others now

    def _load_version(self, name: str, number: int, folder: Path) -> None:
        version, started = self._versions[name][number], time.monotonic()
        with self._changed:
            version.state, version.seen = State.LOADING, fingerprint(folder)
        try:
            servable = self._load(folder)
        except Exception as error:
            known = error if isinstance(error, Refused) else Refused(StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
            with self._changed:
                version.state, version.error = State.END, known
            log.error("version %d of %s failed to load: %s", number, name, known.line)
            return
        with self._changed:
            version.state, version.servable = State.AVAILABLE, servable
        log.info("version %d of %s is AVAILABLE, loaded in %.2f s", number, name, time.monotonic() - started)

    def _unload_unwanted(self, name: str, wanted: list[int]) -> None:
        with self._changed:
            available = [v for v in self._versions.get(name, {}).values() if v.state is State.AVAILABLE]
            if wanted and not any(version.number in wanted for version in available):
                return  # nothing could take over
            leaving = [version for version in available if version.number not in wanted]
            for version in leaving:
                version.state = State.UNLOADING
        for version in leaving:
            self._unload(name, version)

    def _unload(self, name: str, version: Version) -> None:
        with self._changed:
            self._changed.wait_for(lambda: version.calls == 0)
            servable, version.servable = version.servable, None
        if servable is not None:
            servable.close()
        with self._changed:
            version.state = State.END
        log.info("version %d of %s is unloaded", version.number, name)


def _status(version: Version) -> Status:
    if version.error is None:
        return Status(version.number, version.state, 0, "")
    return Status(version.number, version.state, version.error.number, version.error.message)
