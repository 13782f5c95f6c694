"""A version as a model server loads it: a SavedModel by the contract of handwriting/contract.py.

The model card is a file that a lookup table in the graph reads when the version is loaded, so that evaluation can add what
it measured without touching the graph that it measured.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from handwriting import contract
from pipelines import latency
from pipelines.augment import scaled
from pipelines.errors import VersionError
from pipelines.files import write_atomically
from pipelines.metrics import Scores

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Card = dict[str, Any]
_GRAPH_CARD = "assets/model_card.json"  # a SavedModel keeps the files that its graph reads under assets/
GOLDEN_FILE = "assets.extra/golden.npz"
GOLDEN = 256
_WARMUP_BATCHES = (1, 16)


def export(
    model: keras.Model, temperature: float, labels: Sequence[str], thresholds: NDArray[np.float32], card: Card, folder: Path
) -> None:
    """Writes the network with calibration, class names, thresholds and card as a SavedModel with the contract's signatures."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as temporary:
        card_file = Path(temporary, Path(_GRAPH_CARD).name)
        card_file.write_bytes(_encoded(card))
        module, signatures = _module(model, temperature, labels, thresholds, card_file)
        tf.saved_model.save(module, str(folder), signatures=signatures)
    write_card(folder, card)


def write_card(folder: Path, card: Card) -> None:
    """Gives the version this card: both the one that its graph answers with and the one that lies beside it."""
    for name in (_GRAPH_CARD, contract.CARD_FILE):
        write_atomically(folder / name, _encoded(card))


def read_card(folder: Path) -> Card:
    """The version's card."""
    card: Card = json.loads((folder / contract.CARD_FILE).read_text(encoding="utf-8"))
    return card


def score(folder: Path, images: NDArray[np.uint8], batch: int = 500) -> Scores:
    """float32 (N, K): what the version in `folder` answers through the signature that is served.

    Loaded into a session, as model servers do: tf.saved_model.load would also load what they cannot.

    Raises:
        VersionError: it lacks the signature, or answers what is no number.
    """
    parts = np.split(images, range(batch, len(images), batch))
    with _loaded(folder) as answer:
        scores = np.concatenate([answer(part) for part in parts])
    if wrong := int((~np.isfinite(scores)).any(1).sum()):
        raise VersionError(f"the version's scores are no numbers for {wrong:,} of {len(images):,} images")
    return scores


def latencies(folder: Path, images: NDArray[np.uint8], limit_seconds: float) -> latency.Seconds:
    """The seconds that the version takes for each of some of the images, one at a time; see `latency.measured`.

    Raises:
        VersionError: it lacks the signature that is served.
    """
    with _loaded(folder) as answer:
        return latency.measured(lambda number: answer(images[number % len(images)][np.newaxis]), limit_seconds)


@contextmanager
def _loaded(folder: Path) -> Iterator[Callable[[NDArray[np.uint8]], Scores]]:
    """A function from images to scores that asks the version through the signature that is served."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], str(folder))
        if contract.SIGNATURE not in loaded.signature_def:
            present = ", ".join(sorted(loaded.signature_def))
            raise VersionError(f"the version has no signature {contract.SIGNATURE}; it has {present}")
        signature = loaded.signature_def[contract.SIGNATURE]
        feed, fetch = signature.inputs[contract.IMAGES].name, signature.outputs[contract.SCORES].name
        yield lambda images: np.asarray(session.run(fetch, {feed: images}))


def write_golden(folder: Path, images: NDArray[np.uint8], scores: Scores) -> None:
    """Writes up to 256 of the images (N, 28, 28), evenly chosen, with the scores that the trained network itself gave them.

    They lie beside the graph: whoever serves the version can see whether it answers as the network did.
    """
    chosen = np.unique(np.linspace(0, len(images) - 1, GOLDEN).round().astype(np.int64))
    path = folder / GOLDEN_FILE
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, images=images[chosen], scores=scores[chosen])


def read_golden(folder: Path) -> tuple[NDArray[np.uint8], Scores]:
    """What `write_golden` wrote: images uint8 (N, 28, 28) and scores float32 (N, K).

    Raises:
        VersionError: the version has none, or they are damaged.
    """
    try:
        with np.load(folder / GOLDEN_FILE, allow_pickle=False) as golden:
            return golden["images"], golden["scores"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise VersionError(f"the version has no golden inputs that can be read: {error}") from error


def write_warmup(folder: Path, name: str, images: NDArray[np.uint8]) -> None:
    """Writes the requests with which a model server warms the version up: each signature, the first also with more images."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    index = np.zeros(1, np.int32)
    requests = [
        (contract.SIGNATURE, contract.IMAGES, np.resize(images, (batch, *images.shape[1:]))) for batch in _WARMUP_BATCHES
    ]
    requests += [(contract.CLASSES_SIGNATURE, contract.INDEX, index), (contract.CARD_SIGNATURE, contract.INDEX, index)]
    path = folder / contract.WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, argument, value in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.name = name
            log.predict_log.request.model_spec.signature_name = signature
            log.predict_log.request.inputs[argument].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _module(
    model: keras.Model, temperature: float, labels: Sequence[str], thresholds: NDArray[np.float32], card_file: Path
) -> tuple[tf.Module, dict[str, Any]]:
    """The module to save and its signatures."""
    import tensorflow as tf

    module = tf.Module()
    # The bare variables: tracked as Keras's own, each would be saved under a second handle, and only that one restored by a
    # model server, which loads the graph and not the objects.
    module.weights = [variable.value for variable in model.variables]
    module.card = _card_table(card_file)
    names, least = tf.constant([label.encode() for label in labels]), tf.constant(thresholds)
    index = tf.TensorSpec([None], tf.int32, contract.INDEX)

    @tf.function(input_signature=[tf.TensorSpec([None, contract.IMAGE_SIZE, contract.IMAGE_SIZE], tf.uint8, contract.IMAGES)])
    def characters(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {contract.SCORES: tf.nn.softmax(model(scaled(images), training=False) / temperature)}

    @tf.function(input_signature=[index])
    def classes(index: tf.Tensor) -> dict[str, tf.Tensor]:
        return {contract.LABEL: tf.gather(names, index), contract.THRESHOLD: tf.gather(least, index)}

    @tf.function(input_signature=[index])
    def card(index: tf.Tensor) -> dict[str, tf.Tensor]:
        return {contract.CARD: module.card.lookup(tf.zeros_like(index, tf.int64))}

    signatures = {contract.SIGNATURE: characters, contract.CLASSES_SIGNATURE: classes, contract.CARD_SIGNATURE: card}
    return module, {"serving_default": characters, **signatures}


def _card_table(card_file: Path) -> tf.lookup.StaticHashTable:
    """A table from the line number to the line; the card is one line, number 0."""
    import tensorflow as tf

    number, line = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    lines = tf.lookup.TextFileInitializer(str(card_file), tf.int64, number, tf.string, line)
    return tf.lookup.StaticHashTable(lines, b"")


def _encoded(card: Card) -> bytes:
    return json.dumps(card, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()  # one line: JSON escapes line ends
