"""Asks a gateway over HTTP."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

import click

from handwriting.image import to_base64


class Busy(click.ClickException):
    """Nothing answers at the URL, or the gateway can't answer now; after `seconds` it may."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def ask(url: str, path: str, file: bytes, options: dict[str, Any], timeout_seconds: int | None = None) -> dict[str, Any]:
    """The answer for the image file of the gateway at the URL, on the path /v1/predict, say; HCR_KEY is its key.

    Raises:
        Busy: nothing answers at the URL, or the gateway has no time.
        ClickException: it refused, with its reason.
    """
    body = json.dumps({"image": to_base64(file), **options}).encode()
    headers = {"Content-Type": "application/json"}
    if os.environ.get("HCR_KEY"):
        headers["X-API-Key"] = os.environ["HCR_KEY"]
    if timeout_seconds:
        headers["X-Request-Timeout"] = str(timeout_seconds)
    request = urllib.request.Request(f"{url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=35) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        if error.code in (429, 503, 504):
            raise Busy(_reason(error), float(error.headers.get("Retry-After") or 1)) from None
        raise click.ClickException(_reason(error)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Busy(f"no gateway answers at {url}: {reason}. Start one: make run", 1) from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        return f"{problem['title']}: {problem['detail']} ({error.code} {problem['code']})"
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code} {error.reason}"
