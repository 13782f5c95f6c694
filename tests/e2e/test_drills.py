"""The drills that depend on no clock, in short: `make drill` has them all."""

from collections.abc import Iterator

import pytest

from benchmarks import drills
from benchmarks.drills import Report, Serving, model_servers
from benchmarks.systems import running_gateway
from tests.e2e.conftest import House


@pytest.fixture
def servers(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Serving]]:
    monkeypatch.setenv("HCR_REPOSITORY", str(house.repository))
    with model_servers(2) as started:
        yield started


def test_a_model_server_that_dies_beside_another_fails_no_request(
    servers: list[Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drills, "RATE", 50.0)
    report = Report()
    with running_gateway(f"{servers[0].address},{servers[1].address}") as (_, port, _):
        drills.one_of_two_dies(report, port, servers[0], 3)

    assert report.failed == 0


def test_without_a_model_server_there_are_only_503s_until_it_returns(servers: list[Serving]) -> None:
    report = Report()
    with running_gateway(servers[0].address) as (_, port, _):
        drills.the_only_one_dies(report, port, servers[0])

    assert report.failed == 0


def test_sigterm_at_full_load_loses_no_answer(servers: list[Serving]) -> None:
    report = Report()
    drills.terminations(report, servers[0].address, 2)

    assert report.failed == 0
