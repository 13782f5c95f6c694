"""Versions of a small model, made by code: good ones, and each of the ways to be bad that a release must notice.

The model is linear, and needs no training: all that a release looks at is whether two versions agree, how sure they are, how
long they take and how often they fail.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handwriting import contract

CLASSES = tuple("0123456789")
GOOD, SLOW, FAILING, WRONG, UNCALIBRATED, UNLOADABLE = "good", "slow", "failing", "wrong", "uncalibrated", "unloadable"
BAD = (SLOW, FAILING, WRONG, UNCALIBRATED, UNLOADABLE)

_SLOW_SECONDS = 0.06
_SIDE = contract.IMAGE_SIZE
_THRESHOLD = 0.3

Scores = NDArray[np.float32]


def weights(number: int) -> NDArray[np.float32]:
    """The same for all versions, but for a little: they agree on nearly all images. Shape (784, 10)."""
    common = np.random.default_rng(1).normal(size=(_SIDE**2, len(CLASSES))) * 0.2
    return np.asarray(common + np.random.default_rng(number).normal(size=common.shape) * 0.0005, np.float32)


def most_frequent(images: Sequence[NDArray[np.uint8]]) -> int:
    """The class that the model gives most often: one to be wrong on."""
    logits = np.stack(images).reshape(len(images), -1).astype(np.float32) / 255 @ weights(1)
    return int(np.bincount(logits.argmax(axis=1), minlength=len(CLASSES)).argmax())


def write(folder: Path, number: int, kind: str = GOOD, wrong_class: int = 0) -> None:
    """A SavedModel with the signatures of the contract. A `failing` one fails for about half of all images but blank ones."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(weights(number))
    rolled = np.arange(len(CLASSES))
    if kind == WRONG:
        other = (wrong_class + 1) % len(CLASSES)
        rolled[[wrong_class, other]] = rolled[[other, wrong_class]]
    turns = _turns_for(_SLOW_SECONDS) if kind == SLOW else 0

    @tf.function(input_signature=[tf.TensorSpec((None, _SIDE, _SIDE), tf.uint8, contract.IMAGES)])
    def characters(images: Any) -> dict[str, Any]:
        flat = tf.reshape(tf.cast(images, tf.float32) / 255, (-1, _SIDE**2))
        logits = flat @ module.weights
        if kind == UNCALIBRATED:
            logits *= 8.0
        if kind == FAILING:
            ink = tf.reduce_sum(tf.cast(images, tf.int32), axis=(1, 2))
            with tf.control_dependencies([tf.debugging.assert_equal(ink % 2, tf.zeros_like(ink))]):
                logits = tf.identity(logits)
        if turns:
            logits += _busy(tf, turns) * 0.0
        return {contract.SCORES: tf.gather(tf.nn.softmax(logits), rolled, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, contract.INDEX)])
    def classes(index: Any) -> dict[str, Any]:
        thresholds = tf.fill(tf.shape(index), tf.constant(_THRESHOLD))
        return {contract.LABEL: tf.gather(tf.constant(CLASSES), index), contract.THRESHOLD: thresholds}

    signatures = {contract.SIGNATURE: characters, "serving_default": characters, contract.CLASSES_SIGNATURE: classes}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    if kind == UNLOADABLE:
        (data,) = (folder / "variables").glob("*.data-*")
        data.write_bytes(data.read_bytes()[:100])


def _busy(tf: Any, turns: int) -> Any:
    """Zero, after so many multiplications of matrices."""
    start = (tf.constant(0), tf.zeros((96, 96)))
    _, last = tf.while_loop(
        lambda turn, _: turn < turns,
        lambda turn, value: (turn + 1, tf.linalg.matmul(value, value)),
        start,
        parallel_iterations=1,
    )
    return tf.reduce_sum(last)


def _turns_for(seconds: float) -> int:
    """How many turns of `_busy` take so long here."""
    import tensorflow as tf

    measured: Callable[[], Any] = tf.function(lambda: _busy(tf, 500))
    measured()
    begun = time.perf_counter()
    measured()
    return max(1, round(500 * seconds / (time.perf_counter() - begun)))
