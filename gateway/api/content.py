"""A request's body: bytes, an object of JSON, or a form; bounded before it is read."""

from io import BytesIO
from typing import Any

from flask import Request
from msgspec import Struct
from werkzeug.formparser import FormDataParser

from gateway.api.strict_json import InvalidJson, parse
from gateway.api.validation import invalid, kind_of, values_from_text
from gateway.errors import ProblemError

_MOST_FORM_PARTS = 1000


def body_of(request: Request, most: int) -> bytes:
    """The body, of at most so many bytes.

    Raises:
        ProblemError: 413 `payload_too_large`, or 415 `unsupported_media_type` for one that is compressed.
    """
    if (coding := request.headers.get("Content-Encoding", "identity")) != "identity":
        raise ProblemError(
            415,
            "unsupported_media_type",
            f"The content encoding is {coding[:40]!r}; bodies are taken without one.",
        )
    length = request.content_length
    if length is not None and length > most:
        raise _too_long(f"{length:,}", most)
    body: bytes = request.environ["wsgi.input"].read(most + 1 if length is None else length)  # in memory: gateway/bodies.py
    if len(body) > most:
        raise _too_long(f"more than {most:,}", most)
    return body


def _too_long(came: str, most: int) -> ProblemError:
    return ProblemError(413, "payload_too_large", f"The body has {came} bytes; at most {most:,} are accepted.")


def json_object(text: bytes) -> dict[str, Any]:
    """The object that the text holds.

    Raises:
        ProblemError: 400 `invalid_json` or `invalid_request`: it holds none.
    """
    try:
        body = parse(text)
    except InvalidJson as error:
        raise ProblemError(400, "invalid_json", f"The body is not JSON in UTF-8: {error}.") from None
    if not isinstance(body, dict):
        raise invalid([("", f"The body is {kind_of(body)}; an object is expected.")])
    return body


def unsupported(request: Request, accepted: tuple[str, ...]) -> ProblemError:
    """The error for a content type that is none of those accepted."""
    came = f"{request.mimetype[:80]!r}" if request.mimetype else "missing"
    return ProblemError(415, "unsupported_media_type", f"The content type is {came}; {', '.join(accepted)} are accepted.")


def form_of(request: Request, field: str, kind: type[Struct], most: int) -> tuple[list[bytes], dict[str, Any]]:
    """The form's files in the field, at least one, and its other fields as the type wants them.

    Raises:
        ProblemError: it is no such form, or has more than `most` bytes.
    """
    body = body_of(request, most)
    parser = FormDataParser(  # into memory, where the body is as it is
        stream_factory=lambda *_, **__: BytesIO(), silent=False, max_form_parts=_MOST_FORM_PARTS
    )
    try:
        _, form, files = parser.parse(BytesIO(body), request.mimetype, len(body), request.mimetype_params)
    except ValueError as error:
        raise invalid([("", f"The form cannot be read: {error}.")]) from None
    strange = [name for name in files if name != field]
    if strange or not files:
        told = f"holds a file in the field {strange[0]!r}" if strange else "holds no file"
        raise invalid([(f"/{field}", f"The form {told}; files are expected in the field {field!r}.")])
    return [upload.stream.read() for upload in files.getlist(field)], values_from_text(kind, form)
