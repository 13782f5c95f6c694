"""POST /v1/predict and /v1/predict:batch."""

import io
import re
import time
from threading import Event, Thread

import grpc
import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.settings import Settings
from handwriting.image import decode, from_base64, to_base64
from handwriting.preprocess import to_tensor
from tests.fakes import DIGITS, FakeModelServer, TinyModel
from tfserving.client import ModelClient


def ask(client: FlaskClient, image: bytes, **options: object) -> TestResponse:
    return client.post("/v1/predict", json={"image": to_base64(image), **options})


def test_the_answer_is_the_models(client: FlaskClient, png: bytes) -> None:
    scores = TinyModel(1)(to_tensor(decode(png))[None])[0]

    answer = ask(client, png)

    body = answer.get_json()
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert body["model"] == {"name": "digits", "version": 1}
    assert body["prediction"] == DIGITS[scores.argmax()]
    assert body["confidence"] == pytest.approx(scores.max(), abs=1e-6)
    assert list(body["probabilities"]) == list(DIGITS)
    assert list(body["probabilities"].values()) == pytest.approx(scores.tolist(), abs=1e-6)
    assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert body["rejected"] is bool(scores.max() < 0.3 + 0.05 * scores.argmax())
    assert body["id"] == answer.headers["X-Request-ID"]


def test_the_three_ways_to_send_an_image_are_equal(client: FlaskClient, png: bytes) -> None:
    as_json = ask(client, png, top_k=3, version="canary").get_json()
    as_body = client.post("/v1/predict?top_k=3&version=canary", data=png, content_type="image/png").get_json()
    form = {"image": (io.BytesIO(png), "digit.png"), "top_k": "3", "version": "canary"}
    as_form = client.post("/v1/predict", data=form).get_json()

    for answer in (as_json, as_body, as_form):
        answer.pop("id")
    assert as_json == as_body == as_form
    assert as_json["model"]["version"] == 2


def test_the_same_image_gets_the_same_answer(client: FlaskClient, png: bytes) -> None:
    one, other = (re.sub(rb'"id":"[^"]+"', b"", ask(client, png).data) for _ in range(2))

    assert one == other


@pytest.mark.parametrize(("asked", "answered"), [("stable", 1), ("canary", 2), (1, 1), (2, 2)])
def test_a_version_can_be_asked_for(client: FlaskClient, png: bytes, asked: int | str, answered: int) -> None:
    assert ask(client, png, version=asked).get_json()["model"]["version"] == answered


def test_top_k_gives_the_most_probable_first(client: FlaskClient, png: bytes) -> None:
    probabilities = ask(client, png, top_k=4).get_json()["probabilities"]

    assert len(probabilities) == 4
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)


def test_labels_of_any_script_and_number_are_answered(png: bytes) -> None:
    labels = ("अ", "가나", "é", "e\u0301", "🙂")
    with FakeModelServer(labels=labels) as server, ModelClient(server.address) as model_client:
        body = ask(create_app(Settings(), model_client).test_client(), png).get_json()

    assert tuple(body["probabilities"]) == labels


def test_a_confidence_below_the_classs_threshold_is_rejected(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    server.publish(
        3, labels=("a", "b"), thresholds=(0.7, 0.2), scores=lambda images: np.tile(np.float32([0.6, 0.4]), (len(images), 1))
    )

    assert ask(client, png, version=3).get_json()["rejected"] is True
    server.publish(
        4, labels=("a", "b"), thresholds=(0.5, 0.2), scores=lambda images: np.tile(np.float32([0.6, 0.4]), (len(images), 1))
    )
    assert ask(client, png, version=4).get_json()["rejected"] is False


def test_the_polarity_can_be_given(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    ask(client, png, polarity="dark_on_light")
    ask(client, png, polarity="light_on_dark")

    one, other = (call.inputs["images"].tensor_content for call in server.calls_of("Predict") if "images" in call.inputs)
    assert one != other


def test_classes_are_asked_for_once_a_version(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    for _ in range(3):
        ask(client, png)

    asked = [call for call in server.calls_of("Predict") if call.model_spec.signature_name == "classes_v1"]
    assert len(asked) == 1


def test_a_promoted_version_answers_at_once(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    before = ask(client, png).get_json()["model"]["version"]
    server.move_label("stable", 2)

    assert (before, ask(client, png).get_json()["model"]["version"]) == (1, 2)


def problem(response: TestResponse, status: int, code: str) -> dict[str, object]:
    """The problem, after it has been seen to be one."""
    body = response.get_json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert response.content_type == "application/problem+json"
    assert set(body) >= {"type", "title", "status", "code", "detail", "id"}
    assert body["type"].endswith("#" + code.replace("_", "-"))
    assert body["status"] == status
    assert "Traceback" not in response.text
    return dict(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/image"),
        ({"image": 7}, "/image"),
        ({"image": None}, "/image"),
        ({"image": "eA==", "colour": "red"}, "/colour"),
        ({"image": "eA==", "a/b~c": 1}, "/a~1b~0c"),
        ({"image": "eA==", "top_k": 0}, "/top_k"),
        ({"image": "eA==", "top_k": True}, "/top_k"),
        ({"image": "eA==", "top_k": "3"}, "/top_k"),
        ({"image": "eA==", "version": -1}, "/version"),
        ({"image": "eA==", "version": 10**30}, "/version"),
        ({"image": "eA==", "version": "No Label"}, "/version"),
        ({"image": "eA==", "model": "../digits"}, "/model"),
        ({"image": "eA==", "model": ["digits"]}, "/model"),
        ({"image": "eA==", "polarity": "grey"}, "/polarity"),
        ([], ""),
        ("text", ""),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_where(client: FlaskClient, body: object, pointer: str) -> None:
    if isinstance(body, dict) and body.get("version") == 10**30:
        response = client.post("/v1/predict", data=f'{{"image": "eA==", "version": {10**30}}}', content_type="application/json")
    else:
        response = client.post("/v1/predict", json=body)

    errors = problem(response, 400, "invalid_request")["errors"]
    assert [error["pointer"] for error in errors] == [pointer]  # type: ignore[attr-defined]


def test_every_mistake_is_told_at_once(client: FlaskClient) -> None:
    errors = problem(client.post("/v1/predict", json={"top_k": 0, "x": 1}), 400, "invalid_request")["errors"]

    assert {error["pointer"] for error in errors} == {"/image", "/top_k", "/x"}  # type: ignore[attr-defined]


NO_JSON = {
    "nothing": b"",
    "cut": b"{",
    "no UTF-8": b'{"image": "\xff"}',
    "a surrogate in UTF-8": b'{"image": "\xed\xa0\x80"}',
    "a surrogate": b'{"image": "\\ud800"}',
    "a byte order mark": b'\xef\xbb\xbf{"image": "eA=="}',
    "NUL": b'{"image": "\0"}',
    "deep arrays": b"[" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "NaN": b"NaN",
    "a huge number": b'{"image": "eA==", "top_k": 1e999}',
    "a number of 5,000 digits": b'{"image": "eA==", "top_k": ' + b"9" * 5000 + b"}",
    "a key twice": b'{"image": "eA==", "top_k": 1, "top_k": 1}',
    "a key twice, escaped": b'{"image": "eA==", "top_k": 1, "top\\u005fk": 1}',
    "a key twice, inside": b'{"image": "eA==", "x": [{"a": 1, "a": 2}]}',
}


@pytest.mark.parametrize("data", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_refused(client: FlaskClient, data: bytes) -> None:
    problem(client.post("/v1/predict", data=data, content_type="application/json"), 400, "invalid_json")


@pytest.mark.parametrize("text", ["%%%", "a", "data:image/png,xyz"])
def test_what_is_no_base64_is_refused(client: FlaskClient, text: str) -> None:
    problem(client.post("/v1/predict", json={"image": text}), 400, "invalid_base64")


@pytest.mark.parametrize("data", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(client: FlaskClient, data: bytes) -> None:
    problem(ask(client, data), 415, "unsupported_image")


def test_a_blank_image_is_refused(client: FlaskClient, blank_png: bytes) -> None:
    problem(ask(client, blank_png), 422, "no_ink")


def test_a_body_that_is_too_large_is_refused_unread(client: FlaskClient) -> None:
    start = time.perf_counter()
    claimed = {"CONTENT_LENGTH": str(10**9)}

    response = client.post("/v1/predict", content_type="application/json", data=b"{", environ_overrides=claimed)

    problem(response, 413, "payload_too_large")
    assert "1,000,000,000" in response.text
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "image/heic", ""])
def test_another_content_type_is_refused(client: FlaskClient, kind: str) -> None:
    problem(client.post("/v1/predict", data=b"x", content_type=kind), 415, "unsupported_media_type")


def test_an_image_may_come_under_another_images_type(client: FlaskClient, png: bytes) -> None:
    assert client.post("/v1/predict", data=png, content_type="image/jpeg").status_code == 200


def test_a_form_without_a_file_is_refused(client: FlaskClient) -> None:
    response = client.post("/v1/predict", data={"picture": "x"}, content_type="multipart/form-data")

    problem(response, 400, "invalid_request")


def test_an_option_in_the_body_is_preferred_to_one_in_the_query(client: FlaskClient, png: bytes) -> None:
    as_json = client.post("/v1/predict?top_k=1&version=2", json={"image": to_base64(png), "top_k": 3})
    as_form = client.post("/v1/predict?top_k=1&version=2", data={"image": (io.BytesIO(png), "a.png"), "top_k": "3"})

    for answer in (as_json, as_form):
        assert answer.get_json()["model"]["version"] == 2
        assert len(answer.get_json()["probabilities"]) == 3


def test_an_option_that_comes_twice_is_refused(client: FlaskClient, png: bytes) -> None:
    response = client.post("/v1/predict?top_k=1&top_k=2", data=png, content_type="image/png")

    errors = problem(response, 400, "invalid_request")["errors"]
    assert errors == [{"pointer": "/top_k", "detail": "It came more than once."}]


@pytest.mark.parametrize(
    ("options", "code"),
    [({"model": "nope"}, "unknown_model"), ({"version": 9}, "unknown_version"), ({"version": "blue"}, "unknown_version")],
)
def test_an_unknown_model_or_version_is_told(client: FlaskClient, png: bytes, options: dict[str, object], code: str) -> None:
    problem(ask(client, png, **options), 404, code)


def test_a_model_of_another_contract_is_not_believed(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    server.fail_with(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "characters_v1" not found.')

    problem(ask(client, png), 503, "model_unavailable")


@pytest.mark.parametrize(
    "scores",
    [
        lambda images: np.full((len(images), 10), np.nan, np.float32),
        lambda images: np.full((len(images), 10), 0.5, np.float32),
        lambda images: np.tile(np.float32([2, -1, 0, 0, 0, 0, 0, 0, 0, 0]), (len(images), 1)),
        lambda images: np.full((len(images) + 1, 10), 0.1, np.float32),
        lambda images: np.full((10,), 0.1, np.float32),
        lambda images: np.full((len(images), 7), 1 / 7, np.float32),
    ],
    ids=["NaN", "sum", "negative", "count", "rank", "classes"],
)
def test_scores_that_cannot_be_are_not_believed(
    server: FakeModelServer, client: FlaskClient, png: bytes, scores: object
) -> None:
    server.publish(5, labels=DIGITS, scores=scores)  # type: ignore[arg-type]

    response = ask(client, png, version=5)

    problem(response, 503, "model_unavailable")
    assert response.headers["Retry-After"] == "1"


def test_without_a_model_server_the_caller_is_told_to_come_back(
    server: FakeModelServer, client: FlaskClient, png: bytes
) -> None:
    server.stop()

    response = ask(client, png)

    problem(response, 503, "model_unavailable")
    assert response.headers["Retry-After"] == "1"


def test_before_the_first_version_the_caller_is_told_to_come_back(png: bytes) -> None:
    with FakeModelServer(versions=()) as server, ModelClient(server.address) as model_client:
        client = create_app(Settings(), model_client).test_client()

        problem(ask(client, png), 503, "model_unavailable")


def test_a_request_has_the_time_that_it_asks_for(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    server.delay(5)
    start = time.monotonic()

    response = client.post("/v1/predict", json={"image": to_base64(png)}, headers={"X-Request-Timeout": "0.2"})

    problem(response, 504, "deadline_exceeded")
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("text", ["0", "-1", "31", "soon", "nan", "inf"])
def test_a_timeout_that_cannot_be_is_refused(client: FlaskClient, png: bytes, text: str) -> None:
    response = client.post("/v1/predict", json={"image": to_base64(png)}, headers={"X-Request-Timeout": text})

    problem(response, 400, "invalid_request")


def test_an_image_beyond_the_decoding_memory_is_turned_away(server: FakeModelServer, png: bytes) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(decoding_pixels=100), model_client).test_client()

        response = ask(client, png)

    problem(response, 503, "overloaded")
    assert response.headers["Retry-After"] == "1"


def test_what_the_model_saw_is_given_to_who_asks(client: FlaskClient, png: bytes) -> None:
    body = ask(client, png, include="input").get_json()

    seen = decode(from_base64(body.pop("input")))
    assert np.array_equal(seen, to_tensor(decode(png)))
    assert {**body, "id": ""} == {**ask(client, png).get_json(), "id": ""}


@pytest.mark.parametrize("include", ["", "output", 1])
def test_only_the_input_can_be_included(client: FlaskClient, png: bytes, include: object) -> None:
    assert "input, for what the model saw" in str(problem(ask(client, png, include=include), 400, "invalid_request")["detail"])


def test_a_batch_is_answered_in_order_and_a_bad_image_fails_alone(
    server: FakeModelServer, client: FlaskClient, png: bytes, blank_png: bytes
) -> None:
    images = [to_base64(png), "%%%", to_base64(blank_png), to_base64(png)]

    body = client.post("/v1/predict:batch", json={"images": images, "top_k": 1}).get_json()

    assert body["model"] == {"name": "digits", "version": 1}
    assert [result.get("error", {}).get("code") for result in body["results"]] == [None, "invalid_base64", "no_ink", None]
    assert body["results"][0] == body["results"][3]
    assert len([call for call in server.calls_of("Predict") if "images" in call.inputs]) == 1


def test_a_batch_of_nothing_but_bad_images_is_answered(client: FlaskClient, blank_png: bytes) -> None:
    body = client.post("/v1/predict:batch", json={"images": [to_base64(blank_png)] * 2}).get_json()

    assert body["model"]["version"] == 1
    assert [result["error"]["code"] for result in body["results"]] == ["no_ink", "no_ink"]


def test_a_batch_may_come_as_a_form(client: FlaskClient, png: bytes, blank_png: bytes) -> None:
    form = {"images": [(io.BytesIO(image), "image.png") for image in (png, blank_png, png)], "top_k": "1"}
    as_json = {"images": [to_base64(image) for image in (png, blank_png, png)], "top_k": 1}

    answer = client.post("/v1/predict:batch", data=form).get_json()

    assert answer["results"] == client.post("/v1/predict:batch", json=as_json).get_json()["results"]


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ({"image": 2}, "/image"),
        ({"image": 1, "other": 1}, "/image"),
        ({"picture": 1}, "/image"),
        ({}, "/image"),
    ],
)
def test_a_form_holds_one_file_in_its_field(client: FlaskClient, png: bytes, form: dict[str, int], pointer: str) -> None:
    files = {name: [(io.BytesIO(png), "a.png") for _ in range(count)] for name, count in form.items()}

    response = client.post("/v1/predict", data={**files, "top_k": "1"}, content_type="multipart/form-data")

    errors = problem(response, 400, "invalid_request")["errors"]
    assert [error["pointer"] for error in errors] == [pointer]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=ä", "multipart/form-data; boundary=x"])
def test_a_form_that_cannot_be_read_is_refused(client: FlaskClient, kind: str) -> None:
    problem(client.post("/v1/predict", data=b"--y\r\n", content_type=kind), 400, "invalid_request")


def test_a_form_is_bounded_too(client: FlaskClient) -> None:
    response = client.post("/v1/predict", data=b"x" * (15 << 20), content_type="multipart/form-data; boundary=x")

    problem(response, 413, "payload_too_large")


def test_too_many_images_are_refused(client: FlaskClient) -> None:
    response = client.post("/v1/predict:batch", json={"images": ["eA=="] * 257})

    assert "257" in str(problem(response, 413, "too_many_images")["detail"])


@pytest.mark.parametrize("images", [[], "eA==", [1], None])
def test_a_batch_must_be_an_array_of_strings(client: FlaskClient, images: object) -> None:
    problem(client.post("/v1/predict:batch", json={"images": images}), 400, "invalid_request")


def test_requests_at_the_same_time_get_their_own_answers(server: FakeModelServer, client: FlaskClient, png: bytes) -> None:
    app = client.application
    expected = {
        1: ask(client, png, version=1).get_json()["probabilities"],
        2: ask(client, png, version=2).get_json()["probabilities"],
    }
    wrong = Event()

    def work(version: int) -> None:
        own = app.test_client()
        for _ in range(10):
            body = ask(own, png, version=version).get_json()
            if body["probabilities"] != expected[version] or body["model"]["version"] != version:
                wrong.set()

    threads = [Thread(target=work, args=(1 + index % 2,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong.is_set()
