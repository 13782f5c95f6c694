"""A request's body, content type and options → what the recognizer takes."""

import unicodedata
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

from flask import Request, g
from msgspec import UNSET, Struct
from werkzeug.formparser import FormDataParser

from gateway.api.schemas import (
    BatchBody,
    CharacterOptions,
    FeedbackBody,
    FeedbackOptions,
    FormBody,
    PredictBody,
    PredictOptions,
    ReadBody,
    ReadOptions,
)
from gateway.api.strict_json import InvalidJson, parse
from gateway.api.validation import checked, invalid, kind_of, parsed_pattern, pattern_name, values_from_text
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
_MOST_FORM_PARTS = 1000

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
    request.max_content_length = FORM_BODY_BYTES
    if request.mimetype != "application/json":
        raise _unsupported(request, ("application/json",))
    body = checked(FormBody, {**values_from_text(FormBody, request.args), **_json_object(request)})
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
    file, values = _image_and_options(request, FeedbackBody, FeedbackOptions)
    return Feedback(file, values.label, values.model or settings.default_model, values.version or None)


def _composed(text: str) -> str:
    """The text as labels are written: in Unicode's composed form."""
    return unicodedata.normalize("NFC", text)


def _image_and_options(request: Request, body_kind: type[Struct], options_kind: type[Kind]) -> tuple[bytes, Kind]:
    """The image file and the checked options; `body_kind` is `options_kind` with the image."""
    request.max_content_length = SINGLE_BODY_BYTES
    kind = request.mimetype
    query = values_from_text(options_kind, request.args)
    if kind == "application/json":
        body: Any = checked(body_kind, {**query, **_json_object(request)})
        return from_base64(body.image), body
    if kind in IMAGE_TYPES:
        return _body(request), checked(options_kind, query)
    if kind == "multipart/form-data":
        files, values = _form(request, "image", options_kind)
        if len(files) > 1:
            raise invalid([("/image", f"The form holds {len(files)} files; one is expected.")])
        return files[0], checked(options_kind, {**query, **values})
    raise _unsupported(request, ("application/json", *IMAGE_TYPES, "multipart/form-data"))


def many_images(request: Request, settings: Settings) -> tuple[list[bytes | InvalidBase64], Options]:
    """The images of a batch, each its bytes or what is wrong with its base64, and the options.

    Raises:
        ProblemError: the request is not as the API describes it.
    """
    request.max_content_length = settings.max_request_bytes
    query = values_from_text(CharacterOptions, request.args)
    files: list[bytes | InvalidBase64]
    if request.mimetype == "application/json":
        body = checked(BatchBody, {**query, **_json_object(request)})
        count, options = len(body.images), _options(body, settings)
        files = [_bytes_or_error(text) for text in body.images[: settings.max_batch_images]]
    elif request.mimetype == "multipart/form-data":
        uploads, values = _form(request, "images", CharacterOptions)
        count, options = len(uploads), _options(checked(CharacterOptions, {**query, **values}), settings)
        files = list(uploads)
    else:
        raise _unsupported(request, ("application/json", "multipart/form-data"))
    if count > settings.max_batch_images:
        raise ProblemError(
            413, "too_many_images", f"The batch holds {count} images; at most {settings.max_batch_images} are accepted."
        )
    return files, options


def _form(request: Request, field: str, kind: type[Struct]) -> tuple[list[bytes], dict[str, Any]]:
    """The form's files in the field, at least one, and its other fields as the type wants them."""
    body = _body(request)
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
    most = request.max_content_length or 0
    return ProblemError(413, "payload_too_large", f"The body has {came} bytes; at most {most:,} are accepted.")


def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = parse(_body(request))
    except InvalidJson as error:
        raise ProblemError(400, "invalid_json", f"The body is not JSON in UTF-8: {error}.") from None
    if not isinstance(body, dict):
        raise invalid([("", f"The body is {kind_of(body)}; an object is expected.")])
    return body


def _options(values: CharacterOptions, settings: Settings) -> Options:
    model, version, top_k = values.model or settings.default_model, values.version or None, values.top_k or None
    return Options(model, version, top_k, values.polarity)


def _unsupported(request: Request, accepted: tuple[str, ...]) -> ProblemError:
    came = f"{request.mimetype[:80]!r}" if request.mimetype else "missing"
    return ProblemError(415, "unsupported_media_type", f"The content type is {came}; {', '.join(accepted)} are accepted.")
