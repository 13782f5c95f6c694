"""`hcr release` and its steps, on a repository, with a fake model server and the metrics of a gateway."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcr import canary, comparison
from hcr.canary import Plan
from hcr.comparison import Limits, Series, Unreadable
from hcr.main import cli
from tests.fakes import FakeModelServer
from tfserving.errors import RepositoryError
from tfserving.release import Split
from tfserving.repository import Repository

Scrapes = Iterator[Series]


def told(
    role: str, version: str, outcome: str = "ok", name: str = "gateway_answers_total"
) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, (("model", "digits"), ("outcome", outcome), ("role", role), ("version", version))


GOOD: Series = {told("stable", "1"): 500.0, told("canary", "2"): 100.0}
BAD: Series = {told("stable", "1"): 500.0, told("canary", "2"): 10.0, told("canary", "2", "error"): 10.0}


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """Version 1 is stable, version 2 waits."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").write_bytes(b"graph")
    repository = Repository(tmp_path / "models")
    repository.open()
    for _ in range(2):
        repository.publish("digits", source)
    return repository


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Plan]]:
    monkeypatch.setattr(canary, "_SETTLE_SECONDS", 0.0)
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1, "canary": 2}) as server:

        def make(counted: Series, **changed: object) -> Plan:
            answers = iter([{}, {}])
            monkeypatch.setattr(comparison, "scrape", lambda _: next(answers, counted))
            given = {"is_automatic": True, "seconds": 0.05, "timeout_seconds": 1.0, **changed}
            return Plan(
                "digits", 2, Split(0.1, 0.0), limits=Limits(), metrics=("url",), model_server=server.address, **given  # type: ignore[arg-type]
            )  # fmt: skip

        make.server = server  # type: ignore[attr-defined]
        yield make


def test_a_good_canary_becomes_stable_and_the_log_says_why(repo: Repository, plan: Callable[..., Plan]) -> None:
    plan.server.move_label("stable", 2)  # type: ignore[attr-defined]  # as the server will once the file says so

    assert canary.release(repo, plan(GOOD))

    assert repo.labels("digits") == {"stable": 2, "previous": 1}
    assert repo.splits() == {}
    assert repo.events()[-1]["why"] == "good as a canary: 100 requests, errors 0.0%"


def test_a_bad_canary_is_taken_back_and_the_log_says_why(repo: Repository, plan: Callable[..., Plan]) -> None:
    assert not canary.release(repo, plan(BAD))

    assert repo.labels("digits") == {"stable": 1}
    assert repo.splits() == {}
    assert repo.events()[-1]["why"].startswith("rolled back: errors 50.0% of 20 requests")


def test_too_few_answers_are_no_reason_to_promote(repo: Repository, plan: Callable[..., Plan]) -> None:
    assert not canary.release(repo, plan({}))

    assert repo.labels("digits") == {"stable": 1}
    assert "the canary gave 0 answers" in repo.events()[-1]["why"]


def test_the_share_of_a_canary_whose_watcher_is_killed_ends_by_itself(
    repo: Repository, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.time()

    def die(*_: object) -> None:
        raise SystemExit  # as SIGKILL, it takes nothing back

    monkeypatch.setattr(canary, "_watch", die)
    with pytest.raises(SystemExit):
        canary.release(repo, plan(GOOD, seconds=60.0))

    until = repo.splits()["digits"].until
    assert until is not None
    assert begun + 60 < until < time.time() + 120


def test_by_hand_the_canary_stays_whatever_was_found(repo: Repository, plan: Callable[..., Plan]) -> None:
    assert not canary.release(repo, plan(BAD, is_automatic=False))

    assert repo.labels("digits") == {"stable": 1, "canary": 2}
    assert repo.splits() == {"digits": Split(0.1)}


def test_a_version_that_cannot_be_loaded_is_refused_in_the_log_and_served_no_more(
    repo: Repository, plan: Callable[..., Plan]
) -> None:
    plan.server.break_version(2, text="Read less bytes than requested")  # type: ignore[attr-defined]

    with pytest.raises(RepositoryError, match="cannot load version 2"):
        canary.release(repo, plan(GOOD))

    assert repo.labels("digits") == {"stable": 1}
    assert [version.number for version in repo.versions("digits") if version.is_served] == [1]
    assert repo.events()[-1]["action"] == "refuse"
    assert "Read less bytes" in repo.events()[-1]["why"]


def test_without_metrics_nothing_is_changed(
    repo: Repository, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = plan(GOOD)

    def unreadable(_: object) -> Series:
        raise Unreadable("no metrics at url")

    monkeypatch.setattr(comparison, "scrape", unreadable)
    with pytest.raises(Unreadable):
        canary.release(repo, asked)

    assert repo.labels("digits") == {"stable": 1}


def test_the_stable_version_is_no_candidate(repo: Repository, plan: Callable[..., Plan]) -> None:
    with pytest.raises(RepositoryError, match="stable already"):
        canary.release(repo, Plan(**{**vars(plan(GOOD)), "version": 1}))


def test_a_release_without_any_share_is_refused(repo: Repository, plan: Callable[..., Plan]) -> None:
    with pytest.raises(RepositoryError, match="neither a share"):
        canary.release(repo, Plan(**{**vars(plan(GOOD)), "split": Split()}))


def test_a_version_in_use_cannot_be_refused(repo: Repository) -> None:
    with pytest.raises(RepositoryError, match="version 1 of digits is stable"):
        repo.refuse("digits", 1, "no reason")


def test_the_steps_by_hand(repo: Repository) -> None:
    def hcr(*arguments: str) -> str:
        done = CliRunner().invoke(cli, [*arguments, "--repository", str(repo.root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    hcr("promote", "digits", "2", "--label", "canary", "--offline")
    assert hcr("split", "digits", "--canary", "5%", "--shadow", "0.5", "--reason", "a try").startswith("the canary of digits")
    assert repo.splits() == {"digits": Split(0.05, 0.5)}
    assert hcr("end-canary", "digits") == "version 2 of digits is the canary no more\n"
    assert repo.labels("digits") == {"stable": 1}


@pytest.mark.parametrize(
    ("given", "told"), [(["--canary", "200%"], "'200%' is no share"), (["--for", "soon"], "'soon' is no time")]
)
def test_nonsense_is_refused_with_what_is_accepted(given: list[str], told: str) -> None:
    assert told in CliRunner().invoke(cli, ["release", "2", *given]).output


def test_metrics_that_are_gone_once_the_canary_is_made_take_it_back(
    repo: Repository, plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(GOOD)
    scrapes = iter([{}])

    def scrape(_: object) -> Series:
        for counted in scrapes:
            return counted
        raise Unreadable("no metrics at url: gone")

    monkeypatch.setattr(comparison, "scrape", scrape)
    monkeypatch.setattr(canary, "_PATIENCE_SECONDS", 0.0)

    with pytest.raises(Unreadable, match="gone"):
        canary.release(repo, made)

    assert (repo.labels("digits"), repo.splits()) == ({"stable": 1}, {})
    assert repo.events()[-1]["why"] == "rolled back: no metrics at url: gone"


def test_a_version_that_is_changed_while_it_is_the_canary_is_taken_back(repo: Repository, plan: Callable[..., Plan]) -> None:
    made = plan(GOOD, seconds=0.5)
    spoiled = Repository(repo.root)
    split = spoiled.split

    def spoil(*given: object) -> None:
        split(*given)  # type: ignore[arg-type]
        (repo.root / "digits" / "2" / "saved_model.pb").write_bytes(b"another")

    spoiled.split = spoil  # type: ignore[method-assign]

    with pytest.raises(RepositoryError, match=r"saved_model\.pb"):
        canary.release(spoiled, made)

    assert (repo.labels("digits"), repo.splits()) == ({"stable": 1}, {})
    assert "saved_model.pb" in repo.events()[-1]["why"]
