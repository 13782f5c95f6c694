"""What is sent: pictures of digits that we draw, the same for all systems, and what the answers must say."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.golden.pictures import LIGHTS, STROKES, drawn, noise, on_paper, to_bytes

DIGITS = tuple(STROKES)
FIELDS = ("25307", "84235")
BATCH = 64


@dataclass(frozen=True)
class Payload:
    """A kind of request: `items` holds, for each request that is sent in turn, its image files; a field is one image."""

    name: str
    title: str
    items: tuple[tuple[bytes, ...], ...]
    is_field: bool = False


def payloads() -> dict[str, Payload]:
    """All kinds of request, by name."""
    small = [small_png(digit, pen) for pen in (0.09, 0.1, 0.11) for digit in DIGITS]
    kinds = (
        Payload("png28", "28 × 28 PNG", _each(small)),
        Payload("canvas280", "280 × 280 RGBA PNG", _each([canvas(digit) for digit in DIGITS])),
        Payload("photo12mp", "12 megapixel JPEG", _each([photo(digit) for digit in DIGITS[:2]])),
        Payload("batch64", f"batch of {BATCH} 28 × 28 PNG", tuple(_batch(small, start) for start in range(4))),
        Payload("field5", "field of five digits", _each([field(text) for text in FIELDS]), is_field=True),
    )
    return {kind.name: kind for kind in kinds}


def small_png(digit: str, pen: float = 0.1) -> bytes:
    """28 × 28, white on black, as MNIST's digits are."""
    return encoded(Image.fromarray(to_bytes(drawn(digit, 28, pen, 0.7) * 255)))


def canvas(digit: str) -> bytes:
    """280 × 280, black on nothing, as a drawing on a web page's canvas is sent."""
    layer = Image.new("RGBA", (280, 280), (0, 0, 0, 0))
    layer.putalpha(Image.fromarray(to_bytes(drawn(digit, 280, 0.07, 0.7) * 255)))
    return encoded(layer)


def photo(digit: str) -> bytes:
    """4032 × 3024 pixels of a sheet under a lamp, with a sensor's noise."""
    light = np.asarray(Image.fromarray(to_bytes(on_paper(drawn(digit, 756)) * LIGHTS["a lamp"](756))).resize((3024, 3024)))
    sheet = np.pad(light, ((0, 0), (504, 504)), mode="edge").astype(np.float32)
    sheet += np.tile(noise(1008, 3), (3, 4))
    return encoded(Image.fromarray(np.dstack([to_bytes(sheet)] * 3)), "JPEG", quality=88)


def field(text: str) -> bytes:
    """Digits side by side, 60 pixels high."""
    return encoded(Image.fromarray(np.hstack([to_bytes(on_paper(drawn(d, 60, 0.06, 0.75)))[:, 8:52] for d in text])))


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _each(files: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    return tuple((file,) for file in files)


def _batch(files: Sequence[bytes], start: int) -> tuple[bytes, ...]:
    return tuple(files[(start + number) % len(files)] for number in range(BATCH))
