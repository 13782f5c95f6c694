"""What each path does, as /openapi.json and /docs tell it; the types are those that check requests and make answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from gateway.api import schemas


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    tag: str
    summary: str
    text: str
    answer: type[Struct] | tuple[str, ...]
    """The answer's type, or its content types where it is no JSON of ours."""
    status: int = 200
    other_types: tuple[str, ...] = ()
    """Content types that the answer may have besides."""
    body: type[Struct] | None = None
    """The JSON body's type."""
    options: type[Struct] | None = None
    """What a form holds besides files, and what may stand in the query."""
    query: type[Struct] | None = None
    """What may stand in the query, where it is not the same."""
    example: str = ""
    """A body to begin with, where it holds no image alone."""
    file_field: str = ""
    """The form's field for files."""
    takes_image: bool = False
    """Whether the body may be an image file itself."""
    problems: tuple[str, ...] = ()
    path_parameters: Mapping[str, Any] = field(default_factory=dict)
    """The parts of the path that vary, and their types."""


PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "The body is not JSON in UTF-8, or an object in it holds a key twice."),
    "invalid_request": (
        400,
        "A field or option is missing, unknown, given twice, or not of its type or range; `errors` lists each by JSON pointer.",
    ),
    "invalid_base64": (400, "What should be base64 is not, after white space and a data URI's prefix have been taken off."),
    "unauthorized": (
        401,
        "Keys are needed here, and none or an unknown one came: `Authorization: Bearer …` or `X-API-Key: …`.",
    ),
    "forbidden": (403, "The key lacks the scope; it is in `detail`."),
    "not_found": (404, "There is no such path; GET /openapi.json lists those that there are."),
    "unknown_model": (404, "No model has this name; GET /v1/models lists those that there are."),
    "unknown_version": (
        404,
        "The model has no version of this number or label; GET /v1/models/{name} lists those that it has.",
    ),
    "method_not_allowed": (405, "The path does not take this method; the header Allow lists those that it takes."),
    "not_acceptable": (406, "The header Accept allows neither what the path answers nor problems. Leave it out."),
    "body_timeout": (408, "The body, or the rest of it, did not come in time."),
    "payload_too_large": (413, "The body is too long; the limit is in `detail`. Send a smaller file, or fewer at once."),
    "image_too_large": (413, "The image has too many pixels or bytes; the limit is in `detail`. Scale it down."),
    "too_many_images": (413, "The batch holds too many images; the limit is in `detail`. Send several batches."),
    "too_many_characters": (413, "The image holds more than a field of a few lines. Cut it into parts."),
    "unsupported_media_type": (415, "The content type is none of those that the path takes; they are in `detail`."),
    "unsupported_image": (
        415,
        "It is no image, a truncated one, or of another format; `detail` says how to convert it.",
    ),
    "form_not_found": (422, "The layout's form is not on the image, or too far from where it should be."),
    "no_ink": (422, "Nothing on the image stands out from the paper."),
    "rate_limited": (429, "More requests came than the limit allows. Try again after Retry-After."),
    "model_unavailable": (
        503,
        "No model server answers, or no version of the model is loaded. Try again after Retry-After.",
    ),
    "overloaded": (503, "More is under way than there is room for. Try again after Retry-After."),
    "draining": (503, "The gateway is shutting down. Another one may answer; try again after Retry-After."),
    "feedback_unavailable": (503, "The folder for feedback cannot be written to now. Try again after Retry-After."),
    "feedback_full": (507, "As much feedback is stored as the operator has room for."),
    "deadline_exceeded": (504, "The answer was not there in time. X-Request-Timeout may ask for more, up to 30 seconds."),
    "internal": (500, "A bug of the gateway; it was logged with the id. Nothing of it is in the answer."),
}
"""Each problem's status, and when it comes and what to do then."""

ALWAYS = ("not_acceptable", "internal")
OF_KEYS = ("unauthorized", "forbidden")
"""Where a key is asked for."""
OF_LIMITS = ("rate_limited",)
"""Where requests are counted."""
_MODEL = ("unknown_model", "unknown_version", "model_unavailable", "deadline_exceeded", "invalid_request")
_IMAGE = (
    "invalid_json", "invalid_base64", "payload_too_large", "image_too_large", "unsupported_media_type", "unsupported_image",
    "no_ink", "overloaded",
)  # fmt: skip
_NAME = {"name": schemas.ModelName}
_NAME_AND_VERSION = {**_NAME, "version": schemas.Version}
_INFER = (*_MODEL, *_IMAGE, "too_many_images")


def _v2_operations() -> dict[tuple[str, str], Operation]:
    """Those of the Open Inference Protocol; a model's are there with and without a version in the path."""
    tag = "Open Inference Protocol"
    found = {
        ("GET", "/v2"): Operation(tag, "What serves", "Its name, version and extensions.", schemas.ServerMetadata),
        ("GET", "/v2/health/live"): Operation(tag, "Is the server alive?", "As /healthz.", schemas.Live),
        ("GET", "/v2/health/ready"): Operation(
            tag, "Is the server ready?", "As /readyz.", schemas.Ready, problems=("model_unavailable", "draining")
        ),
    }
    for place, parameters in (("", _NAME), ("/versions/{version}", _NAME_AND_VERSION)):
        path, suffix = f"/v2/models/{{name}}{place}", " in a version" if place else ""
        found["GET", path] = Operation(
            tag, f"Describe a model{suffix}", "Its inputs, outputs and versions.", schemas.ModelMetadata,
            problems=_MODEL, path_parameters=parameters,
        )  # fmt: skip
        found["GET", f"{path}/ready"] = Operation(
            tag, f"Is a model{suffix} ready?", "200 if it is.", schemas.ModelReady, problems=_MODEL, path_parameters=parameters
        )
        found["POST", f"{path}/infer"] = Operation(
            tag,
            f"Recognise with a model{suffix}",
            "Each element of the input `image` is an image file as base64; with the extension for binary tensor data, the file "
            "itself may take its place. An image that cannot be recognised fails the request; `detail` says which.",
            schemas.InferAnswer,
            other_types=("application/octet-stream",),
            body=schemas.InferRequest,
            example='{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["…"]}]}',
            problems=_INFER,
            path_parameters=parameters,
        )
    return found


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/predict"): Operation(
        "Recognise",
        "Recognise one character",
        "The image as base64 in JSON, as the body itself with its options in the query, or as the file `image` of a form. "
        "An option in the body is preferred to one in the query.",
        schemas.Prediction,
        body=schemas.PredictBody,
        options=schemas.PredictOptions,
        file_field="image",
        takes_image=True,
        problems=(*_MODEL, *_IMAGE),
    ),
    ("POST", "/v1/predict:batch"): Operation(
        "Recognise",
        "Recognise many characters",
        "One result per image, in order; a bad image fails alone.",
        schemas.BatchAnswer,
        body=schemas.BatchBody,
        options=schemas.CharacterOptions,
        file_field="images",
        problems=(*_MODEL, "invalid_json", "payload_too_large", "too_many_images", "unsupported_media_type"),
    ),
    ("POST", "/v1/read"): Operation(
        "Recognise",
        "Read a line or a field",
        "Finds the characters, splits those that touch, orders them, and recognises all. Sent as for one character.",
        schemas.FieldReading,
        body=schemas.ReadBody,
        options=schemas.ReadOptions,
        file_field="image",
        takes_image=True,
        problems=(*_MODEL, *_IMAGE, "too_many_characters"),
    ),
    ("POST", "/v1/forms:read"): Operation(
        "Recognise",
        "Read a form",
        "Finds the layout's form on a scan, turned, shifted and scaled a little, and reads its fields.",
        schemas.FormReading,
        body=schemas.FormBody,
        problems=(*_MODEL, *_IMAGE, "too_many_characters", "form_not_found"),
    ),
    ("POST", "/v1/feedback"): Operation(
        "Feedback",
        "Say what an image shows",
        "Answered once the image is durably stored, for training. Sent as for one character; `label` is always needed.",
        schemas.FeedbackReceipt,
        status=202,
        body=schemas.FeedbackBody,
        options=schemas.FeedbackOptions,
        query=schemas.FeedbackQuery,
        file_field="image",
        takes_image=True,
        problems=(*_MODEL, *_IMAGE, "feedback_unavailable", "feedback_full"),
    ),
    ("GET", "/v1/models"): Operation(
        "Models",
        "List the models",
        "Their classes, and their versions with states and labels.",
        schemas.ModelList,
        problems=("model_unavailable", "deadline_exceeded", "invalid_request"),
    ),
    ("GET", "/v1/models/{name}"): Operation(
        "Models",
        "Describe a model",
        "Its classes, and its versions with states and labels.",
        schemas.ModelDescription,
        problems=("unknown_model", "model_unavailable", "deadline_exceeded", "invalid_request"),
        path_parameters=_NAME,
    ),
    **_v2_operations(),
    ("GET", "/healthz"): Operation(
        "For operators", "Is the process alive?", "Never looks at the model server.", schemas.Health
    ),
    ("GET", "/readyz"): Operation(
        "For operators",
        "Can the default model answer?",
        "503 while it cannot, and while the gateway is shutting down.",
        schemas.Readiness,
        problems=("model_unavailable", "draining"),
    ),
    ("GET", "/metrics"): Operation(
        "For operators",
        "Metrics",
        "Prometheus text; OpenMetrics by the header Accept.",
        ("text/plain", "application/openmetrics-text"),
    ),
    ("GET", "/openapi.json"): Operation("This API", "This description", "OpenAPI 3.1.", ("application/json",)),
    ("GET", "/docs"): Operation("This API", "A page to try it", "Needs nothing from elsewhere.", ("text/html",)),
}
