"""Keys: what the file holds, who is let in, and what happens when it changes."""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.keys import KeyRing, KeysError, Scope, line_for, new_key, parse_keys
from gateway.security import scope_of
from gateway.settings import Settings, SettingsError
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient

PREDICT, FEEDBACK, OPERATE = (f"hcr_{name}" for name in ("predict", "feedback", "operate"))


class Clock:
    """Time that stands still until it is told otherwise."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    scopes: tuple[Scope, ...] = ("predict", "feedback", "operate")
    path.write_text("# ours\n\n" + "".join(line_for(f"{scope}-key", (scope,), f"hcr_{scope}") + "\n" for scope in scopes))
    return path


@pytest.fixture
def guarded(server: FakeModelServer, file: Path, tmp_path: Path) -> Iterator[FlaskClient]:
    settings = Settings(keys_file=str(file), feedback_dir=str(tmp_path / "feedback"))
    with ModelClient(server.address) as model_client:
        yield create_app(settings, model_client).test_client()


def test_a_key_has_256_random_bits_and_a_mark_to_find_it_by() -> None:
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(key.startswith("hcr_") and len(key) == 4 + 43 for key in keys)


def test_a_line_holds_the_hash_and_nothing_of_the_key() -> None:
    key = new_key()

    line = line_for("mobile", ("predict", "feedback"), key)

    assert line == f"mobile predict,feedback sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert set(parse_keys(line).values()) == {parse_keys(line)[hashlib.sha256(key.encode()).digest()]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no key"),
        ("# nothing\n", "no key"),
        ("a predict", "line 1: it has 2 words"),
        ("\na predict,admin sha256:" + "0" * 64, "line 2: 'admin' is no scope; they are predict, feedback, operate"),
        ("a  sha256:" + "0" * 64, "2 words"),
        ("a , sha256:" + "0" * 64, "'' is no scope"),
        ("a predict sha256:" + "0" * 63, "64 hexadecimal digits"),
        ("a predict hcr_plain", "64 hexadecimal digits"),
        ("a/b predict sha256:" + "0" * 64, "the name is none"),
        (f"a predict sha256:{'0' * 64}\nb predict sha256:{'0' * 64}", "line 2: the same key"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_its_line(text: str, told: str) -> None:
    with pytest.raises(KeysError, match=told):
        parse_keys(text)


def test_what_is_told_of_a_wrong_file_holds_nothing_of_a_key(file: Path) -> None:
    file.write_text("app predict hcr_somebody-stored-the-key-itself")

    with pytest.raises(KeysError) as caught:
        KeyRing(file)

    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "a predict\n", "ä predict sha256:" + "0" * 64])
def test_a_missing_or_wrong_file_stops_the_start(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "keys"
    if text is not None:
        path.write_text(text)

    with pytest.raises(SettingsError, match=f"GATEWAY_KEYS_FILE: {path}: "):
        Settings.from_environment({"GATEWAY_KEYS_FILE": str(path)})


def test_a_known_key_is_found_and_no_other(file: Path) -> None:
    ring = KeyRing(file)
    found = ring.find(PREDICT)

    assert found is not None
    assert (found.name, found.scopes) == ("predict-key", {"predict"})
    for other in (
        "",
        "hcr_",
        PREDICT.upper(),
        PREDICT + " ",
        "ä",
        "\ud800",
        "x" * 100_000,
        hashlib.sha256(PREDICT.encode()).hexdigest(),
    ):
        assert ring.find(other) is None


def test_a_changed_file_is_taken_over_within_a_second(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    ring = KeyRing(file, clock)
    ring.refresh()
    file.write_text(line_for("new", ("predict",), "hcr_new"))

    ring.refresh()
    before = ring.find("hcr_new")
    clock.now = 1.1
    ring.refresh()

    assert before is None
    assert ring.find("hcr_new") is not None
    assert ring.find(PREDICT) is None
    assert "keys read anew: new" in caplog.text


def test_a_mounted_secret_that_is_replaced_behind_its_symlinks_is_taken_over(tmp_path: Path) -> None:
    for version, key in (("..1", "hcr_old"), ("..2", "hcr_new")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text(line_for("app", ("predict",), key))
        os.utime(tmp_path / version / "keys", ns=(0, 0))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys").symlink_to("..data/keys")
    clock = Clock()
    ring = KeyRing(tmp_path / "keys", clock)

    (tmp_path / "..data.new").symlink_to("..2")
    (tmp_path / "..data.new").rename(tmp_path / "..data")
    clock.now = 1.1
    ring.refresh()

    assert ring.find("hcr_new") is not None
    assert ring.find("hcr_old") is None


@pytest.mark.parametrize("text", [None, "broken", ""])
def test_a_broken_file_keeps_the_keys_and_is_logged_once(
    file: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    ring = KeyRing(file, clock)
    good = file.read_text()
    if text is None:
        file.unlink()
    else:
        file.write_text(text)

    for _ in range(5):
        clock.now += 1.1
        ring.refresh()
    kept = ring.find(PREDICT)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    file.write_text(good + line_for("more", ("predict",), "hcr_more"))
    clock.now += 1.1
    ring.refresh()

    assert kept is not None
    assert len(errors) == 1
    assert ring.find("hcr_more") is not None


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {PREDICT}"}, {"authorization": f"bearer  {PREDICT}"}, {"X-API-Key": PREDICT}]
)
def test_a_key_lets_in_in_either_header(guarded: FlaskClient, png: bytes, headers: dict[str, str]) -> None:
    assert guarded.post("/v1/predict", data=png, content_type="image/png", headers=headers).status_code == 200


def test_another_authorization_leaves_the_key_in_its_own_header(guarded: FlaskClient) -> None:
    headers = {"Authorization": "Basic cHJveHk6cHJveHk=", "X-API-Key": PREDICT}

    assert guarded.get("/v1/models", headers=headers).status_code == 200


def test_without_a_key_the_answer_is_401_and_says_what_to_send(guarded: FlaskClient, png: bytes) -> None:
    response = guarded.post("/v1/predict", data=png, content_type="image/png")

    assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "X-API-Key" in response.get_json()["detail"]
    assert response.get_json()["id"] == response.headers["X-Request-ID"]


def test_a_wrong_key_is_told_as_such_and_not_repeated(guarded: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    response = guarded.get("/v1/models", headers={"X-API-Key": "hcr_wrong-one"})

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "wrong-one" not in response.text + caplog.text


@pytest.mark.parametrize(
    ("method", "path", "good"),
    [
        ("POST", "/v1/predict", PREDICT),
        ("POST", "/v1/predict:batch", PREDICT),
        ("POST", "/v1/read", PREDICT),
        ("GET", "/v1/models", PREDICT),
        ("GET", "/v1/models/digits", PREDICT),
        ("POST", "/v1/feedback", FEEDBACK),
        ("GET", "/metrics", OPERATE),
    ],
)
def test_a_key_is_good_for_its_scope_alone(guarded: FlaskClient, method: str, path: str, good: str) -> None:
    statuses = {key: guarded.open(path, method=method, headers={"X-API-Key": key}) for key in (PREDICT, FEEDBACK, OPERATE)}

    assert statuses[good].status_code not in (401, 403)
    for key in {PREDICT, FEEDBACK, OPERATE} - {good}:
        assert (statuses[key].status_code, statuses[key].get_json()["code"]) == (403, "forbidden")
        assert f'scope="{good.removeprefix("hcr_")}"' in statuses[key].headers["WWW-Authenticate"]


def test_a_key_may_have_several_scopes(guarded: FlaskClient, file: Path, server: FakeModelServer) -> None:
    file.write_text(line_for("all", ("predict", "operate"), "hcr_all"))
    with ModelClient(server.address) as model_client:
        client = create_app(Settings(keys_file=str(file)), model_client).test_client()

        statuses = [client.get(path, headers={"X-API-Key": "hcr_all"}).status_code for path in ("/v1/models", "/metrics")]

    assert statuses == [200, 200]


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/nothing", 404)])
def test_what_holds_nothing_stays_open(guarded: FlaskClient, path: str, status: int) -> None:
    assert guarded.get(path).status_code == status


def test_what_needs_no_key_only_gives(guarded: FlaskClient) -> None:
    rules = [rule for rule in guarded.application.url_map.iter_rules() if scope_of(rule.rule) is None]

    assert {"/healthz", "/readyz"} <= {rule.rule for rule in rules}
    assert all((rule.methods or set()) <= {"GET", "HEAD", "OPTIONS"} for rule in rules)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/ready", "/v2/models/digits/infer", "/v1/anything"])
def test_all_of_the_api_needs_a_key(path: str) -> None:
    assert scope_of(path) == "predict"


def test_the_log_names_the_key_and_never_holds_it(guarded: FlaskClient, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guarded.post("/v1/predict", data=png, content_type="image/png", headers={"X-API-Key": PREDICT})

    (record,) = [record for record in caplog.records if record.message == "request"]
    fields = record.fields  # type: ignore[attr-defined]
    assert fields["key"] == "predict-key"
    assert PREDICT not in repr(fields) + caplog.text
