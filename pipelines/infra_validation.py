"""A version in a real model server, before it is published: does it load, answer as it was trained to, and in time?

As TFX's InfraValidator: a process of its own (TensorFlow Serving where its binary is, else the development server) gets a
repository with this version alone.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handwriting import contract
from pipelines import latency
from pipelines.errors import PipelineError, VersionError
from pipelines.gates import Check, at_most, bless
from pipelines.recipe import Gates
from pipelines.servable import read_card, read_golden
from tfserving import manifest, server_process, tensors, warmup
from tfserving.client import ModelClient, as_numbers
from tfserving.errors import DeadlineExceeded, RepositoryError, ServingError
from tfserving.repository import Repository
from tfserving.server_process import ServerProcess

TOLERANCE = 1e-5
"""How far a served score may be from the trained network's own."""

_CALL_SECONDS = 10.0
_POLL_SECONDS = 0.05
_END_SECONDS = 2.0  # a process that crashes may outlive its last connection so long
_BATCH = 64


@dataclass(frozen=True)
class Validation:
    """What became of a version in a model server."""

    is_blessed: bool
    reasons: list[str]
    server: str
    digest: str
    """Of the version's files, by their manifest: what was tried is what may be published."""
    metrics: dict[str, float] = field(default_factory=dict)
    """load_seconds, warmup_requests, golden_inputs, golden_difference, served_p99_ms: as far as it came."""


class _Refused(Exception):
    """The version does not do what a served one must; the message says what."""


def validate(name: str, version: Path, gates: Gates, call_seconds: float = _CALL_SECONDS) -> Validation:
    """What a model server makes of the version in the folder, as the model `name`. A call is given up after `call_seconds`.

    Raises:
        PipelineError: no model server can be started here, or there is no place for its files.
    """
    metrics: dict[str, float] = {}
    digest = manifest.digest(version)
    with tempfile.TemporaryDirectory(prefix="hcr-validate-") as temporary:
        folder, port = Path(temporary), server_process.free_port()
        try:
            repository = Repository(folder / "repository")
            repository.open()
            repository.publish(name, version)
            program = server_process.program(repository.config_path, port)
            with ServerProcess(program, folder / "log") as process, ModelClient(f"127.0.0.1:{port}") as client:
                trial = _Trial(name, version, gates, program.name, process, client, call_seconds, metrics)
                checks = trial.run()
        except _Refused as reason:
            return Validation(False, [str(reason)], program.name, digest, metrics)
        except (RepositoryError, ValueError, OSError) as error:
            raise PipelineError(f"cannot try the version in a model server: {error}") from error
    blessing = bless(checks)
    return Validation(blessing.is_blessed, blessing.reasons, program.name, digest, metrics)


@dataclass(frozen=True)
class _Trial:
    """A version while a model server has it."""

    name: str
    version: Path
    gates: Gates
    server: str
    process: ServerProcess
    client: ModelClient
    call_seconds: float
    metrics: dict[str, float]

    def run(self) -> list[Check]:
        """The checks of answers and latency; raises _Refused where it comes to none."""
        started = time.monotonic()
        self._wait_until_loaded(started + self.gates.load_seconds)
        self.metrics["load_seconds"] = round(time.monotonic() - started, 2)
        self._answer_warmup()
        self._name_classes()
        images, scores = self._golden()
        difference = self._largest_difference(images, scores)
        with self._explained("one image after the other"):
            seconds = latency.measured(
                lambda number: self._scores(images[[number % len(images)]]), self.gates.latency_ms / 1000
            )
        self.metrics["served_p99_ms"] = 1000 * latency.p99(seconds)
        return [
            at_most("golden", "largest difference of a served score from the trainer's", difference, TOLERANCE),
            at_most(
                "latency_ms",
                f"p99 latency of one image through {self.server}",
                self.metrics["served_p99_ms"],
                self.gates.latency_ms,
                "ms",
            ),
        ]

    def _wait_until_loaded(self, deadline: float) -> None:
        while True:
            if end := self.process.end():
                raise _Refused(f"{self.server} ended with {end} while it loaded the version: {self.process.last_words()}")
            state = self._state()
            if state == "AVAILABLE":
                return
            if time.monotonic() > deadline:
                raise _Refused(f"{self.server} has not loaded the version within {self.gates.load_seconds:g} s: it is {state}")
            time.sleep(_POLL_SECONDS)

    def _state(self) -> str:
        """How far the version is; raises _Refused where it failed to load."""
        try:
            (status,) = self.client.status(self.name, timeout_seconds=1.0)
        except (ServingError, ValueError):  # it does not listen yet, or does not know the model yet
            return "not known there"
        if status.state == "END":
            raise _Refused(f"{self.server} cannot load the version: {status.error_message}")
        return status.state

    def _answer_warmup(self) -> None:
        """Asks what the version's own warm-up file asks."""
        try:
            requests = warmup.read(self.version / contract.WARMUP_FILE)
        except RepositoryError as error:
            raise _Refused(str(error)) from error
        for number, request in enumerate(requests, start=1):
            inputs = {alias: tensors.to_array(tensor) for alias, tensor in request.inputs.items()}
            with self._explained(f"warm-up request {number} of {len(requests)}"):
                self._predict(request.model_spec.signature_name, inputs)
        self.metrics["warmup_requests"] = float(len(requests))

    def _name_classes(self) -> None:
        """Compares the classes that the version names when asked with those of its card."""
        labels = [str(label) for label in read_card(self.version)["labels"]]
        with self._explained(f"the names of {len(labels)} classes"):
            outputs = self._predict(contract.CLASSES_SIGNATURE, {contract.INDEX: np.arange(len(labels), dtype=np.int32)})
        served = [value.decode(errors="replace") for value in outputs.get(contract.LABEL, np.array([], object)).tolist()]
        if served != labels:
            raise _Refused(f"{self.server} names the classes {', '.join(served)}; the card has {', '.join(labels)}")

    def _golden(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        try:
            images, scores = read_golden(self.version)
        except VersionError as error:
            raise _Refused(str(error)) from error
        if not len(images):
            raise _Refused("the version has no golden inputs")
        self.metrics["golden_inputs"] = float(len(images))
        return images, scores

    def _largest_difference(self, images: NDArray[np.uint8], scores: NDArray[np.float32]) -> float:
        """Between served scores and these, whether the images are asked for one by one or many together."""
        with self._explained(f"{len(images)} golden inputs"):
            single = np.concatenate([self._scores(images[[index]]) for index in range(len(images))])
            together = np.concatenate([self._scores(part) for part in np.split(images, range(_BATCH, len(images), _BATCH))])
        if single.shape != scores.shape or together.shape != scores.shape:
            raise _Refused(f"{self.server} answers golden inputs with scores {single.shape}; the trainer's are {scores.shape}")
        difference = float(max(np.abs(single - scores).max(), np.abs(together - scores).max()))
        self.metrics["golden_difference"] = difference
        return difference

    def _scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self._predict(contract.SIGNATURE, {contract.IMAGES: images})
        if contract.SCORES not in outputs:
            raise _Refused(f"{self.server} answers with {', '.join(sorted(outputs))}; {contract.SCORES} is expected")
        return as_numbers(outputs[contract.SCORES])

    def _predict(self, signature: str, inputs: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        return self.client.predict(self.name, inputs, signature=signature, timeout_seconds=self.call_seconds).outputs

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turns a call that fails into what that says of the version: a server that crashed, hangs or refuses."""
        try:
            yield
        except ServingError as error:
            if end := self.process.end(_END_SECONDS):
                raise _Refused(
                    f"{self.server} ended with {end} when it was asked for {what}: {self.process.last_words()}"
                ) from error
            if isinstance(error, DeadlineExceeded):
                raise _Refused(f"{self.server} gave no answer to {what} within {self.call_seconds:g} s") from error
            raise _Refused(f"{self.server} fails when it is asked for {what}: {error}") from error
