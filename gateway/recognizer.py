"""Images → what they say: decode, preprocess, predict, rank. Knows no HTTP."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.batching import Batcher
from gateway.budget import Baton, Deadline, Overloaded, PixelBudget, is_large
from gateway.catalogue import Catalogue, Classes
from gateway.metrics import Metrics, Stages
from gateway.split import Releases
from handwriting import image
from handwriting.errors import ImageError
from handwriting.preprocess import Polarity, Tensor, to_tensor


@dataclass(frozen=True)
class Options:
    """How to recognise. `version` is a number, a label, or None for what the release policy says."""

    model: str
    version: int | str | None = None
    top_k: int | None = None
    polarity: Polarity = "auto"
    whose: str = ""
    """What requests of one client have in common: they get the same version while one is being released."""


@dataclass(frozen=True)
class Recognition:
    """What one image says."""

    prediction: str
    confidence: float
    probabilities: dict[str, float]
    rejected: bool


@dataclass(frozen=True)
class Answer:
    """What a batch says: one recognition or error for each image, in order, by one version of the model."""

    model: str
    version: int
    results: tuple[Recognition | ImageError | Overloaded, ...]
    seen: tuple[Tensor, ...] = ()
    """What the model saw of the images that it recognised."""


class Recognizer:
    """Recognises characters with the models of `catalogue`. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        releases: Releases,
        batcher: Batcher,
        baton: Baton,
        budget: PixelBudget,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._releases = releases
        self._batcher = batcher
        self._baton = baton
        self._budget = budget
        self._metrics = metrics

    def recognize(self, file: bytes, options: Options, deadline: Deadline, stages: Stages) -> Answer:
        """One image file's result; the answer holds no error.

        Raises:
            ImageError: the image cannot be recognised.
            Overloaded: there is no memory to decode it now.
            ServingError: no believable answer came from a model server in time.
        """
        deadline.remaining()
        opened = image.open_image(file)
        seen: list[Tensor] = []

        def prepare(enter: Callable[[str], None]) -> Tensor:
            seen[:] = [self._tensor_of(opened, options.polarity, enter)]
            return seen[0]

        images = prepare(stages.enter)[np.newaxis] if is_large(opened.pixel_count) else prepare

        def ask(version: int | str | None, deadline: Deadline) -> Answer:
            scores, classes, answered = self._batcher.scores_by_class(images, options.model, version, deadline, stages)
            stages.enter("respond")
            return Answer(options.model, answered, (rank(scores[0], classes, options.top_k),), tuple(seen))

        return self._answer(options, deadline, stages, ask)

    def recognize_batch(
        self, files: Sequence[bytes | ImageError], options: Options, deadline: Deadline, stages: Stages
    ) -> Answer:
        """One result or error per image file, in order; what is already an error stays one.

        Raises:
            ServingError: no believable answer came from a model server in time.
        """
        return self._predict(
            [self._prepare(file, options.polarity, deadline, stages) for file in files], options, deadline, stages
        )

    def _predict(
        self, prepared: Sequence[Tensor | ImageError | Overloaded], options: Options, deadline: Deadline, stages: Stages
    ) -> Answer:
        tensors = [item for item in prepared if isinstance(item, np.ndarray)]
        if not tensors:
            stages.enter("predict")
            version = self._catalogue.resolve(options.model, options.version, deadline)
            return Answer(options.model, version, tuple(item for item in prepared if not isinstance(item, np.ndarray)))
        images = np.stack(tensors)

        def ask(version: int | str | None, deadline: Deadline) -> Answer:
            scores, classes, answered = self._batcher.scores_by_class(images, options.model, version, deadline, stages)
            stages.enter("respond")
            recognitions = iter([rank(row, classes, options.top_k) for row in scores])
            results = tuple(next(recognitions) if isinstance(item, np.ndarray) else item for item in prepared)
            return Answer(options.model, answered, results, tuple(tensors))

        return self._answer(options, deadline, stages, ask)

    def _answer(
        self,
        options: Options,
        deadline: Deadline,
        stages: Stages,
        ask: Callable[[int | str | None, Deadline], Answer],
    ) -> Answer:
        """The answer of the version that is to answer, counted."""
        answer = self._releases.answer(options.model, options.version, options.whose, deadline, stages, ask)
        recognitions = [item for item in answer.results if isinstance(item, Recognition)]
        count(self._metrics, options.model, answer.version, recognitions)
        said = [item.prediction for item in recognitions]
        stages.afterwards = self._releases.mirrored(options.model, options.version, options.whose, answer.seen, said)
        return answer

    def _prepare(
        self, file: bytes | ImageError, polarity: Polarity, deadline: Deadline, stages: Stages
    ) -> Tensor | ImageError | Overloaded:
        if isinstance(file, ImageError):
            return file
        deadline.remaining()
        try:
            return self._tensor_of(image.open_image(file), polarity, stages.enter)
        except (ImageError, Overloaded) as error:
            return error

    def _tensor_of(self, opened: image.OpenImage, polarity: Polarity, enter: Callable[[str], None]) -> Tensor:
        """What the model sees of the image; names to `enter` the stages that it enters."""
        enter("decode")
        with self._baton.passed_on_for(opened.pixel_count):
            try:
                with self._budget.reserved(opened.memory_pixels):
                    pixels = opened.decode()
            except Overloaded:
                self._metrics.shed.labels("decoding").inc()
                raise
            enter("preprocess")
            return to_tensor(pixels, polarity)


def count(metrics: Metrics, model: str, version: int, recognitions: Iterable[Recognition]) -> None:
    """Puts the recognitions into the metrics."""
    for recognition in recognitions:
        metrics.predictions_of(model, str(version), recognition.prediction).inc()
        metrics.confidence_of(model, str(version)).observe(recognition.confidence)
        if recognition.rejected:
            metrics.rejected.labels(model, str(version)).inc()


def rank(scores: NDArray[np.float32], classes: Classes, top_k: int | None, chosen: int | None = None) -> Recognition:
    """The most probable class of one image, or the one with the index `chosen`; `scores` has shape (K,). All probabilities in
    the order of the classes, or the `top_k` largest, largest first."""
    best = int(scores.argmax()) if chosen is None else chosen
    rounded = [round(score, 6) for score in scores.tolist()]
    if top_k is None:
        probabilities = dict(zip(classes.labels, rounded, strict=True))
    else:
        probabilities = {classes.labels[index]: rounded[index] for index in np.argsort(-scores, kind="stable")[:top_k].tolist()}
    return Recognition(classes.labels[best], rounded[best], probabilities, rounded[best] < classes.thresholds[best])
