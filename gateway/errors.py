"""Any known error → RFC 9457 problem, in one place: what an error means in HTTP is written here and nowhere else."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, TooManyRequests

from gateway.budget import Overloaded
from gateway.feedback import FeedbackFull, FeedbackUnavailable, UnknownLabel
from gateway.reader import UnknownPattern
from handwriting.errors import FormNotFound, ImageTooLarge, InvalidBase64, NoInk, TooManyCharacters, UnsupportedImage
from tfserving.errors import (
    ContractMismatch,
    DeadlineExceeded,
    ModelUnavailable,
    ServingError,
    UnknownModel,
    UnknownVersion,
)

log = logging.getLogger("gateway")

TITLES = {
    "invalid_json": "The body is not JSON",
    "invalid_request": "The request is not as the API describes it",
    "invalid_base64": "The image is not base64",
    "unauthorized": "The request carries no key that is known",
    "forbidden": "The key is not good for this",
    "unknown_model": "There is no such model",
    "unknown_version": "The model has no such version",
    "not_found": "There is nothing at this path",
    "method_not_allowed": "The path does not take this method",
    "not_acceptable": "None of the accepted types can be answered",
    "body_timeout": "The body did not come",
    "payload_too_large": "The request is too large",
    "image_too_large": "The image has too many pixels",
    "too_many_images": "The batch holds too many images",
    "too_many_characters": "The field holds too much",
    "unsupported_media_type": "The content type is not accepted",
    "unsupported_image": "The image cannot be read",
    "form_not_found": "The form is not on the image",
    "no_ink": "There is nothing on the image",
    "rate_limited": "Too many requests came",
    "overloaded": "The gateway has more work than it can do",
    "model_unavailable": "No model server answers",
    "draining": "The gateway is shutting down",
    "feedback_unavailable": "Feedback cannot be stored now",
    "feedback_full": "There is no room for more feedback",
    "deadline_exceeded": "The time was not enough",
    "internal": "The gateway has failed",
}
PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1


class ProblemError(Exception):
    """An error that already knows what it means in HTTP."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail, headers or {}, extra)


@dataclass(frozen=True)
class Problem:
    """An answer that tells of an error; `extra` are further members of its JSON."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "type": f"/docs#{self.code.replace('_', '-')}",
            "title": TITLES[self.code],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }


_MEANINGS: tuple[tuple[type[Exception], int, str], ...] = (
    (InvalidBase64, 400, "invalid_base64"),
    (ImageTooLarge, 413, "image_too_large"),
    (TooManyCharacters, 413, "too_many_characters"),
    (UnsupportedImage, 415, "unsupported_image"),
    (FormNotFound, 422, "form_not_found"),
    (NoInk, 422, "no_ink"),
    (Overloaded, 503, "overloaded"),
    (UnknownModel, 404, "unknown_model"),
    (UnknownVersion, 404, "unknown_version"),
    (ModelUnavailable, 503, "model_unavailable"),
    (ContractMismatch, 503, "model_unavailable"),
    (DeadlineExceeded, 504, "deadline_exceeded"),
    (ServingError, 503, "model_unavailable"),
    (FeedbackUnavailable, 503, "feedback_unavailable"),
    (FeedbackFull, 507, "feedback_full"),
)


def to_problem(error: BaseException) -> Problem:
    """What the error means in HTTP; one that is none of ours is `internal`, and tells nothing but that."""
    if isinstance(error, ProblemError):
        return _with_retry(error.problem)
    if isinstance(error, HTTPException):
        return _from_http(error)
    if isinstance(error, (UnknownPattern, UnknownLabel)):
        pointer = "/pattern" if isinstance(error, UnknownPattern) else "/label"
        told = [{"pointer": pointer, "detail": str(error)}]
        return Problem(400, "invalid_request", f"{pointer}: {error}", extra={"errors": told})
    for kind, status, code in _MEANINGS:
        if isinstance(error, kind):
            if isinstance(error, ServingError) and status == 503:
                log.warning("model call failed: %s", error)
            if isinstance(error, FeedbackUnavailable):
                log.warning("%s", error)
            return _with_retry(Problem(status, code, str(error)))
    return Problem(500, "internal", "The gateway failed on this request. It was logged under the id.")


def _with_retry(problem: Problem) -> Problem:
    if problem.status != 503:
        return problem
    headers = {**problem.headers, "Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(problem.status, problem.code, problem.detail, headers, problem.extra)


def _from_http(error: HTTPException) -> Problem:
    """What Flask and Werkzeug raise by themselves."""
    if isinstance(error, NotFound):
        return Problem(404, "not_found", "There is nothing at this path; the API is described at /docs.")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, "method_not_allowed", f"The path takes {allowed}.", {"Allow": allowed})
    if isinstance(error, RequestEntityTooLarge):
        return Problem(413, "payload_too_large", "The request's body is larger than is accepted.")
    if isinstance(error, TooManyRequests):  # flask-limiter's
        return Problem(429, "rate_limited", f"More than {error.description} came; the header Retry-After says when to go on.")
    return Problem(400, "invalid_request", error.description or error.name)
