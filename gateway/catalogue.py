"""The models behind the gateway: their versions, classes, labels and cards, as the model servers tell them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.budget import Baton, Deadline
from gateway.metrics import Metrics
from handwriting import contract
from tfserving.client import ModelClient, ModelMetadata, Prediction, VersionStatus, as_numbers
from tfserving.errors import (
    ContractMismatch,
    InvalidResponse,
    ModelUnavailable,
    ServingError,
    UnknownModel,
    UnknownVersion,
)
from tfserving.repository import served_models

STABLE = "stable"
LABELS = (STABLE, "canary", "previous")
"""The version labels that a release uses; TensorFlow Serving has no call that lists them."""

STATES = ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")
"""TensorFlow Serving's states of a version."""


@dataclass(frozen=True)
class Classes:
    """A version's classes: their names, and the confidence below which each is rejected."""

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class VersionInfo:
    """A version as the model servers have it."""

    status: VersionStatus
    labels: tuple[str, ...]
    card: dict[str, Any]


@dataclass(frozen=True)
class ModelInfo:
    """A model as the model servers have it, its versions newest first."""

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    versions: tuple[VersionInfo, ...]


class Catalogue:
    """Asks the model servers through `client`, and keeps what cannot change: a version's classes and card. Thread-safe."""

    def __init__(
        self,
        client: ModelClient,
        model_names: tuple[str, ...],
        baton: Baton,
        metrics: Metrics,
        models_config: Path | None = None,
    ) -> None:
        self._client = client
        self._baton = baton
        self._model_names = model_names
        self._models_config = models_config
        self._metrics = metrics
        self._classes: dict[tuple[str, int], Classes] = {}
        self._cards: dict[tuple[str, int], dict[str, Any]] = {}
        self._label_versions: dict[tuple[str, str], int] = {}

    @property
    def model_names(self) -> tuple[str, ...]:
        """The configured models, those of models.config as it is now, and those that have answered since."""
        served = served_models(self._models_config) if self._models_config else ()
        return tuple(dict.fromkeys([*self._model_names, *served, *(model for model, _ in list(self._classes))]))

    def scores(
        self,
        tensors: NDArray[np.uint8],
        model: str,
        version: int | str | None,
        deadline: Deadline,
        request_ids: Sequence[str] = (),
    ) -> tuple[NDArray[np.float32], int]:
        """The probabilities of each image's classes, float32 (N, K), and the version that gave them.

        A lone image is sent twice: TensorFlow multiplies a single row with another kernel, which shows in the sixth digit,
        and an image must not be told apart by its company (docs/performance.md).

        Raises:
            ServingError: no believable answer came in time.
        """
        count = len(tensors)
        self._metrics.batch_size.observe(count)
        sent = tensors if count > 1 else np.concatenate([tensors, tensors])
        prediction = self._call(model, version, contract.SIGNATURE, {contract.IMAGES: sent}, deadline, request_ids)
        if contract.SCORES not in prediction.outputs or prediction.version < 1:
            raise InvalidResponse(f"model {model} answered without {contract.SCORES} or without its version")
        scores = as_numbers(prediction.outputs[contract.SCORES])
        if scores.ndim != 2 or len(scores) != len(sent) or scores.shape[1] < 1:
            raise InvalidResponse(f"model {model} answered scores of shape {scores.shape} for {len(sent)} images")
        if np.abs(scores.sum(axis=1) - 1).max() > 1e-3 or scores.min() < 0:
            raise InvalidResponse(f"model {model} answered scores that are no probabilities")
        return scores[:count], prediction.version

    def classes_of(self, model: str, version: int, deadline: Deadline) -> Classes:
        """The version's classes, asked for once.

        Raises:
            ServingError: no believable answer came in time.
        """
        known = self._classes.get((model, version))
        if known is None:
            known = self._ask_classes(model, version, deadline)
            _remember(self._classes, (model, version), known)
        return known

    def card_of(self, model: str, version: int, deadline: Deadline) -> dict[str, Any]:
        """The version's model card, asked for once; empty where it has none.

        Raises:
            ServingError: no believable answer came in time.
        """
        card = self._cards.get((model, version))
        if card is None:
            index = np.zeros(1, np.int32)
            try:
                outputs = self._call(model, version, contract.CARD_SIGNATURE, {contract.INDEX: index}, deadline).outputs
                told = msgspec.json.decode(outputs[contract.CARD].tolist()[0])
            except (ContractMismatch, KeyError, msgspec.DecodeError, UnicodeDecodeError):
                told = {}
            card = told if isinstance(told, dict) else {}
            _remember(self._cards, (model, version), card)
        return card

    def last_known(self, model: str, label: str) -> int | None:
        """The version that last answered for the label."""
        return self._label_versions.get((model, label))

    def forget(self, model: str, version: int) -> None:
        """Asks again next time: the version is not the one that it was."""
        self._classes.pop((model, version), None)
        self._cards.pop((model, version), None)

    def resolve(self, model: str, version: int | str | None, deadline: Deadline) -> int:
        """The number of the version that would answer now."""
        try:
            return self._metadata(model, STABLE if version is None else version, deadline).version
        except (UnknownModel, UnknownVersion) as error:
            raise self._explained(error, model, version, deadline) from error

    def availability(self, model: str, timeout_seconds: float = 1.0) -> tuple[VersionStatus, ...]:
        """The model's versions that can answer, newest first.

        Raises:
            ServingError: no model server answers, or it knows no such model.
        """
        statuses: tuple[VersionStatus, ...] = ()
        try:
            statuses = tuple(self._status(model, Deadline(timeout_seconds)))
        finally:
            states = [status.state for status in statuses]
            for state in STATES:
                self._metrics.versions.labels(model, state).set(states.count(state))
        return tuple(status for status in statuses if status.is_available)

    def describe(self, model: str, deadline: Deadline) -> ModelInfo:
        """The model's classes, input and versions.

        Raises:
            ServingError: no model server answers, or it knows no such model.
        """
        statuses = self._status(model, deadline)
        available = [status.version for status in statuses if status.is_available]
        labels = self._labels_of(model, deadline)
        classes: tuple[str, ...] = ()
        shape: tuple[int, ...] = ()
        if available:
            version = next((labels[label] for label in LABELS if labels.get(label) in available), available[0])
            metadata = self._metadata(model, version, deadline)
            if contract.SIGNATURE in metadata.signatures:
                shape = metadata.signatures[contract.SIGNATURE].inputs.get(contract.IMAGES, ())
            classes = self.classes_of(model, version, deadline).labels
        infos = tuple(
            VersionInfo(
                status,
                tuple(label for label, version in labels.items() if version == status.version),
                self.card_of(model, status.version, deadline) if status.is_available else {},
            )
            for status in statuses
        )
        return ModelInfo(model, classes, shape, infos)

    def _metadata(self, model: str, version: int | str, deadline: Deadline) -> ModelMetadata:
        with self._baton.passed_on():
            return self._client.metadata(model, version, timeout_seconds=deadline.remaining())

    def _status(self, model: str, deadline: Deadline) -> tuple[VersionStatus, ...]:
        with self._baton.passed_on():
            return self._client.status(model, timeout_seconds=deadline.remaining())

    def _call(
        self,
        model: str,
        version: int | str | None,
        signature: str,
        inputs: Mapping[str, NDArray[Any]],
        deadline: Deadline,
        request_ids: Sequence[str] = (),
    ) -> Prediction:
        asked = STABLE if version is None else version
        try:
            with self._baton.passed_on():
                prediction = self._client.predict(
                    model,
                    inputs,
                    signature=signature,
                    version=asked,
                    timeout_seconds=deadline.remaining(),
                    request_ids=request_ids,
                )
        except ServingError as error:
            self._metrics.model_calls.labels(error.status.name if error.status else "INVALID_RESPONSE").inc()
            if isinstance(error, (UnknownModel, UnknownVersion)):
                raise self._explained(error, model, version, deadline) from error
            raise
        self._metrics.model_calls.labels("OK").inc()
        if isinstance(asked, str):
            self._note_label(model, asked, prediction.version)
        return prediction

    def _explained(self, error: ServingError, model: str, version: int | str | None, deadline: Deadline) -> ServingError:
        """The error, or ModelUnavailable where the model is one that should be there: the server is starting, say."""
        is_expected = model in self.model_names
        try:
            statuses = self._status(model, deadline)
        except UnknownModel as unknown:
            return ModelUnavailable(f"model {model} has no version yet", unknown.status) if is_expected else unknown
        except ServingError as other:
            return other
        if not any(status.is_available for status in statuses):
            return ModelUnavailable(f"no version of model {model} is loaded")
        if version in (None, STABLE):
            return ModelUnavailable(f"no version of model {model} is stable yet")
        return UnknownVersion(str(error), error.status)

    def _ask_classes(self, model: str, version: int, deadline: Deadline) -> Classes:
        signatures = self._metadata(model, version, deadline).signatures
        count = signatures[contract.SIGNATURE].outputs[contract.SCORES][-1] if contract.SIGNATURE in signatures else -1
        if count < 1:
            raise ContractMismatch(
                f"model {model} version {version} has no {contract.SIGNATURE} with a known number of classes"
            )
        index = np.arange(count, dtype=np.int32)
        outputs = self._call(model, version, contract.CLASSES_SIGNATURE, {contract.INDEX: index}, deadline).outputs
        try:
            labels = tuple(label.decode("utf-8") for label in outputs[contract.LABEL].tolist())
            thresholds = as_numbers(outputs[contract.THRESHOLD])
        except (KeyError, AttributeError, UnicodeDecodeError) as error:
            raise ContractMismatch(f"model {model} version {version} does not name its classes: {error!r}") from error
        if len(labels) != count or len(set(labels)) != count or thresholds.shape != (count,):
            raise ContractMismatch(f"model {model} version {version} has {count} scores but these classes: {labels}")
        return Classes(labels, tuple(thresholds.tolist()))

    def _labels_of(self, model: str, deadline: Deadline) -> dict[str, int]:
        labels = {}
        for label in LABELS:
            try:
                labels[label] = self._metadata(model, label, deadline).version
            except (UnknownModel, UnknownVersion, ContractMismatch):
                continue
            self._note_label(model, label, labels[label])
        return labels

    def _note_label(self, model: str, label: str, version: int) -> None:
        before = self._label_versions.get((model, label))
        if before == version:
            return
        self._label_versions[model, label] = version
        if before is not None:
            self._metrics.version_info.labels(model, str(before), label).set(0)
        self._metrics.version_info.labels(model, str(version), label).set(1)


def _remember(cache: dict[tuple[str, int], Any], key: tuple[str, int], value: Any) -> None:
    """Keeps the newest 64: versions come and go, the process stays."""
    while len(cache) >= 64:
        cache.pop(next(iter(cache)))
    cache[key] = value
