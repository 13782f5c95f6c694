"""POST /v1/feedback."""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.feedback import FeedbackFull, FeedbackStore, FeedbackUnavailable
from gateway.settings import Settings
from handwriting.image import to_base64
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feedback"


@pytest.fixture
def client(server: FakeModelServer, folder: Path) -> Iterator[FlaskClient]:
    with ModelClient(server.address) as model_client:
        yield create_app(Settings(feedback_dir=str(folder)), model_client).test_client()


def give(client: FlaskClient, image: bytes, **values: object) -> TestResponse:
    return client.post("/v1/feedback", json={"image": to_base64(image), **values})


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_image_is_stored_as_it_came_under_its_label(client: FlaskClient, folder: Path, png: bytes) -> None:
    answer = give(client, png, label="7")

    name = hashlib.sha256(png).hexdigest()[:32]
    assert answer.status_code == 202
    assert answer.get_json() == {
        "id": answer.headers["X-Request-ID"], "model": {"name": "digits", "version": 1}, "label": "7",
    }  # fmt: skip
    assert files(folder) == [f"digits/7/{name}.json", f"digits/7/{name}.png"]
    assert (folder / "digits" / "7" / f"{name}.png").read_bytes() == png


def test_a_note_beside_the_image_says_what_it_was_about_and_no_more(client: FlaskClient, folder: Path, png: bytes) -> None:
    answer = client.post(
        "/v1/feedback",
        json={"image": to_base64(png), "label": "7", "version": "canary"},
        headers={"Authorization": "Bearer secret", "X-API-Key": "secret"},
    )

    (path,) = folder.rglob("*.json")
    note = json.loads(path.read_text())
    assert set(note) == {"label", "model", "version", "time", "id"}
    assert (note["label"], note["model"], note["version"]) == ("7", "digits", 2)
    assert note["id"] == answer.headers["X-Request-ID"]


def test_the_three_ways_to_send_feedback_are_equal(client: FlaskClient, folder: Path, png: bytes) -> None:
    answers = [
        give(client, png, label="7", model="digits"),
        client.post("/v1/feedback?label=7&model=digits", data=png, content_type="image/png"),
        client.post("/v1/feedback", data={"image": (io.BytesIO(png), "a.png"), "label": "7", "model": "digits"}),
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len(files(folder)) == 2


def test_the_same_image_may_have_two_labels(client: FlaskClient, folder: Path, png: bytes) -> None:
    give(client, png, label="7")
    give(client, png, label="1")

    assert len(list(folder.rglob("*.png"))) == 2


@pytest.mark.parametrize(("image_format", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp"), ("TIFF", ".tiff"), ("GIF", ".gif")])
def test_a_file_is_named_for_what_it_is(client: FlaskClient, folder: Path, png: bytes, image_format: str, suffix: str) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(buffer, image_format)

    client.post("/v1/feedback?label=7", data=buffer.getvalue(), content_type="image/png")

    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", suffix}


LABELS = ("/", "..", "a/b", "%2F", "_none", "\0", "가나", "ä", "🙂")


@pytest.mark.parametrize("label", LABELS)
def test_a_label_of_any_signs_has_a_folder_of_its_own(folder: Path, png: bytes, label: str) -> None:
    with FakeModelServer(labels=LABELS) as server, ModelClient(server.address) as model_client:
        client = create_app(Settings(feedback_dir=str(folder)), model_client).test_client()

        assert give(client, png, label=label).status_code == 202
    (path,) = folder.rglob("*.png")
    assert path.parent.parent == folder / "digits"
    assert json.loads(path.with_suffix(".json").read_text())["label"] == label


def test_a_label_in_another_form_of_unicode_is_the_classs(folder: Path, png: bytes) -> None:
    with FakeModelServer(labels=("é", "b")) as server, ModelClient(server.address) as model_client:
        client = create_app(Settings(feedback_dir=str(folder)), model_client).test_client()
        give(client, png, label="e\u0301")

    assert [path.name for path in (folder / "digits").iterdir()] == ["é"]


@pytest.mark.parametrize(("values", "pointer"), [({"label": "x"}, "/label"), ({}, "/label"), ({"label": 7}, "/label")])
def test_a_label_that_is_no_class_is_refused(
    client: FlaskClient, folder: Path, png: bytes, values: dict[str, object], pointer: str
) -> None:
    answer = give(client, png, **values)

    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (400, "invalid_request")
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert not folder.exists()


def test_the_classes_are_told_to_who_names_another(client: FlaskClient, png: bytes) -> None:
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in give(client, png, label="x").get_json()["detail"]


def test_only_images_that_can_be_trained_on_are_stored(client: FlaskClient, folder: Path, png: bytes, blank_png: bytes) -> None:
    codes = [give(client, image, label="7").get_json()["code"] for image in (blank_png, b"x", png[:90])]

    assert codes == ["no_ink", "unsupported_image", "unsupported_image"]
    assert not folder.exists()


def test_without_a_folder_there_is_no_such_path(server: FakeModelServer, png: bytes) -> None:
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(), model_client).test_client()

        answer = give(client, png, label="7")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")
        assert client.get("/v1/models").get_json()["feedback"] is False


def test_who_asks_is_told_that_feedback_is_taken(client: FlaskClient) -> None:
    assert client.get("/v1/models").get_json()["feedback"] is True


def test_no_more_is_stored_than_the_operator_has_room_for(server: FakeModelServer, folder: Path, png: bytes) -> None:
    settings = Settings(feedback_dir=str(folder), feedback_max_bytes=len(png) + 300)
    with ModelClient(server.address) as model_client:
        client = create_app(settings, model_client).test_client()
        first = give(client, png, label="7")
        again = give(client, png, label="7")
        second = give(client, png, label="1")

    assert (first.status_code, again.status_code) == (202, 202)
    assert (second.status_code, second.get_json()["code"]) == (507, "feedback_full")
    assert len(files(folder)) == 2


def test_what_lies_there_at_the_start_counts(folder: Path) -> None:
    folder.mkdir()
    (folder / "old.png").write_bytes(b"x" * 100)

    with pytest.raises(FeedbackFull, match="100 bytes"):
        FeedbackStore(folder, 150).keep(b"y" * 40, ".png", Path("digits", "7"), {"id": "a" * 20})


def test_a_folder_that_cannot_be_written_to_is_told(server: FakeModelServer, tmp_path: Path, png: bytes) -> None:
    (tmp_path / "file").write_text("in the way")
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(feedback_dir=str(tmp_path / "file" / "below")), model_client).test_client()

        answer = give(client, png, label="7")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "feedback_unavailable")
    assert "cannot be stored" in answer.get_json()["detail"]


def test_a_full_disk_leaves_nothing_and_takes_no_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeedbackStore(folder, 100)
    place = Path("digits", "7")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        (folder / place).mkdir(parents=True)
        for _ in range(5):
            with pytest.raises(FeedbackUnavailable, match="No space left"):
                store.keep(b"x" * 50, ".png", place, {"id": "a"})
    assert files(folder) == []
    store.keep(b"x" * 50, ".png", place, {"id": "a"})
    assert len(files(folder)) == 2


def test_everything_is_synced_before_it_is_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    FeedbackStore(folder, 1000).keep(b"image", ".png", Path("digits", "7"), {})

    assert synced[-1] == folder / "digits" / "7"
    assert [path.name for path in synced if path.is_dir()] == [folder.parent.name, "feedback", "digits", "7"]
    assert len(synced) == 6  # and the image and its note


def test_a_recipe_can_train_on_what_was_stored(folder: Path, client: FlaskClient) -> None:
    from pipelines.data import folder as recipes_folder

    for label in ("1", "7"):
        for width in range(3, 6):
            pixels = np.full((60, 50), 255, np.uint8)
            pixels[10:50, 20 : 20 + width + int(label)] = 0
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            assert give(client, buffer.getvalue(), label=label).status_code == 202

    data = recipes_folder.load(folder / "digits", ["1", "7"], 0.3, lambda _: None)

    assert (len(data.train), len(data.test)) == (4, 2)
