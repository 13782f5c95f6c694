"""How often a call is sent, when, and what becomes of it: one generator, which the sync and the async client both drive.

It yields what is to be done, a `Send` or a `Wait`, and is given the answer, or what the connection failed with.
"""

import json
import random
import time
from collections.abc import Generator
from dataclasses import dataclass

import httpx

from handwriting_client.calls import Call, Result
from handwriting_client.errors import ClientError, InvalidAnswer, RateLimited, TimedOut, Unavailable, Unreachable, from_response

LONGEST_SECONDS = 30.0
"""What a gateway lets a request ask for, unless it is configured otherwise."""
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0
_JITTER = 0.1
"""Clients that were told the same Retry-After come back spread over so much of it."""


@dataclass(frozen=True)
class Send:
    """Send the request; give up after so many seconds."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]
    timeout_seconds: float


@dataclass(frozen=True)
class Wait:
    """Wait so many seconds."""

    seconds: float


Step = Send | Wait
Outcome = httpx.Response | httpx.TransportError | None


def exchange(call: Call[Result], timeout_seconds: float, retries: int) -> Generator[Step, Outcome, Result]:
    """The call's result.

    503, 429 and broken connections are tried again, `retries` times at most, after the answer's Retry-After or, without one,
    after 0.1 s, twice as long each time; but never where that would not end in time.

    Raises:
        ClientError: see errors.py.
    """
    deadline = time.monotonic() + timeout_seconds
    attempt = 0
    while True:
        left = deadline - time.monotonic()
        if left < 0.001:
            raise TimedOut(f"the time of {timeout_seconds:g} s is over")
        headers = {"X-Request-Timeout": f"{min(left, LONGEST_SECONDS):.3f}", "Accept": "application/json"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        outcome = yield Send(call.method, call.path, call.body, headers, left)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return _parsed(call, outcome)
        error, wait = _failure(outcome, timeout_seconds), _wait_seconds(outcome, attempt)
        if wait is None or attempt >= retries or time.monotonic() + wait >= deadline:
            raise error
        attempt += 1
        yield Wait(wait)


def _parsed(call: Call[Result], response: httpx.Response) -> Result:
    try:
        return call.parse(json.loads(response.content))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidAnswer(f"{response.url} did not answer as a gateway does: {error!r}") from error


def _failure(outcome: Outcome, timeout_seconds: float) -> ClientError:
    if isinstance(outcome, httpx.Response):
        if outcome.status_code < 400:
            return InvalidAnswer(f"{outcome.url} answered {outcome.status_code} {outcome.reason_phrase}; no gateway does")
        return from_response(outcome)
    if isinstance(outcome, httpx.TimeoutException):
        error: ClientError = TimedOut(f"no answer came in {timeout_seconds:g} s")
    else:
        error = Unreachable(f"no answer came: {outcome}")
    error.__cause__ = outcome
    return error


def _wait_seconds(outcome: Outcome, attempt: int) -> float | None:
    """How long to wait before the next attempt, None where there is to be none."""
    backoff = min(_FIRST_WAIT_SECONDS * 2.0**attempt, _LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1)  # noqa: S311
    if not isinstance(outcome, httpx.Response):
        is_worth_it = isinstance(outcome, (httpx.NetworkError, httpx.RemoteProtocolError))
        return backoff if is_worth_it else None
    error = from_response(outcome) if outcome.status_code in (429, 503) else None
    if not isinstance(error, (RateLimited, Unavailable)):
        return None
    if error.retry_after is None:
        return backoff
    return error.retry_after * (1 + _JITTER * random.random())  # noqa: S311
