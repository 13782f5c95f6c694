"""What schemathesis cannot know from the document: images with something on them, patterns, labels that the model has, and how
long an answer takes."""

import base64
import io
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image, ImageDraw

DIGITS = tuple("0123456789")
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
_ENOUGH_SECONDS = 5.0
_UNKNOWN_HEADER = "x-schemathesis-unknown-property"


@st.composite
def image_files(draw: st.DrawFn) -> bytes:
    """An image file of a stroke on paper."""
    height, width = draw(st.integers(20, 60)), draw(st.integers(20, 60))
    pixels = np.full((height, width), draw(st.integers(200, 255)), np.uint8)
    pixels[5:-5, width // 2 - 2 : width // 2 + 2] = draw(st.integers(0, 60))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, draw(st.sampled_from(_FORMATS)))
    return buffer.getvalue()


def form() -> str:
    """A form, as base64: a title, and boxes to write into."""
    page = Image.new("L", (600, 400), 255)
    pen = ImageDraw.Draw(page)
    for top in range(50, 380, 70):
        pen.rectangle((50, top, 150 + top, top + 50), outline=0, width=3)
        pen.text((400, top + 10), f"Field {top}", fill=0)
    pen.text((20, 10), "A form to be filled in, number 4711", fill=0)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


FORM = form()
PATTERNS = st.from_regex(r"([0-9a-zA-Z.]|\\d|\\w|\[\^?[0-9]-[a-z]\])([?*+]|\{[0-9]\})?", fullmatch=True)

schemathesis.openapi.format("binary", image_files())
schemathesis.openapi.format("base64-image", image_files().map(lambda file: base64.b64encode(file).decode()))
schemathesis.openapi.format("text-pattern", PATTERNS)
schemathesis.openapi.format("class-label", st.sampled_from(DIGITS))
for kind in IMAGE_TYPES:
    schemathesis.openapi.media_type(kind, image_files())


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Gives an answer the time that it takes: 504 after a billionth of a second is right, but counts as a failing server.

    And makes true of what should be accepted what OpenAPI cannot say: an image needs a label, in one content type alone; a
    tensor's shape tells how many elements there are; a scan shows the layout's form, and the fields lie on it.
    """
    headers = case.headers or {}
    for name in headers:
        if name.lower() == "x-request-timeout" and 0 < _number(str(headers[name])) < _ENOUGH_SECONDS:
            headers[name] = str(_ENOUGH_SECONDS)
    if (
        _UNKNOWN_HEADER in headers
    ):  # which anybody may send; beside a number, which is text on the way, it counts as a violation
        headers.pop("X-Request-Timeout", None)
    if not (case.meta and case.meta.generation.mode.is_positive):
        return
    if case.path == "/v1/feedback" and case.media_type in IMAGE_TYPES:
        case.query = {"label": DIGITS[0], **(case.query or {})}
    if case.path.endswith("/infer"):
        tensor = case.body["inputs"][0]
        tensor["shape"] = [len(tensor["data"])]
    if case.path == "/v1/forms:read":
        case.body["image"] = case.body["layout"]["reference"] = FORM
        for number, field in enumerate(case.body["layout"]["fields"]):
            field |= {"name": str(number), "box": [60, 60, 80, 40]}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
