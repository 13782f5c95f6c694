"""The Open Inference Protocol."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.settings import Settings
from handwriting.image import decode, to_base64
from handwriting.preprocess import to_tensor
from tests.fakes import DIGITS, FakeModelServer, TinyModel
from tfserving.client import ModelClient

INFER = "/v2/models/digits/infer"


def infer(client: FlaskClient, *images: bytes, path: str = INFER, **members: Any) -> TestResponse:
    tensor = {"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": [to_base64(image) for image in images]}
    return client.post(path, json={"inputs": [tensor], **members})


def infer_binary(client: FlaskClient, *items: bytes, size: int | None = None, **members: Any) -> TestResponse:
    data = b"".join(struct.pack("<I", len(item)) + item for item in items)
    parameters = {"binary_data_size": len(data) if size is None else size}
    tensor = {"name": "image", "shape": [len(items)], "datatype": "BYTES", "parameters": parameters}
    head = msgspec.json.encode({"inputs": [tensor], **members})
    return client.post(INFER, data=head + data, headers={"Inference-Header-Content-Length": str(len(head))})


def test_the_server_tells_what_it_is(client: FlaskClient) -> None:
    body = client.get("/v2").get_json()

    assert set(body) == {"name", "version", "extensions"}
    assert body["extensions"] == ["binary_tensor_data"]


def test_health_is_that_of_the_gateway(server: FakeModelServer, client: FlaskClient) -> None:
    assert client.get("/v2/health/live").get_json() == {"live": True}
    assert client.get("/v2/health/ready").get_json() == {"ready": True}
    server.stop()

    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 503


def test_a_model_is_described(client: FlaskClient) -> None:
    body = client.get("/v2/models/digits").get_json()

    assert body == {
        "name": "digits",
        "versions": ["2", "1"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        ],
    }


@pytest.mark.parametrize(("version", "number"), [("2", "2"), ("canary", "2"), ("stable", "1")])
def test_a_version_is_described(client: FlaskClient, version: str, number: str) -> None:
    assert client.get(f"/v2/models/digits/versions/{version}").get_json()["versions"] == [number]


def test_a_model_is_ready_while_it_can_answer(server: FakeModelServer, client: FlaskClient) -> None:
    assert client.get("/v2/models/digits/ready").get_json() == {"name": "digits", "ready": True}
    assert client.get("/v2/models/digits/versions/2/ready").status_code == 200
    assert client.get("/v2/models/digits/versions/3/ready").status_code == 404
    server.break_version(2)

    assert client.get("/v2/models/digits/versions/2/ready").status_code == 404


def test_the_answer_is_the_models(client: FlaskClient, png: bytes) -> None:
    scores = TinyModel(1)(to_tensor(decode(png))[None])[0]

    body = infer(client, png, png, id="mine").get_json()

    label, probabilities = body["outputs"]
    assert (body["id"], body["model_name"], body["model_version"]) == ("mine", "digits", "1")
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": [DIGITS[scores.argmax()]] * 2}
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [2, 10])
    assert probabilities["data"] == pytest.approx([*scores, *scores], abs=1e-6)


def test_the_answer_has_the_requests_id_where_none_was_given(client: FlaskClient, png: bytes) -> None:
    answer = infer(client, png)

    assert answer.get_json()["id"] == answer.headers["X-Request-ID"]


def test_a_version_in_the_path_answers(client: FlaskClient, png: bytes) -> None:
    assert infer(client, png, path="/v2/models/digits/versions/2/infer").get_json()["model_version"] == "2"


def test_only_what_is_asked_for_is_given(client: FlaskClient, png: bytes) -> None:
    (output,) = infer(client, png, outputs=[{"name": "label"}]).get_json()["outputs"]

    assert output["name"] == "label"


@pytest.mark.parametrize("as_base64", [True, False])
def test_binary_data_is_taken_and_given(client: FlaskClient, png: bytes, as_base64: bool) -> None:
    label, probabilities = infer(client, png, png).get_json()["outputs"]

    answer = infer_binary(client, *[to_base64(png).encode() if as_base64 else png] * 2, parameters={"binary_data_output": True})

    length = int(answer.headers["Inference-Header-Content-Length"])
    head, tail = msgspec.json.decode(answer.data[:length]), answer.data[length:]
    sizes = [output["parameters"]["binary_data_size"] for output in head["outputs"]]
    assert answer.content_type == "application/octet-stream"
    assert sizes == [2 * (4 + 1), 2 * 10 * 4]
    assert tail[: sizes[0]] == b"".join(struct.pack("<I", 1) + text.encode() for text in label["data"])
    assert np.frombuffer(tail[sizes[0] :], "<f4").tolist() == pytest.approx(probabilities["data"], abs=1e-7)


def test_an_output_says_itself_how_it_is_given(client: FlaskClient, png: bytes) -> None:
    wanted = [{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "label"}]

    answer = infer(client, png, outputs=wanted, parameters={"binary_data_output": True})

    length = int(answer.headers["Inference-Header-Content-Length"])
    probabilities, label = msgspec.json.decode(answer.data[:length])["outputs"]
    assert len(probabilities["data"]) == 10
    assert label["parameters"] == {"binary_data_size": len(answer.data) - length}


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"inputs": []}, "/inputs"),
        ({"inputs": [{"name": "pixels", "shape": [1], "datatype": "BYTES", "data": ["eA=="]}]}, "/inputs/0/name"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "UINT8", "data": ["eA=="]}]}, "/inputs/0/datatype"),
        ({"inputs": [{"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": ["eA=="]}]}, "/inputs/0/shape"),
        ({"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["eA=="]}]}, "/inputs/0/shape"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [7]}]}, "/inputs/0/data/0"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}, "/inputs/0"),
        ({"outputs": [{"name": "scores"}]}, "/outputs/0/name"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 3}}]}, "/outputs/0/parameters"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_where(
    client: FlaskClient, png: bytes, members: dict[str, Any], pointer: str
) -> None:
    response = infer(client, png, **members)

    body = response.get_json()
    assert (response.status_code, body["code"]) == (400, "invalid_request")
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert body["error"] == body["detail"]
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("length", ["-1", "x", "1000000", "١"])
def test_a_length_that_cannot_be_is_refused(client: FlaskClient, length: str) -> None:
    response = client.post(INFER, data=b"{}", headers={"Inference-Header-Content-Length": length.encode().decode("latin-1")})

    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_request")


def test_binary_data_of_another_size_is_refused(client: FlaskClient, png: bytes) -> None:
    response = infer_binary(client, png, size=7)

    assert response.get_json()["errors"][0]["pointer"] == "/inputs/0/parameters/binary_data_size"


def test_a_bad_image_fails_the_request_and_is_named(client: FlaskClient, png: bytes, blank_png: bytes) -> None:
    response = infer(client, png, blank_png)

    body = response.get_json()
    assert (response.status_code, body["code"]) == (422, "no_ink")
    assert body["error"].startswith("image 1: ")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/models/nope/infer", "unknown_model"),
        ("/v2/models/digits/versions/9/infer", "unknown_version"),
        ("/v2/models/digits/versions/blue/infer", "unknown_version"),
    ],
)
def test_an_unknown_model_or_version_is_told(client: FlaskClient, png: bytes, path: str, code: str) -> None:
    response = infer(client, png, path=path)

    assert (response.status_code, response.get_json()["code"]) == (404, code)
    assert response.get_json()["error"]


def test_too_many_images_are_refused(server: FakeModelServer, png: bytes) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(max_batch_images=2), model_client).test_client()

        assert infer(client, png, png).status_code == 200
        assert infer(client, png, png, png).get_json()["code"] == "too_many_images"


def test_members_that_only_a_client_knows_are_ignored(client: FlaskClient, png: bytes) -> None:
    assert infer(client, png, model_name="digits", parameters={"priority": 1}).status_code == 200


def test_a_compressed_body_is_refused(client: FlaskClient) -> None:
    response = client.post(INFER, data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    assert (response.status_code, response.get_json()["code"]) == (415, "unsupported_media_type")
