"""A request's body, content type and options → what the recognizer takes."""

import unicodedata
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Request, g
from msgspec import UNSET, Struct

from gateway.api.content import body_of, form_of, json_object, unsupported
from gateway.api.schemas import (
    BatchBody,
    CharacterOptions,
    FeedbackBody,
    FeedbackOptions,
    FeedbackQuery,
    FormBody,
    PredictBody,
    PredictOptions,
    ReadBody,
    ReadOptions,
)
from gateway.api.validation import checked, invalid, parsed_pattern, pattern_name, values_from_text
from gateway.budget import Deadline
from gateway.errors import ProblemError
from gateway.feedback import Feedback
from gateway.forms import Layout, LayoutField
from gateway.reader import FieldOptions
from gateway.recognizer import Options
from gateway.settings import Settings
from handwriting.constraint import Constraint
from handwriting.errors import InvalidBase64
from handwriting.image import MAX_BYTES, from_base64

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff")
SINGLE_BODY_BYTES = MAX_BYTES * 4 // 3 + (64 << 10)  # the largest image as base64, its line breaks and the options
FORM_BODY_BYTES = SINGLE_BODY_BYTES + (4 << 20)  # with the layout's reference

Kind = TypeVar("Kind", bound=Struct)


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
        return Deadline(settings.request_timeout_seconds, g.stages.started)
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
    return Deadline(seconds, g.stages.started)


def one_image(request: Request, settings: Settings) -> OneImage:
    """The image and the options, in whichever of the three ways they came.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_options(request, PredictBody, PredictOptions)
    return OneImage(file, _options(values, settings), values.include is not UNSET)


def one_field(request: Request, settings: Settings) -> OneField:
    """As `one_image`, with the options of a reading.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_options(request, ReadBody, ReadOptions)
    return OneField(file, _field_options(values, settings))


def one_form(request: Request, settings: Settings) -> tuple[bytes, Layout]:
    """The scan of a form, and its layout.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    if request.mimetype != "application/json":
        raise unsupported(request, ("application/json",))
    body = _merged(FormBody, _query(request, FormBody), json_object(body_of(request, FORM_BODY_BYTES)))
    names = [field.name for field in body.layout.fields]
    if twice := [name for name in names if names.count(name) > 1]:
        raise invalid([("/layout", f"Two fields are called {twice[0]!r}; each has a name of its own.")])
    fields = tuple(LayoutField(field.name, field.box, _field_options(field, settings)) for field in body.layout.fields)
    return from_base64(body.image), Layout(from_base64(body.layout.reference), fields)


def _field_options(values: ReadOptions, settings: Settings) -> FieldOptions:
    pattern, name = None, None
    if values.pattern and values.pattern.startswith("@"):
        name = pattern_name(values.pattern)
    elif values.pattern:
        pattern = parsed_pattern(_composed(values.pattern))
    charset = _composed(values.charset) if values.charset else None
    constraint = Constraint(values.length or None, charset, pattern, values.check or None)
    return FieldOptions(_options(values, settings), constraint, values.max_candidates, name)


def one_feedback(request: Request, settings: Settings) -> Feedback:
    """The image and the label that it should have had.

    Raises:
        ProblemError, InvalidBase64: the request is not as the API describes it.
    """
    file, values = _image_and_options(request, FeedbackBody, FeedbackOptions, FeedbackQuery)
    return Feedback(file, values.label, values.model or settings.default_model, values.version or None)


def _composed(text: str) -> str:
    """The text as labels are written: in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def _image_and_options(
    request: Request, body_kind: type[Struct], options_kind: type[Kind], query_kind: type[Struct] | None = None
) -> tuple[bytes, Kind]:
    """The image file and the checked options; `body_kind` is `options_kind` with the image. In the query, there may be less."""
    kind = request.mimetype
    query = _query(request, query_kind or options_kind)
    if kind == "application/json":
        body: Any = _merged(body_kind, query, json_object(body_of(request, SINGLE_BODY_BYTES)))
        return from_base64(body.image), body
    if kind in IMAGE_TYPES:
        return body_of(request, SINGLE_BODY_BYTES), checked(options_kind, query)
    if kind == "multipart/form-data":
        files, values = form_of(request, "image", options_kind, SINGLE_BODY_BYTES)
        if len(files) > 1:
            raise invalid([("/image", f"The form holds {len(files)} files; one is expected.")])
        return files[0], _merged(options_kind, query, values)
    raise unsupported(request, ("application/json", *IMAGE_TYPES, "multipart/form-data"))


def _query(request: Request, kind: type[Struct]) -> dict[str, Any]:
    """The options in the query, which are right whether or not the body's are preferred."""
    if not request.query_string:
        return {}
    values = values_from_text(kind, request.args)
    if values:
        checked(kind, values)
    return values


def _merged(kind: type[Kind], query: dict[str, Any], values: dict[str, Any]) -> Kind:
    """The body's values, complete by themselves, with what the query has besides."""
    body = checked(kind, values)
    return checked(kind, {**query, **values}) if query else body


def many_images(request: Request, settings: Settings) -> tuple[list[bytes | InvalidBase64], Options]:
    """The images of a batch, each its bytes or what is wrong with its base64, and the options.

    Raises:
        ProblemError: the request is not as the API describes it.
    """
    most = settings.max_request_bytes
    query = _query(request, CharacterOptions)
    files: list[bytes | InvalidBase64]
    if request.mimetype == "application/json":
        body = _merged(BatchBody, query, json_object(body_of(request, most)))
        count, options = len(body.images), _options(body, settings)
        files = [bytes_or_error(text) for text in body.images[: settings.max_batch_images]]
    elif request.mimetype == "multipart/form-data":
        uploads, values = form_of(request, "images", CharacterOptions, most)
        count, options = len(uploads), _options(_merged(CharacterOptions, query, values), settings)
        files = list(uploads)
    else:
        raise unsupported(request, ("application/json", "multipart/form-data"))
    check_count(count, settings)
    return files, options


def check_count(count: int, settings: Settings) -> None:
    """Raises 413 `too_many_images` for a batch of more images than are accepted."""
    if count > settings.max_batch_images:
        raise ProblemError(
            413, "too_many_images", f"The batch holds {count} images; at most {settings.max_batch_images} are accepted."
        )


def bytes_or_error(text: str | bytes) -> bytes | InvalidBase64:
    """What the base64 stands for, or what is wrong with it."""
    try:
        return from_base64(text)
    except InvalidBase64 as error:
        return error


def _options(values: CharacterOptions, settings: Settings) -> Options:
    model, version, top_k = values.model or settings.default_model, values.version or None, values.top_k or None
    return Options(model, version, top_k, values.polarity, whose())


def whose() -> str:
    """The client's key where it has one, else the request's own id."""
    key = g.get("key")
    return key.name if key else str(g.id)
