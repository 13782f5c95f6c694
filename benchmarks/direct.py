"""What a client of the model server reaches that preprocesses by itself: the reference for what HTTP and the gateway add."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from benchmarks.load import Outcome
from benchmarks.payloads import Payload
from benchmarks.protocols import Said
from handwriting import contract, image
from handwriting.image import to_base64
from handwriting.preprocess import to_tensor
from handwriting.reading import read
from handwriting.segment import segment
from tfserving.client import ModelClient
from tfserving.errors import ModelUnavailable

_BLANK = np.zeros((1, contract.IMAGE_SIZE, contract.IMAGE_SIZE), np.uint8)
_MOST_ATTEMPTS = 20


class Direct:
    """Decodes and preprocesses as the gateway does, and calls Predict over gRPC."""

    def __init__(self, client: ModelClient, model: str) -> None:
        self._client = client
        self._model = model
        index = np.arange(self._scores(_BLANK).shape[1], dtype=np.int32)
        classes = client.predict(model, {contract.INDEX: index}, signature=contract.CLASSES_SIGNATURE, version="stable")
        self._labels = [label.decode() for label in classes.outputs[contract.LABEL]]

    def expected(self, payload: Payload) -> list[Said]:
        """What the right answer to each of the payload's requests says."""
        return [self._field(images[0]) if payload.is_field else self._characters(images) for images in payload.items]

    def settle(self) -> None:
        """Returns once the model server answers, which has been halted.

        Raises:
            ServingError: it does not.
        """
        for attempt in range(_MOST_ATTEMPTS):
            try:
                self._scores(_BLANK)
                return
            except ModelUnavailable:
                time.sleep(0.1 * attempt)
        self._scores(_BLANK)

    def closed_loop(self, payload: Payload, threads: int, warm_up: float, seconds: float) -> Outcome:
        """So many threads, each of which sends the next of the payload's requests when it has its answer."""
        requests = [[to_base64(item).encode() for item in images] for images in payload.items]
        first = time.perf_counter() + warm_up
        last = first + seconds

        def answers(number: int) -> list[float]:
            latencies = []
            while (begun := time.perf_counter()) < last:
                self._scores(self._tensors([image.from_base64(text) for text in requests[number % len(requests)]]))
                if first <= (now := time.perf_counter()) < last:
                    latencies.append(now - begun)
                number += threads
            return latencies

        with ThreadPoolExecutor(threads) as pool:
            latencies = [latency for own in pool.map(answers, range(threads)) for latency in own]
        return Outcome(seconds=seconds, latencies=np.array(latencies))

    def _characters(self, images: Sequence[bytes]) -> Said:
        scores = self._scores(self._tensors(images))
        return [(self._labels[int(row.argmax())], float(row.max())) for row in scores]

    def _field(self, file: bytes) -> Said:
        lines = segment(image.open_image(file).decode(image.FIELD_SIZE))
        tensors = np.stack([hypothesis.tensor for line in lines for hypothesis in line.hypotheses])
        scores = np.split(self._scores(tensors), np.cumsum([len(line.hypotheses) for line in lines])[:-1])
        best = read(lines, scores, self._labels).readings[0]
        return [(best.text, best.probability)]

    @staticmethod
    def _tensors(images: Sequence[bytes]) -> NDArray[np.uint8]:
        return np.stack([to_tensor(image.decode(file)) for file in images])

    def _scores(self, tensors: NDArray[np.uint8]) -> NDArray[np.float32]:
        predicted = self._client.predict(
            self._model, {contract.IMAGES: tensors}, signature=contract.SIGNATURE, version="stable", timeout_seconds=30
        )
        return predicted.outputs[contract.SCORES]
