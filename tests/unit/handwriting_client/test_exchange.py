"""When a call is sent again, and what it ends with: the generator by itself, which waits for nothing."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from handwriting_client import ClientError, InvalidAnswer, RateLimited, TimedOut, Unavailable, Unreachable
from handwriting_client.calls import models
from handwriting_client.exchange import Outcome, Send, Wait, exchange

REQUEST = httpx.Request("GET", "http://gateway/v1/models")
NOTHING = {"models": [], "feedback": False}


def answer(status: int = 200, told: object = None, code: str = "overloaded", **headers: str) -> httpx.Response:
    if status >= 400 and told is None:
        told = {"type": f"/docs#{code}", "title": "No", "status": status, "code": code, "detail": "why", "id": "7"}
    kind = "application/problem+json" if status >= 400 else "application/json"
    content = json.dumps(NOTHING if told is None else told)
    told_headers = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.Response(status, headers=told_headers, content=content, request=REQUEST)


def run(outcomes: Sequence[Outcome], timeout_seconds: float = 5.0, retries: int = 3) -> tuple[list[float], object]:
    """How long the exchange waits after each of these outcomes, and its result or error."""
    steps = exchange(models(), timeout_seconds, retries)
    waits = []
    left = list(outcomes)
    given: Outcome = None
    try:
        while True:
            step = steps.send(given)
            given = None
            if isinstance(step, Send):
                given = left.pop(0)
            else:
                assert isinstance(step, Wait)
                waits.append(step.seconds)
    except StopIteration as done:
        assert left == []
        return waits, done.value
    except ClientError as error:
        assert left == []
        return waits, error


@pytest.mark.parametrize("status", [429, 503])
def test_what_says_when_to_come_back_is_asked_again_then(status: int) -> None:
    waits, result = run([answer(status, Retry_After="2"), answer()])

    assert [2 <= seconds <= 2.2 for seconds in waits] == [True]
    assert result is not None
    assert not isinstance(result, ClientError)


def test_retry_after_may_be_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)

    waits, _ = run([answer(503, Retry_After=when), answer()], timeout_seconds=60)

    assert 15 < waits[0] <= 22


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.RemoteProtocolError("cut")])
def test_broken_connections_are_tried_again_after_longer_and_longer(error: httpx.TransportError) -> None:
    waits, result = run([error] * 4)

    assert isinstance(result, Unreachable)
    assert result.__cause__ is error
    assert [0.05 <= waits[0] <= 0.1, 0.1 <= waits[1] <= 0.2, 0.2 <= waits[2] <= 0.4] == [True] * 3


def test_503_without_a_time_is_tried_again_soon() -> None:
    waits, _ = run([answer(503), answer(503, Retry_After="soon"), answer()])

    assert 0 < waits[0] <= 0.1
    assert 0 < waits[1] <= 0.2


def test_a_wait_beyond_the_deadline_is_not_waited() -> None:
    waits, result = run([answer(429, code="rate_limited", Retry_After="3600")], timeout_seconds=5)

    assert waits == []
    assert isinstance(result, RateLimited)
    assert result.retry_after == 3600


def test_no_more_is_tried_than_the_retries() -> None:
    waits, result = run([answer(503)] * 2, retries=1)

    assert len(waits) == 1
    assert isinstance(result, Unavailable)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500, 504, 507])
def test_other_refusals_are_final(status: int) -> None:
    waits, result = run([answer(status, code="internal", Retry_After="1")])

    assert waits == []
    assert isinstance(result, ClientError)


def test_a_time_out_is_final() -> None:
    waits, result = run([httpx.ReadTimeout("slow")])

    assert waits == []
    assert isinstance(result, TimedOut)


def test_the_gateway_is_told_what_is_left() -> None:
    steps = exchange(models(), 5.0, 3)
    first = next(steps)
    steps.send(answer(503))
    second = next(steps)
    long = next(exchange(models(), 90.0, 3))

    assert isinstance(first, Send)
    assert isinstance(second, Send)
    assert isinstance(long, Send)
    assert 4 < float(second.headers["X-Request-Timeout"]) <= float(first.headers["X-Request-Timeout"]) <= 5
    assert (float(long.headers["X-Request-Timeout"]), round(long.timeout_seconds)) == (30, 90)


@pytest.mark.parametrize("told", [[], {"models": [{}], "feedback": False}, {}, None, "digits"])
def test_an_answer_of_something_else_is_none(told: object) -> None:
    response = httpx.Response(200, content=json.dumps(told), request=REQUEST)

    assert isinstance(run([response])[1], InvalidAnswer)


def test_an_answer_that_is_no_json_and_a_redirect_are_none() -> None:
    page = httpx.Response(200, content=b"<html>", request=REQUEST)
    moved = httpx.Response(302, headers={"Location": "/login"}, request=REQUEST)

    assert [type(run([response])[1]) for response in (page, moved)] == [InvalidAnswer, InvalidAnswer]
