"""A release under way: which requests the canary answers, and which it is asked beside the stable version, unseen."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from time import monotonic, time
from typing import Protocol, TypeVar

import numpy as np

from gateway.budget import Deadline
from gateway.catalogue import Catalogue
from gateway.metrics import Metrics, Stages
from handwriting.preprocess import Tensor
from tfserving import release
from tfserving.errors import RepositoryError, ServingError, UnknownVersion
from tfserving.release import CANARY, Split

log = logging.getLogger("gateway")

_LOOK_EVERY_SECONDS = 1.0
_MOST_MIRRORED = 64  # requests that wait to be asked of the canary too; one more is dropped
_MIRROR_SECONDS = 5.0


class Lacking(ValueError):
    """The version that was asked does not have what the request names, such as a pattern; another one may have it."""


class Versioned(Protocol):
    """An answer that says which version gave it."""

    @property
    def version(self) -> int: ...


Answered = TypeVar("Answered", bound=Versioned)


class Splits:
    """The shares in release.json, which is looked at again every second. Thread-safe."""

    def __init__(self, path: Path | None) -> None:
        """Without a path there are none."""
        self._path = path
        self._splits: dict[str, Split] = {}
        self._looked = float("-inf")
        self._seen: tuple[int, int] | None = None

    def of(self, model: str) -> Split | None:
        """The model's split; None where all goes to the stable version."""
        if self._path is None:
            return None
        now = monotonic()
        if now - self._looked >= _LOOK_EVERY_SECONDS:
            self._looked = now
            self._look(self._path)
        split = self._splits.get(model)
        return None if split is None or split.is_over(time()) else split

    def _look(self, path: Path) -> None:
        """Takes over what the file says; what cannot be read leaves everything as it was."""
        try:
            status = path.stat()
            seen = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            self._splits, self._seen = {}, None
            return
        except OSError as error:
            log.warning("%s cannot be read, the shares of releases stay as they are: %s", path, error)
            return
        if seen == self._seen:
            return
        try:
            self._splits = release.read(path)
        except RepositoryError as error:
            log.warning("the shares of releases stay as they are: %s", error)
        self._seen = seen


@dataclass(frozen=True)
class _Mirrored:
    model: str
    tensors: Sequence[Tensor]
    said: Sequence[str]  # by the stable version


class Releases:
    """Asks the version that a request should get, and falls back from the canary to the stable one. Thread-safe."""

    def __init__(self, splits: Splits, catalogue: Catalogue, metrics: Metrics) -> None:
        self._splits = splits
        self._catalogue = catalogue
        self._metrics = metrics
        self._mirrored: Queue[_Mirrored] = Queue(_MOST_MIRRORED)
        self._thread: Thread | None = None

    def answer(
        self,
        model: str,
        version: int | str | None,
        whose: str,
        deadline: Deadline,
        stages: Stages,
        ask: Callable[[int | str | None, Deadline], Answered],
    ) -> Answered:
        """What `ask` gives for the version that is asked for; for None, for the canary in its share of cases. All requests with
        the same `whose` go to the same version while the shares stay. The canary has half of the time: where it fails, or
        lacks what the request names, the stable version is asked.

        Raises:
            Whatever `ask` raises for the version that is asked for, or for the stable one.
        """
        split = self._splits.of(model) if version is None else None
        if split is None:
            return ask(version, deadline)
        lacking: Lacking | None = None
        if split.canary and _place(model, whose) < split.canary:
            try:
                return self._ask(model, CANARY, Deadline(deadline.remaining() / 2), stages, ask)
            except UnknownVersion:
                pass  # the release has just ended
            except ServingError as error:
                log.warning("the canary of %s failed, the stable version is asked: %s", model, error)
            except Lacking as error:
                lacking = error
        answer = self._ask(model, None, deadline, stages, ask)
        if lacking is not None:  # and the stable version does not: it is the canary's fault, not the request's
            log.warning("the canary of %s lacks something, the stable version answered: %s", model, lacking)
            self._metrics.answers.labels(model, self._number_of(model, CANARY), CANARY, "error").inc()
        return answer

    def mirrored(
        self, model: str, version: int | str | None, whose: str, tensors: Sequence[Tensor], said: Sequence[str]
    ) -> Callable[[], None] | None:
        """What lets the canary be asked too, and compares what it says; None but in its share of cases.

        To be called once the answer has been sent, so that it takes nothing from the client.
        """
        split = self._splits.of(model) if version is None else None
        if split is None or not split.shadow or _place(model, f"{whose}\0mirrored") >= split.shadow:
            return None
        if _place(model, whose) < split.canary:
            return None  # it was the canary that answered
        return partial(self._mirror, model, tensors, said)

    def _mirror(self, model: str, tensors: Sequence[Tensor], said: Sequence[str]) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._compare_for_ever, name="mirror", daemon=True)
            self._thread.start()
        try:
            self._mirrored.put_nowait(_Mirrored(model, tensors, said))
        except Full:
            self._metrics.shadow.labels(model, "", "dropped").inc()

    def _ask(
        self,
        model: str,
        label: str | None,
        deadline: Deadline,
        stages: Stages,
        ask: Callable[[int | str | None, Deadline], Answered],
    ) -> Answered:
        role = label or "stable"
        before = stages.seconds.get("predict", 0.0)
        try:
            answer = ask(label, deadline)
        except UnknownVersion:
            raise
        except ServingError:
            self._metrics.answers.labels(model, self._number_of(model, role), role, "error").inc()
            raise
        self._metrics.answers.labels(model, str(answer.version), role, "ok").inc()
        seconds = stages.seconds.get("predict", 0.0) - before
        self._metrics.model_seconds.labels(model, str(answer.version), role).observe(seconds)
        return answer

    def _number_of(self, model: str, label: str) -> str:
        """The version that last answered for the label; empty where none has."""
        return str(self._catalogue.last_known(model, label) or "")

    def _compare_for_ever(self) -> None:
        while True:
            asked = self._mirrored.get()
            try:
                self._compare(asked)
            except Exception:
                log.exception("a mirrored request could not be compared")

    def _compare(self, asked: _Mirrored) -> None:
        """Asks the canary what the stable version has answered, and counts whether they agree."""
        metrics, model = self._metrics, asked.model
        begun = monotonic()
        try:
            deadline = Deadline(_MIRROR_SECONDS)
            scores, version = self._catalogue.scores(np.stack(asked.tensors), model, CANARY, deadline)
            classes = self._catalogue.classes_of(model, version, deadline)
            if scores.shape[1] != len(classes.labels):
                self._catalogue.forget(model, version)
                return
        except UnknownVersion:
            return  # the release has just ended
        except ServingError:
            number = self._number_of(model, CANARY)
            metrics.answers.labels(model, number, "shadow", "error").inc()
            metrics.shadow.labels(model, number, "failed").inc(len(asked.said))
            return
        number = str(version)
        metrics.answers.labels(model, number, "shadow", "ok").inc()
        metrics.model_seconds.labels(model, number, "shadow").observe(monotonic() - begun)
        for row, said in zip(scores, asked.said, strict=True):
            best = int(row.argmax())
            metrics.shadow.labels(model, number, "agrees" if classes.labels[best] == said else "differs").inc()
            metrics.confidence_of(model, number).observe(float(row[best]))
            if row[best] < classes.thresholds[best]:
                metrics.rejected.labels(model, number).inc()


def _place(model: str, whose: str) -> float:
    """Where between 0 and 1 a request stands: the same for the same model and client, and spread evenly."""
    digest = hashlib.blake2b(f"{model}\0{whose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
