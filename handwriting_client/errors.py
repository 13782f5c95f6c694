"""What can go wrong between a client and a gateway.

    ClientError
    ├─ Unreachable          no answer: nothing listens there, or the connection broke
    ├─ InvalidAnswer        an answer that is none of a gateway
    ├─ TimedOut             the time of the call is over
    └─ Refused              the gateway answered with a problem: `problem`, `retry_after`
       ├─ Unauthorized      401: no key, or one that is not known
       ├─ Forbidden         403: the key lacks the scope
       ├─ NotFound          404: no such model, version or path
       ├─ UnusableImage     413, 415, 422 and invalid_base64: the image cannot be recognised
       ├─ RateLimited       429: more requests than are allowed
       ├─ Unavailable       503: overloaded, draining, or no model to ask
       ├─ DeadlineExceeded  504: the gateway gave up; also a TimedOut
       └─ Failed            500, and what else is the server's fault

A `Refused` of no kind of its own is a request that is not as the API describes it: 400, 405, 406, 408, or too many images.
"""

import json
import math
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from handwriting_client.results import Problem


class ClientError(Exception):
    """No answer can be given."""


class Unreachable(ClientError):
    """No answer came."""


class InvalidAnswer(ClientError):
    """The answer is none that a gateway gives."""


class TimedOut(ClientError):
    """The time of the call is over."""


class Refused(ClientError):
    """The gateway answered with a problem; `retry_after` is in how many seconds it may be asked again, where it says so."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after


class Unauthorized(Refused):
    """There is no key, or one that is not known."""


class Forbidden(Refused):
    """The key lacks the scope."""


class NotFound(Refused):
    """There is no such model, version or path."""


class UnusableImage(Refused):
    """The image cannot be recognised."""


class RateLimited(Refused):
    """More requests came than are allowed."""


class Unavailable(Refused):
    """The gateway cannot answer now."""


class DeadlineExceeded(Refused, TimedOut):
    """The gateway gave up when the time was over."""


class Failed(Refused):
    """The server is at fault."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
    504: DeadlineExceeded,
}
_OF_THE_IMAGE = {
    "form_not_found", "image_too_large", "invalid_base64", "no_ink", "payload_too_large", "too_many_characters",
    "unsupported_image",
}  # fmt: skip


def from_response(response: httpx.Response) -> Refused:
    """What an answer of status 400 or above means; one that is no problem+json, of a proxy say, has the code `unknown`."""
    problem = _problem_of(response)
    if problem.code in _OF_THE_IMAGE:
        kind: type[Refused] = UnusableImage
    else:
        kind = _BY_STATUS.get(response.status_code, Failed if response.status_code >= 500 else Refused)
    return kind(problem, retry_after_of(response))


def _problem_of(response: httpx.Response) -> Problem:
    if response.headers.get("Content-Type", "").startswith("application/problem+json"):
        try:
            return Problem.from_json(json.loads(response.content))
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
    detail = f"{response.url} answered {response.status_code} {response.reason_phrase}, not as a gateway does"
    return Problem(response.status_code, "unknown", response.reason_phrase, detail)


def retry_after_of(response: httpx.Response) -> float | None:
    """The seconds of the header Retry-After, a number or a date (RFC 9110, section 10.2.3); None without one that is right."""
    text = response.headers.get("Retry-After", "")
    try:
        seconds = float(text) if text[:1].isdigit() else _seconds_until(parsedate_to_datetime(text))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_until(when: datetime) -> float:
    return max(0.0, when.replace(tzinfo=when.tzinfo or UTC).timestamp() - time.time())
