"""Asks a gateway over HTTP."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

import click

from handwriting.image import to_base64


def ask(url: str, path: str, file: bytes, options: dict[str, Any]) -> dict[str, Any]:
    """The answer for the image file of the gateway at the URL, on the path /v1/predict or /v1/read; HCR_KEY is its key.

    Raises:
        ClickException: it refused, with its reason, or nothing answers at the URL.
    """
    body = json.dumps({"image": to_base64(file), **options}).encode()
    key = {"X-API-Key": os.environ["HCR_KEY"]} if os.environ.get("HCR_KEY") else {}
    request = urllib.request.Request(f"{url}{path}", body, {"Content-Type": "application/json", **key})
    try:
        with urllib.request.urlopen(request, timeout=35) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise click.ClickException(_reason(error)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise click.ClickException(f"no gateway answers at {url}: {reason}. Start one: make run") from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        return f"{problem['title']}: {problem['detail']} ({error.code} {problem['code']})"
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered {error.code} {error.reason}"
