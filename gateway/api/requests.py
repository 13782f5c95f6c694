"""A request's body, content type and options → what the recognizer takes."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
from flask import Request

from gateway.budget import Deadline
from gateway.errors import ProblemError
from gateway.feedback import Feedback
from gateway.reader import FieldOptions
from gateway.recognizer import Options
from gateway.settings import Settings
from handwriting.constraint import CHECKS, PATTERN_NAME, Constraint, InvalidPattern, parse_pattern
from handwriting.errors import InvalidBase64
from handwriting.image import MAX_BYTES, from_base64
from handwriting.preprocess import POLARITIES

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff")
_SINGLE_BODY_BYTES = MAX_BYTES * 4 // 3 + (64 << 10)  # the largest image as base64, its line breaks and the options
_MOST_HEARD_OUT = 64 << 20  # bytes of a refused body
_LONGEST_TEXT = 256
_MOST_CANDIDATES = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}")
_LABEL = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class OneImage:
    """A request for one image."""

    file: bytes
    options: Options
    wants_input: bool
    """Whether the answer is to hold what the model saw."""


@dataclass(frozen=True)
class OneField:
    """A request to read one image."""

    file: bytes
    options: FieldOptions


def deadline_of(request: Request, settings: Settings) -> Deadline:
    """The request's whole time: X-Request-Timeout, or the default."""
    text = request.headers.get("X-Request-Timeout")
    if text is None:
        return Deadline(settings.request_timeout_seconds)
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= settings.max_request_timeout_seconds:
        most = settings.max_request_timeout_seconds
        raise ProblemError(
            400,
            "invalid_request",
            f"X-Request-Timeout is {text[:40]!r}; a number of seconds above 0 up to {most:g} is accepted.",
        )
    return Deadline(seconds)


def one_image(request: Request, settings: Settings) -> OneImage:
    """The image and the options, in whichever of the three ways they came.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_values(request, {**_OPTIONS, "include": _is_include})
    return OneImage(file, _options(values, settings), "include" in values)


def one_field(request: Request, settings: Settings) -> OneField:
    """As `one_image`, with the options of a reading.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_values(request, {**_OPTIONS, **_READ_OPTIONS})
    charset, pattern = (_composed(values.get(name)) for name in ("charset", "pattern"))
    name = _pattern_name(pattern)
    parsed = parse_pattern(pattern) if pattern is not None and name is None else None
    constraint = Constraint(values.get("length"), charset, parsed, values.get("check"))
    chosen = {name: values[name] for name in ("max_candidates",) if name in values}
    return OneField(file, FieldOptions(_options(values, settings), constraint, **chosen, pattern_name=name))


def one_feedback(request: Request, settings: Settings) -> Feedback:
    """The image and the label that it should have had.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_values(request, {"model": _is_name, "version": _is_version}, {"label": _is_label})
    return Feedback(file, **{"model": settings.default_model, **values})


def _composed(text: str | None) -> str | None:
    """The text as labels are written: in Unicode's composed form."""
    return None if text is None else unicodedata.normalize("NFC", text)


def _pattern_name(pattern: str | None) -> str | None:
    """The name in `@NAME`, None where the pattern is one itself."""
    return pattern[1:] if pattern and pattern.startswith("@") else None


def _image_and_values(
    request: Request, options: "_Checks", required: "_Checks" = MappingProxyType({})
) -> tuple[bytes, dict[str, Any]]:
    """The image file and the checked options that were given."""
    request.max_content_length = _SINGLE_BODY_BYTES
    kind = request.mimetype
    if kind == "application/json":
        body = _json_object(request)
        _check(body, {"image": _is_text, **required}, options)
        return from_base64(body.pop("image")), body
    if kind in IMAGE_TYPES:
        return _body(request), _from_text(request.args, options, required)
    if kind == "multipart/form-data":
        _check_length(request)
        upload = request.files.get("image")
        if upload is None:
            raise _invalid([("/image", "The form has no file field `image`.")])
        return upload.stream.read(), _from_text(request.form, options, required)
    raise _unsupported(request, ("application/json", *IMAGE_TYPES, "multipart/form-data"))


def many_images(request: Request, settings: Settings) -> tuple[list[bytes | InvalidBase64], Options]:
    """The images of a batch, each its bytes or what is wrong with its base64, and the options.

    Raises:
        ProblemError: the request is not as the API describes it.
    """
    request.max_content_length = settings.max_request_bytes
    if request.mimetype != "application/json":
        raise _unsupported(request, ("application/json",))
    body = _json_object(request)
    _check(body, {"images": _is_texts}, _OPTIONS)
    texts = body["images"]
    if len(texts) > settings.max_batch_images:
        raise ProblemError(
            413, "too_many_images", f"The batch holds {len(texts)} images; at most {settings.max_batch_images} are accepted."
        )
    return [_bytes_or_error(text) for text in texts], _options(body, settings)


def _bytes_or_error(text: str) -> bytes | InvalidBase64:
    try:
        return from_base64(text)
    except InvalidBase64 as error:
        return error


def _body(request: Request) -> bytes:
    _check_length(request)
    if request.content_length is not None:
        return request.get_data(cache=False)
    most = request.max_content_length or 0
    body: bytes = request.environ["wsgi.input"].read(most + 1)  # in chunks, without a length; Werkzeug would cut it silently
    if len(body) > most:
        raise _too_long(request, f"more than {most:,}")
    return body


def _check_length(request: Request) -> None:
    length = request.content_length
    if length is not None and length > (request.max_content_length or 0):
        raise _too_long(request, f"{length:,}")


def _too_long(request: Request, came: str) -> ProblemError:
    """The error for a body that is too long, after it has been heard out, within reason: a client that is still sending
    sees its connection break, and not the answer."""
    left = _MOST_HEARD_OUT if (request.content_length or 0) <= _MOST_HEARD_OUT else 0
    while left > 0 and (part := request.environ["wsgi.input"].read(min(left, 1 << 20))):
        left -= len(part)
    most = request.max_content_length or 0
    return ProblemError(413, "payload_too_large", f"The body has {came} bytes; at most {most:,} are accepted.")


def _json_object(request: Request) -> dict[str, Any]:
    if request.args:
        raise _invalid([(f"/{name}", "An option of a JSON request goes into its body.") for name in sorted(request.args)])
    try:
        body = orjson.loads(_body(request))
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, "invalid_json", f"The body is not JSON in UTF-8: {error}.") from None
    if not isinstance(body, dict):
        raise _invalid([("", f"The body is {_kind(body)}; an object is expected.")])
    return body


def _is_text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"It is {_kind(value)}; a string of base64 is expected."


def _is_texts(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return f"It is {_kind(value)}; an array of at least one string of base64 is expected."
    wrong = next((item for item in value if not isinstance(item, str)), None)
    return None if wrong is None else f"It holds {_kind(wrong)}; strings of base64 are expected."


def _is_name(value: Any) -> str | None:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return None
    return f"It is {_shown(value)}; a model's name is expected."


def _is_label(value: Any) -> str | None:
    return None if isinstance(value, str) and value else f"It is {_shown(value)}; the class that the image shows is expected."


def _is_version(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**18
    if is_number or (isinstance(value, str) and _LABEL.fullmatch(value)):
        return None
    return f"It is {_shown(value)}; a version number above 0, or a label such as stable or canary, is expected."


def _is_top_k(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 100_000
    return None if is_count else f"It is {_shown(value)}; a whole number above 0 is expected."


def _is_length(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LONGEST_TEXT
    return None if is_count else f"It is {_shown(value)}; a whole number from 1 to {_LONGEST_TEXT} is expected."


def _is_charset(value: Any) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= 10_000:
        return None
    return f"It is {_shown(value)}; a string of the characters that may occur is expected, such as 0123456789."


def _is_pattern(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return (
            f"It is {_shown(value)}; a pattern is expected, such as \\d{{5}}, or @ and the name of one that the model carries."
        )
    if (name := _pattern_name(value)) is not None:
        told = "; behind @ the name of a pattern is expected: up to 32 letters, digits, - and _. For the sign write \\@."
        return None if PATTERN_NAME.fullmatch(name) else f"It is {_shown(value)}{told}"
    try:
        parse_pattern(unicodedata.normalize("NFC", value))
    except InvalidPattern as error:
        return f"It is no pattern: {error}."
    return None


def _is_check(value: Any) -> str | None:
    return None if value in CHECKS else f"It is {_shown(value)}; {', '.join(CHECKS)} are accepted."


def _is_max_candidates(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_CANDIDATES
    return None if is_count else f"It is {_shown(value)}; a whole number from 1 to {_MOST_CANDIDATES} is expected."


def _is_polarity(value: Any) -> str | None:
    return None if value in POLARITIES else f"It is {_shown(value)}; {', '.join(POLARITIES)} are accepted."


def _is_include(value: Any) -> str | None:
    return None if value == "input" else f"It is {_shown(value)}; input is accepted."


_Checks = Mapping[str, Callable[[Any], str | None]]

_OPTIONS: _Checks = {
    "model": _is_name,
    "version": _is_version,
    "top_k": _is_top_k,
    "polarity": _is_polarity,
}
"""Each option and its check, which says what is wrong with a value."""
_READ_OPTIONS: _Checks = {
    "length": _is_length,
    "charset": _is_charset,
    "pattern": _is_pattern,
    "check": _is_check,
    "max_candidates": _is_max_candidates,
}
"""What a reading takes besides."""
_NUMERIC = ("version", "top_k", "length", "max_candidates")


def _check(body: Mapping[str, Any], required: _Checks, options: _Checks) -> None:
    checks = {**required, **options}
    errors = [(f"/{name}", "It is missing.") for name in required if name not in body]
    for name, value in body.items():
        if name not in checks:
            errors.append((f"/{_escaped(name)}", f"It is unknown; {', '.join(checks)} are accepted."))
        elif problem := checks[name](value):
            errors.append((f"/{name}", problem))
    if errors:
        raise _invalid(errors)


def _options(body: Mapping[str, Any], settings: Settings) -> Options:
    chosen = {name: body[name] for name in _OPTIONS if name in body}
    return Options(**{"model": settings.default_model, **chosen})


def _from_text(values: Mapping[str, str], options: _Checks, required: _Checks) -> dict[str, Any]:
    """Options that came as text: in the query, or as fields of a form."""
    body = {name: int(text) if name in _NUMERIC and _NUMBER.fullmatch(text) else text for name, text in values.items()}
    _check(body, required, options)
    return body


def _unsupported(request: Request, accepted: tuple[str, ...]) -> ProblemError:
    came = f"{request.mimetype[:80]!r}" if request.mimetype else "missing"
    return ProblemError(415, "unsupported_media_type", f"The content type is {came}; {', '.join(accepted)} are accepted.")


def _invalid(errors: list[tuple[str, str]]) -> ProblemError:
    told = [{"pointer": pointer, "detail": detail} for pointer, detail in errors[:20]]
    summary = "; ".join(f"{pointer or 'body'}: {detail}" for pointer, detail in errors[:3])
    return ProblemError(400, "invalid_request", summary, errors=told)


def _escaped(name: str) -> str:
    """As a JSON pointer's token (RFC 6901)."""
    return name[:80].replace("~", "~0").replace("/", "~1")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list) and not value:
        return "an empty array"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array", dict: "an object"}
    return names[type(value)]


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else _kind(value)
