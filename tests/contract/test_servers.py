"""One contract, held by the fake, the development server and, where TFSERVING_ADDRESS is set, TensorFlow Serving itself."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from handwriting import contract
from tests.contract.make_tiny_model import NAME
from tests.contract.servers import MODEL, PREDICTION, Caller, ServerUnderTest, blank, refused
from tests.fakes import DIGITS, TinyModel, tiny_card, tiny_thresholds
from tfserving import tensors, wire_pb2


@pytest.mark.skipif(
    not os.environ.get("TFSERVING_ADDRESS"),
    reason="set TFSERVING_ADDRESS to a TensorFlow Serving that serves what make_tiny_model.py wrote: this file runs on it too",
)
def test_a_real_server_is_held_to_this_contract() -> None:
    with Caller(os.environ["TFSERVING_ADDRESS"]) as caller:
        assert set(caller.states().values()) == {"AVAILABLE"}


@pytest.fixture
def caller(server: ServerUnderTest) -> Caller:
    return server.caller


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (3, 28, 28), np.uint8)


def a_request(caller: Caller, version: int | str | None = 1, signature: str = contract.SIGNATURE, **inputs: np.ndarray):
    request = wire_pb2.PredictRequest(model_spec=caller.spec(version, signature))
    for alias, array in inputs.items():
        request.inputs[alias].CopyFrom(tensors.from_array(array))
    return request


@pytest.mark.parametrize(("asked", "answers"), [("stable", 1), ("canary", 2), (1, 1), (2, 2), (None, 2)])
def test_the_version_asked_for_answers(caller: Caller, images: np.ndarray, asked: int | str | None, answers: int) -> None:
    version, scores = caller.scores(images, asked)

    assert version == answers
    np.testing.assert_allclose(scores, TinyModel(answers)(images), atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 64, 1000])
def test_batches_of_any_size_are_answered(caller: Caller, count: int) -> None:
    _, scores = caller.scores(blank(count), 1)

    assert scores.shape == (count, 10)


def test_pixels_may_come_in_int_val(caller: Caller, images: np.ndarray) -> None:
    request = a_request(caller)
    tensor = wire_pb2.Tensor(dtype=wire_pb2.DT_UINT8, int_val=images[0].ravel().tolist())
    for size in (1, 28, 28):
        tensor.tensor_shape.dim.add(size=size)
    request.inputs["images"].CopyFrom(tensor)

    scores = tensors.to_array(caller.predict(request).outputs["scores"])

    np.testing.assert_allclose(scores, TinyModel(1)(images[:1]), atol=1e-5)


def test_numbers_come_in_float_val(caller: Caller) -> None:
    response = caller.predict(a_request(caller, images=blank()))

    assert len(response.outputs["scores"].float_val) == 10
    assert not response.outputs["scores"].tensor_content


def test_an_empty_signature_name_means_the_default_signature(caller: Caller) -> None:
    response = caller.predict(a_request(caller, signature="", images=blank()))

    assert response.model_spec.signature_name == "serving_default"


def test_classes_tell_labels_and_thresholds(caller: Caller) -> None:
    request = a_request(caller, "stable", contract.CLASSES_SIGNATURE, index=np.arange(10, dtype=np.int32))

    response = caller.predict(request)

    assert [value.decode() for value in response.outputs["label"].string_val] == list(DIGITS)
    np.testing.assert_allclose(tensors.to_array(response.outputs["threshold"]), tiny_thresholds(), atol=1e-6)
    assert (response.model_spec.name, response.model_spec.version.value) == (NAME, 1)


def test_the_card_is_the_version_s_own(caller: Caller) -> None:
    response = caller.predict(a_request(caller, 2, contract.CARD_SIGNATURE, index=np.zeros(1, np.int32)))

    assert response.outputs["card"].string_val[0].decode() == tiny_card(NAME, 2)


def test_an_output_filter_chooses(caller: Caller) -> None:
    request = a_request(caller, 1, contract.CLASSES_SIGNATURE, index=np.zeros(1, np.int32))
    request.output_filter.append("label")

    assert list(caller.predict(request).outputs) == ["label"]


@pytest.mark.parametrize(
    ("name", "asked", "code", "text"),
    [
        ("nope", None, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (NAME, 99, "NOT_FOUND", f"Servable not found for request: Specific({NAME}, 99)"),
        (NAME, "blue", "INVALID_ARGUMENT", "Unrecognized servable version label: blue"),
        ("nope", "blue", "INVALID_ARGUMENT", "Unrecognized servable version label: blue"),
        ("", None, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ],
)
def test_what_is_not_served_is_refused(caller: Caller, name: str, asked: int | str | None, code: str, text: str) -> None:
    request = a_request(caller, asked, images=blank())
    request.model_spec.name = name

    with refused(code, text):
        caller.predict(request)
    with refused(code, text):
        caller.metadata(request.model_spec, "signature_def")


def test_an_unknown_signature_is_a_failed_precondition(caller: Caller) -> None:
    with refused("FAILED_PRECONDITION", 'Serving signature key "characters_v2" not found.'):
        caller.predict(a_request(caller, signature="characters_v2", images=blank()))


def test_an_unknown_input_is_named(caller: Caller) -> None:
    text = (
        "Signature input alias: images(feed name: characters_v1_images:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {image}, or default input alias set: "
    )
    with refused("INVALID_ARGUMENT", text):
        caller.predict(a_request(caller, image=blank()))


def test_missing_and_extra_inputs_are_named(caller: Caller) -> None:
    missing = "0!=1 len({}) != len({images}). Sent extra: {}. Missing but required: {images}."
    extra = "2!=1 len({images,zzz}) != len({images}). Sent extra: {zzz}. Missing but required: {}."

    with refused("INVALID_ARGUMENT", f"input size does not match signature: {missing}"):
        caller.predict(a_request(caller))
    with refused("INVALID_ARGUMENT", f"input size does not match signature: {extra}"):
        caller.predict(a_request(caller, images=blank(), zzz=blank()))


def test_another_type_is_refused(caller: Caller) -> None:
    with refused("INVALID_ARGUMENT", "Expects arg[0] to be uint8 but float is provided"):
        caller.predict(a_request(caller, images=blank().astype(np.float32)))
    with refused("INVALID_ARGUMENT", "Expects arg[0] to be int32 but int64 is provided"):
        caller.predict(a_request(caller, signature=contract.CLASSES_SIGNATURE, index=np.zeros(1, np.int64)))


def test_another_height_is_refused(caller: Caller) -> None:
    with refused("INVALID_ARGUMENT"):
        caller.predict(a_request(caller, images=blank()[:, 1:]))


def test_an_index_out_of_range_is_refused(caller: Caller) -> None:
    with refused("INVALID_ARGUMENT"):
        caller.predict(a_request(caller, signature=contract.CLASSES_SIGNATURE, index=np.array([10], np.int32)))


def test_an_unknown_output_is_named(caller: Caller) -> None:
    request = a_request(caller, images=blank())
    request.output_filter.append("nope")

    text = "output tensor alias not found in signature: nope Outputs expected to be in the set {scores}."
    with refused("INVALID_ARGUMENT", text):
        caller.predict(request)


def broken_tensors() -> Iterator[object]:
    tensor = tensors.from_array(blank())
    tensor.tensor_content = tensor.tensor_content[:100]
    yield pytest.param(tensor, id="content too short")
    tensor = tensors.from_array(blank())
    tensor.dtype = wire_pb2.DT_INVALID
    yield pytest.param(tensor, id="no type")
    tensor = tensors.from_array(blank())
    tensor.tensor_shape.dim[0].size = -1
    yield pytest.param(tensor, id="negative dimension")


@pytest.mark.parametrize("tensor", list(broken_tensors()))
def test_a_broken_tensor_is_refused(caller: Caller, tensor: wire_pb2.Tensor) -> None:
    request = a_request(caller)
    request.inputs["images"].CopyFrom(tensor)

    with refused("INVALID_ARGUMENT", "tensor parsing error: images"):
        caller.predict(request)


def test_what_is_no_message_is_refused(caller: Caller) -> None:
    with refused("INTERNAL"):
        caller.raw(f"{PREDICTION}/Predict", b"\xff\xfe\xfd garbage")
    with refused("UNIMPLEMENTED"):
        caller.raw(f"{PREDICTION}/Nope", b"")


def test_an_empty_request_is_refused(caller: Caller) -> None:
    with refused("INVALID_ARGUMENT", "Missing ModelSpec"):
        caller.predict(wire_pb2.PredictRequest())
    with refused("INVALID_ARGUMENT", "Missing ModelSpec"):
        caller.raw(f"{MODEL}/GetModelStatus", b"")


@pytest.mark.parametrize(("asked", "answers"), [("stable", 1), ("canary", 2), (1, 1), (None, 2)])
def test_metadata_tells_the_version_and_the_signatures(caller: Caller, asked: int | str | None, answers: int) -> None:
    response = caller.metadata(caller.spec(asked), "signature_def")

    signatures = wire_pb2.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
    assert response.model_spec.version.value == answers
    assert {contract.SIGNATURE, contract.CLASSES_SIGNATURE, contract.CARD_SIGNATURE} <= set(signatures)
    pixels = signatures[contract.SIGNATURE].inputs[contract.IMAGES]
    assert pixels.dtype == wire_pb2.DT_UINT8
    assert [dim.size for dim in pixels.tensor_shape.dim] == [-1, 28, 28]


def test_metadata_needs_a_field_that_exists(caller: Caller) -> None:
    with refused("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"):
        caller.metadata(caller.spec())
    with refused("INVALID_ARGUMENT", "Metadata field bogus is not supported"):
        caller.metadata(caller.spec(), "bogus")


@pytest.mark.parametrize(("asked", "versions"), [(None, [2, 1]), (2, [2]), ("stable", [2, 1]), ("blue", [2, 1])])
def test_status_lists_versions_and_ignores_labels(caller: Caller, asked: int | str | None, versions: list[int]) -> None:
    rows = caller.status(caller.spec(asked))

    assert [row.version for row in rows] == versions
    assert {row.state for row in rows} == {wire_pb2.ModelVersionStatus.AVAILABLE}
    assert all(row.HasField("status") and row.status.error_code == 0 for row in rows)


def test_status_of_what_there_never_was_is_not_found(caller: Caller) -> None:
    with refused("NOT_FOUND", "Could not find any versions of model nope"):
        caller.status(wire_pb2.ModelSpec(name="nope"))
    with refused("NOT_FOUND", f"Could not find version 99 of model {NAME}"):
        caller.status(caller.spec(99))


def reload_request(server: ServerUnderTest, **labels: int) -> wire_pb2.ReloadConfigRequest:
    request = wire_pb2.ReloadConfigRequest()
    model = request.config.model_config_list.config.add(
        name=NAME, base_path=server.base_path, model_platform="tensorflow", version_labels=labels
    )
    model.model_version_policy.specific.versions.extend([1, 2])
    return request


def test_a_reload_without_models_or_with_a_relative_path_is_refused(server: ServerUnderTest) -> None:
    relative = reload_request(server)
    relative.config.model_config_list.config[0].base_path = NAME

    text = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    with refused("INVALID_ARGUMENT", text):
        server.caller.reload(wire_pb2.ReloadConfigRequest())
    text = f"Expected model {NAME} to have an absolute path or URI; got base_path()={NAME}"
    with refused("INVALID_ARGUMENT", text):
        server.caller.reload(relative)


def test_a_label_moves_to_a_loaded_version_at_once_and_to_no_other(server: ServerUnderTest) -> None:
    text = f"Request to assign label to version 9 of model {NAME}, which is not currently available for inference"
    with refused("FAILED_PRECONDITION", text):
        server.caller.reload(reload_request(server, stable=9, canary=2))
    assert server.caller.scores(blank(), "stable")[0] == 1

    server.caller.reload(reload_request(server, stable=2, canary=2))
    assert server.caller.scores(blank(), "stable")[0] == 2

    server.caller.reload(reload_request(server, stable=1, canary=2))
    assert server.caller.scores(blank(), "stable")[0] == 1
