"""POST /v1/read."""

import io
import json

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from handwriting import contract
from handwriting.image import to_base64
from tests.fakes import FakeModelServer

BOXES = [(30, 18, 33, 49), (97, 18, 5, 49), (134, 18, 33, 49)]


def by_width(images: np.ndarray) -> np.ndarray:
    """1 for what is narrow, else 0: enough of a recogniser for these tests."""
    narrow = (images.max(axis=1) > 60).sum(axis=1) < 9
    scores = np.full((len(images), 10), 0.005, np.float32)
    scores[np.arange(len(images)), narrow.astype(int)] = 0.955
    return scores


@pytest.fixture(autouse=True)
def _recogniser(server: FakeModelServer) -> None:
    server.publish(1, scores=by_width, thresholds=[0.5] * 10)


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """010 on paper."""
    pixels = np.full((84, 200), 245, np.uint8)
    cv2.ellipse(pixels, (46, 42), (14, 22), 0, 0, 360, 30, 5, cv2.LINE_AA)
    cv2.line(pixels, (99, 20), (99, 64), 30, 5, cv2.LINE_AA)
    cv2.ellipse(pixels, (150, 42), (14, 22), 0, 0, 360, 30, 5, cv2.LINE_AA)
    return pixels


@pytest.fixture(scope="module")
def field_png(field: np.ndarray) -> bytes:
    return encoded(field)


def encoded(pixels: np.ndarray, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def ask(client: FlaskClient, image: bytes, **options: object) -> TestResponse:
    return client.post("/v1/read", json={"image": to_base64(image), **options})


def test_a_field_is_read(client: FlaskClient, field_png: bytes) -> None:
    answer = ask(client, field_png)

    body = answer.get_json()
    assert answer.status_code == 200, body
    assert body["text"] == "010"
    assert body["model"] == {"name": "digits", "version": 1}
    assert body["id"] == answer.headers["X-Request-ID"]
    assert body["confidence"] == pytest.approx(0.955**3, abs=1e-5)
    assert [line["text"] for line in body["lines"]] == ["010"]
    assert body["lines"][0]["confidence"] == body["confidence"]
    assert body["candidates"][0]["text"] == "010"
    assert len(body["candidates"]) <= 5
    assert "satisfies" not in body
    characters = body["lines"][0]["characters"]
    assert [character["prediction"] for character in characters] == ["0", "1", "0"]
    assert set(characters[0]) == {"prediction", "confidence", "probabilities", "rejected", "box"}
    assert np.abs(np.array([item["box"] for item in characters]) - BOXES).max() <= 5


def test_all_hypotheses_go_in_one_model_call(client: FlaskClient, server: FakeModelServer, field_png: bytes) -> None:
    ask(client, field_png)

    calls = [call for call in server.calls_of("Predict") if call.model_spec.signature_name == contract.SIGNATURE]
    assert len(calls) == 1


def test_the_three_ways_to_send_an_image_are_equal(client: FlaskClient, field_png: bytes) -> None:
    as_json = ask(client, field_png, length=3, top_k=2).get_json()
    as_body = client.post("/v1/read?length=3&top_k=2", data=field_png, content_type="image/png").get_json()
    form = {"image": (io.BytesIO(field_png), "field.png"), "length": "3", "top_k": "2"}
    as_form = client.post("/v1/read", data=form).get_json()

    for answer in (as_json, as_body, as_form):
        answer.pop("id")
    assert as_json == as_body == as_form
    assert as_json["satisfies"] is True


def test_a_constraint_chooses_among_the_readings(client: FlaskClient, field_png: bytes) -> None:
    body = ask(client, field_png, pattern=r"07\d", charset="07", max_candidates=2).get_json()

    assert body["satisfies"] is True
    assert body["text"] == "070"
    assert len(body["candidates"]) <= 2
    assert body["lines"][0]["characters"][1]["rejected"] is True


def test_what_cannot_be_satisfied_is_told(client: FlaskClient, field_png: bytes) -> None:
    body = ask(client, field_png, length=9).get_json()

    assert body["satisfies"] is False
    assert body["text"] == "010"


def test_boxes_are_in_pixels_of_the_upright_original(client: FlaskClient, field: np.ndarray) -> None:
    factor = 24  # 4,800 pixels wide: it is reduced while it is decoded
    large = np.rot90(cv2.resize(field, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR))
    exif = Image.Exif()
    exif[0x0112] = 6

    body = ask(client, encoded(np.ascontiguousarray(large), "JPEG", exif=exif.tobytes())).get_json()

    boxes = np.array([item["box"] for item in body["lines"][0]["characters"]])
    assert body["text"] == "010"
    assert np.abs(boxes / factor - BOXES).max() <= 5


PATTERNS = json.dumps({"patterns": {"A": r"0\d0", "LONG": r"\d{9}", "BROKEN": "(", "NUMBER": 7}})


def test_a_pattern_that_the_version_carries_is_asked_for_by_its_name(
    client: FlaskClient, server: FakeModelServer, field_png: bytes
) -> None:
    server.publish(1, scores=by_width, card=PATTERNS)

    fitting, long = (ask(client, field_png, pattern=name).get_json() for name in ("@A", "@LONG"))
    (told,) = [item for item in client.get("/v1/models/digits").get_json()["versions"] if item["version"] == 1]

    assert (fitting["text"], fitting["satisfies"]) == ("010", True)
    assert long["satisfies"] is False
    assert told["patterns"] == {"A": r"0\d0", "LONG": r"\d{9}", "BROKEN": "("}


def test_the_patterns_are_those_of_the_version_that_answers(
    client: FlaskClient, server: FakeModelServer, field_png: bytes
) -> None:
    server.publish(1, scores=by_width, card=PATTERNS)
    server.publish(2, scores=by_width, card=json.dumps({"patterns": {"B": r"\d\d\d"}}))

    assert ask(client, field_png, pattern="@B").status_code == 400
    assert ask(client, field_png, pattern="@B", version=2).get_json()["satisfies"] is True


@pytest.mark.parametrize(
    ("card", "known"),
    [(PATTERNS, "it carries A, BROKEN, LONG"), ('{"patterns": []}', "it carries none"), ("[]", "it carries none")],
)
def test_an_unknown_pattern_is_answered_with_those_that_there_are(
    client: FlaskClient, server: FakeModelServer, field_png: bytes, card: str, known: str
) -> None:
    server.publish(1, scores=by_width, card=card)

    answer = ask(client, field_png, pattern="@XX")

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "invalid_request"
    assert answer.get_json()["detail"] == f"/pattern: Model digits version 1 has no pattern 'XX'; {known}."
    assert answer.get_json()["errors"][0]["pointer"] == "/pattern"


def test_a_broken_pattern_of_a_version_is_the_models_fault(
    client: FlaskClient, server: FakeModelServer, field_png: bytes
) -> None:
    server.publish(1, scores=by_width, card=PATTERNS)

    answer = ask(client, field_png, pattern="@BROKEN")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "model_unavailable")


def test_the_sign_before_a_name_can_be_meant_itself(client: FlaskClient, field_png: bytes) -> None:
    body = ask(client, field_png, pattern=r"\@?010").get_json()

    assert (body["text"], body["satisfies"]) == ("010", True)


def test_a_version_for_panels_reads_what_stands_in_a_frame(client: FlaskClient, server: FakeModelServer) -> None:
    board = np.full((100, 300), 225, np.uint8)
    cv2.rectangle(board, (2, 2), (297, 97), 30, 3)
    for x in (70, 230):
        cv2.ellipse(board, (x, 50), (18, 28), 0, 0, 360, 25, 7, cv2.LINE_AA)
    cv2.line(board, (150, 22), (150, 78), 25, 7, cv2.LINE_AA)
    plate = encoded(cv2.copyMakeBorder(board, 9, 9, 9, 9, cv2.BORDER_CONSTANT, value=60))
    server.publish(1, scores=by_width, card='{"field": "panel"}')

    body = ask(client, plate, length=3).get_json()

    boxes = [item["box"] for item in body["lines"][0]["characters"]]
    assert body["text"] == "010"
    assert all(abs(box[1] - 29) < 8 and abs(box[3] - 60) < 12 for box in boxes)


def test_a_charset_and_a_pattern_mean_composed_characters(
    client: FlaskClient, server: FakeModelServer, field_png: bytes
) -> None:
    server.publish(1, labels=("\u00f1", "ch", *"23456789"), scores=by_width)
    decomposed = "n\u0303"

    body = ask(client, field_png, charset=f"{decomposed}ch", pattern=f"{decomposed}ch{decomposed}").get_json()

    assert (body["text"], body["satisfies"]) == ("\u00f1ch\u00f1", True)


@pytest.mark.parametrize(
    "option",
    [
        {"length": 0},
        {"length": "3"},
        {"length": 1000},
        {"pattern": "(a|b)"},
        {"pattern": ""},
        {"pattern": "@"},
        {"pattern": "@A B"},
        {"charset": ""},
        {"charset": 7},
        {"check": "crc32"},
        {"max_candidates": 0},
        {"max_candidates": 51},
        {"colour": "red"},
    ],
    ids=str,
)
def test_an_option_that_is_wrong_is_pointed_at(client: FlaskClient, field_png: bytes, option: dict[str, object]) -> None:
    answer = ask(client, field_png, **option)

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "invalid_request"
    assert [error["pointer"] for error in answer.get_json()["errors"]] == [f"/{name}" for name in option]


def test_predict_does_not_take_the_options_of_a_reading(client: FlaskClient, field_png: bytes) -> None:
    answer = client.post("/v1/predict", json={"image": to_base64(field_png), "length": 3})

    assert answer.get_json()["errors"][0]["pointer"] == "/length"


def test_errors_are_problems(client: FlaskClient, field_png: bytes, blank_png: bytes) -> None:
    answers = [
        ask(client, blank_png),
        ask(client, b"no image"),
        ask(client, field_png, model="runes"),
        client.post("/v1/read", json={"image": "***"}),
        client.get("/v1/read"),
    ]

    codes = [(answer.status_code, answer.get_json()["code"]) for answer in answers]
    assert codes == [
        (422, "no_ink"),
        (415, "unsupported_image"),
        (404, "unknown_model"),
        (400, "invalid_base64"),
        (405, "method_not_allowed"),
    ]


def test_a_page_is_too_much(client: FlaskClient) -> None:
    page = np.full((1600, 1600), 245, np.uint8)
    for y in range(40, 1580, 60):
        for x in range(30, 1580, 44):
            cv2.ellipse(page, (x, y), (12, 20), 0, 0, 360, 30, 4)

    answer = ask(client, encoded(page))

    assert (answer.status_code, answer.get_json()["code"]) == (413, "too_many_characters")


def test_characters_are_counted(client: FlaskClient, field_png: bytes) -> None:
    ask(client, field_png)

    metrics = client.get("/metrics").text
    assert 'gateway_predictions_total{label="0",model="digits",version="1"} 2.0' in metrics
    assert 'gateway_stage_duration_seconds_count{stage="search"} 1.0' in metrics
