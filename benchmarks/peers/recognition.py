"""What all peers serve: the SavedModel in this process, behind the preprocessing, segmentation and search of `handwriting`.

A server of these takes from the environment: BENCH_MODEL, the folder of the version; BENCH_PORT, where to listen.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from numpy.typing import NDArray

from handwriting import contract, image
from handwriting.constraint import Constraint
from handwriting.preprocess import to_tensor
from handwriting.reading import read
from handwriting.segment import Line, segment

PORT = int(os.environ.get("BENCH_PORT", "8080"))
CORES = len(os.sched_getaffinity(0))

Tensors = NDArray[np.uint8]
"""uint8, shape (N, 28, 28)."""
Scores = NDArray[np.float32]
"""float32, shape (N, K)."""
Json = dict[str, Any]


class Model:
    """A version of a model, run in this process.

    Called as the development model server calls it, by a session on the thread of the caller: 0.2 ms for one image, where
    the signature that `tf.saved_model.load` gives takes 0.7 ms (docs/performance.md).
    """

    def __init__(self) -> None:
        import tensorflow as tf  # not sooner: it takes seconds, and a process that only supervises needs none of it

        threads = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=threads)
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], os.environ["BENCH_MODEL"])
        self._signatures = loaded.signature_def
        self._predict = self._callable(contract.SIGNATURE, contract.IMAGES, contract.SCORES)
        blank = np.zeros((1, contract.IMAGE_SIZE, contract.IMAGE_SIZE), np.uint8)
        index = np.arange(self.scores(blank).shape[1], dtype=np.int32)
        labels = self._callable(contract.CLASSES_SIGNATURE, contract.INDEX, contract.LABEL)(index)[0]
        self.labels = tuple(label.decode() for label in labels)
        self.thresholds = self._callable(contract.CLASSES_SIGNATURE, contract.INDEX, contract.THRESHOLD)(index)[0]

    def scores(self, tensors: Tensors) -> Scores:
        """The probability of each class for each image."""
        scores: Scores = self._predict(tensors)[0]
        return scores

    def character(self, scores: NDArray[np.float32]) -> Json:
        """What the gateway answers for one image, from its scores of shape (K,)."""
        best = int(scores.argmax())
        return {
            "prediction": self.labels[best],
            "confidence": round(float(scores[best]), 6),
            "probabilities": {label: round(float(score), 6) for label, score in zip(self.labels, scores, strict=True)},
            "rejected": bool(scores[best] < self.thresholds[best]),
        }

    def text(self, lines: tuple[Line, ...], scores: Scores) -> Json:
        """What a field says, from the scores of all its hypotheses."""
        parts = np.split(scores, np.cumsum([len(line.hypotheses) for line in lines])[:-1])
        found = read(lines, parts, self.labels, Constraint(), 5)
        candidates = [{"text": reading.text, "probability": reading.probability} for reading in found.readings]
        return {"text": found.readings[0].text, "candidates": candidates}

    def _callable(self, signature: str, feed: str, fetch: str) -> Any:
        from tensorflow.core.protobuf.config_pb2 import CallableOptions

        definition = self._signatures[signature]
        options = CallableOptions(feed=[definition.inputs[feed].name], fetch=[definition.outputs[fetch].name])
        options.run_options.inter_op_thread_pool = -1  # the caller's thread
        return self._session._make_callable_from_options(options)


def tensors_of(images: Sequence[str | bytes]) -> Tensors:
    """The images, given in base64, as the model sees them."""
    return np.stack([to_tensor(image.decode(image.from_base64(text))) for text in images])


def lines_of(field: str | bytes) -> tuple[Line, ...]:
    """The lines of a field, given in base64, with all that may be a character on them."""
    return segment(image.open_image(image.from_base64(field)).decode(image.FIELD_SIZE))


def hypotheses_of(lines: tuple[Line, ...]) -> Tensors:
    """All that may be a character on the lines, as the model sees it."""
    return np.stack([hypothesis.tensor for line in lines for hypothesis in line.hypotheses])


@dataclass(frozen=True)
class Prepared:
    """A request before the model: one image, many, or a field, in the JSON that the gateway takes as well."""

    tensors: Tensors
    lines: tuple[Line, ...] | None
    is_single: bool

    @classmethod
    def of(cls, request: Json) -> "Prepared":
        """{"image": …}, {"images": […]} or {"field": …}, each image in base64."""
        if "field" in request:
            lines = lines_of(request["field"])
            return cls(hypotheses_of(lines), lines, False)
        is_single = "image" in request
        return cls(tensors_of([request["image"]] if is_single else request["images"]), None, is_single)

    def answer(self, model: Model, scores: Scores) -> Json:
        """The answer in the gateway's words."""
        if self.lines is not None:
            return model.text(self.lines, scores)
        if self.is_single:
            return model.character(scores[0])
        return {"results": [model.character(row) for row in scores]}


def scores_of_all(model: Model, requests: Sequence[Tensors]) -> list[Scores]:
    """The scores of several requests, by one call of the model."""
    together = model.scores(np.concatenate(requests))
    return np.split(together, np.cumsum([len(tensors) for tensors in requests])[:-1])
