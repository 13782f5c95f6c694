"""How much time of one core decoding and preprocessing take, against the goals; waiting for a core does not count.

PYTHONPATH=. .venv/bin/python benchmarks/preprocessing.py
"""

import io
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from handwriting.image import Pixels, decode
from handwriting.preprocess import to_tensor
from handwriting.segment import segment
from tests.golden.pictures import LIGHTS, STROKES, drawn, noise, on_paper, to_bytes


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows("28 × 28 PNG", [encoded(Image.fromarray(to_bytes(drawn(d, 28, 0.1, 0.7) * 255))) for d in STROKES], 2000, 0.1)
    rows("280 × 280 RGBA canvas", [encoded(canvas(digit)) for digit in STROKES], 500, 3.0)
    rows("12 MP JPEG photo", [photo(digit) for digit in list(STROKES)[:2]], 20, None, 60.0)
    fields = [np.hstack([to_bytes(on_paper(drawn(d, 60, 0.06, 0.75)))[:, 8:52] for d in text]) for text in ("25307", "84235")]
    row("five-digit field, segmentation", timed(segment, fields, 100))


def rows(name: str, files: list[bytes], times: int, goal: float | None, goal_of_both: float | None = None) -> None:
    row(f"{name}, decode", timed(decode, files, times))
    row(f"{name}, preprocess", timed(to_tensor, [decode(file) for file in files], times), goal)
    row(f"{name}, both", timed(lambda file: to_tensor(decode(file)), files, times), goal_of_both)


def timed(function: Callable[..., object], arguments: list[bytes] | list[Pixels], times: int) -> list[float]:
    """Milliseconds of processor time of each call, after each argument once unmeasured."""
    for argument in arguments:
        function(argument)
    taken = []
    for number in range(times):
        start = time.process_time()
        function(arguments[number % len(arguments)])
        taken.append(1000 * (time.process_time() - start))
    return sorted(taken)


def row(name: str, taken: list[float], goal: float | None = None) -> None:
    note = f"   goal {goal:g} ms" if goal else ""
    print(
        f"{name:<34} median {statistics.median(taken):8.3f} ms   p95 {taken[int(0.95 * len(taken))]:8.3f} ms{note}", flush=True
    )


def canvas(digit: str) -> Image.Image:
    layer = Image.new("RGBA", (280, 280), (0, 0, 0, 0))
    layer.putalpha(Image.fromarray(to_bytes(drawn(digit, 280, 0.07, 0.7) * 255)))
    return layer


def photo(digit: str) -> bytes:
    """4032 × 3024 pixels of a sheet under a lamp, with a sensor's noise."""
    light = np.asarray(Image.fromarray(to_bytes(on_paper(drawn(digit, 756)) * LIGHTS["a lamp"](756))).resize((3024, 3024)))
    sheet = np.pad(light, ((0, 0), (504, 504)), mode="edge").astype(np.float32)
    sheet += np.tile(noise(1008, 3), (3, 4))
    return encoded(Image.fromarray(np.dstack([to_bytes(sheet)] * 3)), "JPEG", quality=88)


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
