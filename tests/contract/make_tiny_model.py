"""Writes versions of the tiny model by our contract, and the models.config that serves them; needs TensorFlow.

    python -m tests.contract.make_tiny_model /tmp/tiny

To hold a real server to the contract suite: start it so, and run the suite with TFSERVING_ADDRESS=127.0.0.1:8500.

    tensorflow_model_server --port=8500 --model_config_file=/tmp/tiny/models.config \
        --allow_version_labels_for_unavailable_models=true
"""

import sys
from pathlib import Path

from handwriting import contract
from tests.fakes import DIGITS, TinyModel, tiny_card, tiny_thresholds

NAME = "digits"
VERSION_LABELS = {"stable": 1, "canary": 2}


def main() -> None:
    """Writes versions 1 and 2 below the folder named on the command line, and models.config."""
    folder = Path(sys.argv[1]).resolve()
    for version in VERSION_LABELS.values():
        write_version(folder / NAME / str(version), version)
    (folder / "models.config").write_text(models_config(folder / NAME, VERSION_LABELS), "utf-8")


def models_config(base_path: Path, version_labels: dict[str, int], versions: tuple[int, ...] = (1, 2), name: str = NAME) -> str:
    """A ModelServerConfig in text format: policy `specific`, and the labels."""
    policy = " ".join(f"versions: {version}" for version in versions)
    labels = " ".join(f'version_labels {{ key: "{label}" value: {version} }}' for label, version in version_labels.items())
    return (
        f'model_config_list {{ config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" '
        f"model_version_policy {{ specific {{ {policy} }} }} {labels} }} }}\n"
    )


def write_version(folder: Path, version: int) -> None:
    """The tiny model as a SavedModel with the contract's signatures and one warm-up request."""
    import tensorflow as tf

    module, tiny = tf.Module(), TinyModel(version)
    module.weights = tf.Variable(tiny.weights)
    labels, thresholds, card = tf.constant(DIGITS), tf.constant(tiny_thresholds()), tiny_card(NAME, version)

    @tf.function(input_signature=[tf.TensorSpec((None, contract.IMAGE_SIZE, contract.IMAGE_SIZE), tf.uint8, contract.IMAGES)])
    def characters(images):
        flat = tf.reshape(tf.cast(images, tf.float32) / 255, (-1, contract.IMAGE_SIZE**2))
        return {contract.SCORES: tf.nn.softmax(flat @ module.weights)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, contract.INDEX)])
    def classes(index):
        return {contract.LABEL: tf.gather(labels, index), contract.THRESHOLD: tf.gather(thresholds, index)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, contract.INDEX)])
    def describe(index):
        return {contract.CARD: tf.fill(tf.shape(index), card)}

    signatures = {
        "serving_default": characters,
        contract.SIGNATURE: characters,
        contract.CLASSES_SIGNATURE: classes,
        contract.CARD_SIGNATURE: describe,
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    write_warmup(folder / contract.WARMUP_FILE, contract.IMAGES)


def write_warmup(path: Path, alias: str, records: int = 1) -> None:
    """A warm-up file: Predict with one blank image as the input `alias`, as often as `records` says."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = NAME, contract.SIGNATURE
    image = tf.zeros((1, contract.IMAGE_SIZE, contract.IMAGE_SIZE), tf.uint8)
    request.inputs[alias].CopyFrom(tf.make_tensor_proto(image))
    entry = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(records):
            writer.write(entry.SerializeToString())


if __name__ == "__main__":
    main()
