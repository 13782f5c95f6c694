"""What speaks against a canary: errors, time, confidence, rejections, agreement, each beyond chance."""

import math
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from gateway.metrics import Metrics
from hcr import comparison
from hcr.comparison import Comparison, Limits, Series, Side, Tally, Unreadable, compare, scrape, since

LIMITS = Limits()
QUICK = {0.005: 900.0, 0.01: 990.0, 0.1: 1000.0, math.inf: 1000.0}
SURE = {0.5: 100.0, 0.9: 300.0, 1.0: 1000.0, math.inf: 1000.0}
STABLE = Side(answered=1000, failed=0, seconds=QUICK, confidences=SURE, rejected=50)
SAME = Comparison(STABLE, STABLE, agreed=995, differed=5)


def against(**changed: object) -> list[str]:
    """The problems of a canary that differs in this from the stable version."""
    return replace(SAME, canary=replace(STABLE, **changed)).problems(LIMITS)  # type: ignore[arg-type]


def test_a_canary_that_does_as_the_stable_version_is_good() -> None:
    assert SAME.problems(LIMITS) == []
    assert SAME.missing(LIMITS, is_asked=True, is_mirrored=True) == ""


def test_errors_speak_against_it_even_before_it_has_answered_much() -> None:
    assert against(answered=990, failed=20)[0].startswith("errors 2.0%")
    assert against(answered=0, failed=5)[0].startswith("errors 100.0%")
    assert against(answered=10, failed=2) == []  # two may be chance


def test_a_slow_canary_is_told_with_its_time() -> None:
    slow = {0.05: 100.0, 0.1: 900.0, math.inf: 1000.0}

    assert against(seconds=slow)[0].startswith("slow: 90 % of its answers take up to 100 ms, stable 5 ms")
    assert against(seconds={0.025: 1000.0, math.inf: 1000.0}) == []  # 20 ms more are always allowed


@pytest.mark.parametrize("confidences", [{0.5: 10.0, 0.9: 20.0, 1.0: 1000.0}, {0.5: 700.0, 0.9: 900.0, 1.0: 1000.0}])
def test_too_sure_and_too_unsure_are_both_told(confidences: dict[float, float]) -> None:
    assert against(confidences={**confidences, math.inf: 1000.0})[0].startswith("confidence is distributed differently")


def test_more_and_fewer_rejections_are_told() -> None:
    assert against(rejected=200) == ["rejects 20.0% of its predictions, stable 5.0%"]
    assert against(rejected=90) == []  # within the limit


def test_disagreement_is_told_once_it_is_beyond_chance() -> None:
    assert replace(SAME, agreed=90, differed=20).problems(LIMITS)[0].startswith("agrees with stable on 81.8% of 110")
    assert replace(SAME, agreed=95, differed=5).problems(LIMITS) == []  # 5 % of 100 happens where 3 % is true


def test_little_is_not_enough_to_call_it_good() -> None:
    few = replace(SAME, canary=replace(STABLE, answered=49))

    assert few.missing(LIMITS, is_asked=True, is_mirrored=False) == "the canary gave 49 answers; at least 50 are needed"
    assert (
        replace(SAME, agreed=10, differed=0).missing(LIMITS, is_asked=True, is_mirrored=True).startswith("10 mirrored images")
    )
    assert replace(SAME, agreed=0, differed=0).missing(LIMITS, is_asked=True, is_mirrored=False) == ""


@pytest.fixture
def gateway() -> Iterator[tuple[str, Metrics]]:
    """The URL of metrics, and those metrics."""
    from prometheus_client import generate_latest

    metrics = Metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest(metrics.registry))

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics", metrics
        server.shutdown()


def test_the_gateways_metrics_are_read_by_role_and_version_since_the_start(gateway: tuple[str, Metrics]) -> None:
    url, metrics = gateway
    metrics.answers.labels("digits", "2", "canary", "ok").inc(7)
    before = scrape(url)
    metrics.answers.labels("digits", "2", "canary", "ok").inc(30)
    metrics.answers.labels("digits", "", "canary", "error").inc(2)
    metrics.answers.labels("digits", "2", "shadow", "error").inc(1)
    metrics.answers.labels("digits", "1", "stable", "ok").inc(90)
    metrics.answers.labels("letters", "1", "stable", "ok").inc(5)
    metrics.model_seconds.labels("digits", "2", "canary").observe(0.004)
    metrics.confidence.labels("digits", "2").observe(0.97)
    metrics.rejected.labels("digits", "2").inc()
    metrics.shadow.labels("digits", "2", "agrees").inc(4)
    metrics.shadow.labels("digits", "2", "differs").inc()

    found = compare(since(before, scrape(url)), "digits", canary=2, stable=1)

    assert (found.canary.answered, found.canary.failed, found.stable.answered) == (30, 3, 90)
    assert (found.agreement, found.compared, found.canary.rejected_rate) == (0.8, 5, 1.0)
    assert 0.0025 < found.canary.quantile(0.5) <= 0.005


ANSWERS = ("gateway_answers_total", (("outcome", "ok"),))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """What each gateway's counter says when it is read; None where the gateway does not answer."""
    told: dict[str, float | None] = {}

    def scrape(url: str) -> Series:
        value = told[url]
        if value is None:
            raise Unreadable(f"no metrics at {url}")
        return {ANSWERS: value}

    monkeypatch.setattr(comparison, "scrape", scrape)
    return told


def test_one_of_several_gateways_that_begins_anew_takes_nothing_from_the_others(readings: dict[str, float | None]) -> None:
    readings.update(one=1000, other=500)
    tally = Tally(["one", "other"])

    readings.update(one=1010, other=520)
    assert tally.read() == {ANSWERS: 30}
    readings.update(one=7, other=530)  # the one was restarted: of its first 10 nothing is lost, and its 7 are new
    assert tally.read() == {ANSWERS: 47}
    assert tally.read() == {ANSWERS: 47}


def test_a_gateway_that_is_away_is_caught_up_with(readings: dict[str, float | None]) -> None:
    readings.update(one=0, other=0)
    tally = Tally(["one", "other"])

    readings.update(one=None, other=20)
    assert tally.read() == {ANSWERS: 20}
    readings.update(one=50, other=20)
    assert tally.read() == {ANSWERS: 70}
    readings.update(one=None, other=None)
    with pytest.raises(Unreadable, match="no metrics at one"):
        tally.read()


def test_each_gateway_must_answer_at_first(readings: dict[str, float | None]) -> None:
    readings.update(one=0, other=None)

    with pytest.raises(Unreadable, match="no metrics at other"):
        Tally(["one", "other"])


def test_a_canary_that_is_only_shown_images_needs_no_answers_of_its_own() -> None:
    mirrored = replace(SAME, canary=replace(STABLE, answered=0))

    assert mirrored.missing(LIMITS, is_asked=False, is_mirrored=True) == ""


def test_a_gateway_that_does_not_answer_is_told() -> None:
    with pytest.raises(Unreadable, match=r"no metrics at http://127\.0\.0\.1:1/metrics"):
        scrape("http://127.0.0.1:1/metrics")
