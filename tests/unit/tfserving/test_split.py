"""The canary's share: release.json, and what promote, rollback and the end of a canary do to it."""

import json
from pathlib import Path

import pytest

from tfserving import release
from tfserving.errors import RepositoryError
from tfserving.release import Split
from tfserving.repository import Repository


@pytest.fixture
def canary(repo: Repository, source: Path) -> Repository:
    """Version 1 is stable, version 2 the canary with a tenth."""
    for _ in range(2):
        repo.publish("digits", source)
    repo.promote("digits", 2, "canary")
    repo.split("digits", Split(canary=0.1))
    return repo


def test_the_share_of_a_canary_is_in_release_json(canary: Repository) -> None:
    assert json.loads((canary.root / "release.json").read_text()) == {"digits": {"canary": 0.1, "shadow": 0.0}}
    assert canary.splits() == {"digits": Split(0.1)}


def test_the_share_is_set_anew_while_it_runs(canary: Repository) -> None:
    canary.split("digits", Split(canary=0.5, shadow=1.0))

    assert canary.splits() == {"digits": Split(0.5, 1.0)}


def test_a_canary_that_ends_loses_share_and_label_but_stays_loaded(canary: Repository) -> None:
    assert canary.end_canary("digits", why="slow") == 2

    assert canary.splits() == {}
    assert canary.labels("digits") == {"stable": 1}
    assert [version.number for version in canary.versions("digits") if version.is_served] == [2, 1]
    assert [(entry["action"], entry["why"]) for entry in canary.events("digits")[-2:]] == [
        ("split", "slow"),
        ("end canary", "slow"),
    ]


def test_a_canary_that_becomes_stable_is_no_canary_any_more(canary: Repository) -> None:
    canary.promote("digits", 2)

    assert canary.splits() == {}
    assert canary.labels("digits") == {"stable": 2, "previous": 1}


def test_the_share_of_another_model_is_left_alone(canary: Repository, source: Path) -> None:
    canary.publish("letters", source)
    canary.promote("letters", 1, "canary")
    canary.split("letters", Split(shadow=0.3))

    canary.end_canary("digits")

    assert canary.splits() == {"letters": Split(shadow=0.3)}


def test_without_a_canary_no_share_can_be_given_and_none_ended(repo: Repository, source: Path) -> None:
    repo.publish("digits", source)

    with pytest.raises(RepositoryError, match="no version with the label canary"):
        repo.split("digits", Split(0.1))
    with pytest.raises(RepositoryError, match="no version with the label canary"):
        repo.end_canary("digits")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True, "half"])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(RepositoryError, match="a number from 0 to 1"):
        Split(canary=share)


@pytest.mark.parametrize("end", [True, "tomorrow"])
def test_an_end_that_is_no_time_is_refused(end: float) -> None:
    with pytest.raises(RepositoryError, match="seconds since 1970 are accepted"):
        Split(canary=0.1, until=end)


def test_the_end_of_the_shares_is_kept(tmp_path: Path) -> None:
    (tmp_path / "release.json").write_text(release.as_text({"digits": Split(0.1, until=1000.5), "letters": Split(0.2)}))

    read = release.read(tmp_path / "release.json")

    assert read == {"digits": Split(0.1, until=1000.5), "letters": Split(0.2)}
    assert [read["digits"].is_over(now) for now in (1000.4, 1000.5)] == [False, True]
    assert not read["letters"].is_over(1e12)


@pytest.mark.parametrize("content", ["", "[]", '{"digits": 1}', '{"digits": {"canary": 2}}', '{"digits": {"other": 0.1}}'])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "release.json").write_text(content)

    with pytest.raises(RepositoryError, match=r"release\.json cannot be read"):
        release.read(tmp_path / "release.json")


def test_without_a_file_nothing_is_split(tmp_path: Path) -> None:
    assert release.read(tmp_path / "release.json") == {}
