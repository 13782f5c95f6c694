"""The audit log: every change, durable before it is made, and what a crash or a hand left."""

import json
from pathlib import Path

import pytest

from tfserving import audit
from tfserving.errors import RepositoryError
from tfserving.repository import Repository


def told(repo: Repository) -> list[tuple[object, ...]]:
    return [(entry["action"], entry.get("label"), entry.get("version")) for entry in repo.events("digits")]


def test_the_log_tells_what_was_changed_when_by_whom_and_why(
    repo: Repository, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(audit.ACTOR_VARIABLE, "ada")
    opened = len(repo.events())
    for _ in range(3):
        repo.publish("digits", source)
    repo.promote("digits", 2, why="better at 7")
    repo.rollback("digits", why="worse at 1")
    repo.promote("digits", 3)
    repo.publish("digits", source)
    repo.prune("digits", 1)

    assert told(repo)[opened:] == [
        ("publish", None, 1),
        ("publish", None, 2),
        ("publish", None, 3),
        ("serve", None, 2),
        ("promote", "stable", 2),
        ("rollback", "stable", 1),
        ("promote", "stable", 3),
        ("publish", None, 4),
        ("prune", None, None),
    ]
    entries = repo.events("digits")[opened:]
    assert {entry["who"] for entry in entries} == {"ada"}
    assert [entry["why"] for entry in entries if "why" in entry] == ["better at 7", "worse at 1"]
    assert entries[4]["instead_of"] == 1
    assert entries[-1]["versions"] == [2]


def test_the_log_is_only_appended_to(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    before = repo.audit_path.read_bytes()

    repo.publish("letters", source)

    assert repo.audit_path.read_bytes().startswith(before)


def test_the_events_of_one_model_are_not_those_of_another(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.publish("letters", source)

    assert [entry["action"] for entry in repo.events("letters")] == ["open", "publish"]


def test_a_change_by_hand_is_noticed(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.config_path.write_text(repo.config_path.read_text() + "# a comment\n")

    repo.publish("digits", source)

    assert [entry["action"] for entry in repo.events()] == ["open", "publish", "edited", "publish"]


def test_a_change_that_a_crash_prevented_is_noticed(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    state = repo.events()[-1]["after"]
    audit.append(repo.audit_path, state, "never reached", "promote", model="digits", version=1)

    repo.publish("digits", source)

    assert [entry["action"] for entry in repo.events()] == ["open", "publish", "promote", "interrupted", "publish"]


def test_an_unfinished_line_does_not_harm_the_next(repo: Repository, source: Path) -> None:
    with repo.audit_path.open("a") as file:
        file.write('{"time": "2026')

    repo.publish("digits", source)

    assert [entry["action"] for entry in repo.events()] == ["open", "publish"]
    assert json.loads(repo.audit_path.read_text().splitlines()[-1])["action"] == "publish"


def test_without_a_log_nothing_is_told(tmp_path: Path) -> None:
    assert list(audit.read(tmp_path / "audit.log")) == []


def test_a_log_that_cannot_be_written_prevents_the_change(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)
    repo.audit_path.unlink()
    repo.audit_path.mkdir()
    before = repo.config_path.read_text()

    with pytest.raises(RepositoryError):
        repo.publish("digits", source)

    assert repo.config_path.read_text() == before
    assert [path.name for path in (repo.root / "digits").iterdir()] == ["1"]


@pytest.mark.parametrize("gone", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_who_did_it_is_always_someone(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(audit.ACTOR_VARIABLE, raising=False)
    monkeypatch.delenv(gone, raising=False)

    assert "@" in audit.actor()
