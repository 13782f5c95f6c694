"""Preprocessing under hard light, on printed paper, beside neighbours, from 8 pixels to 40 megapixels."""

import io
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from handwriting.errors import NoInk
from handwriting.preprocess import Tensor, to_tensor
from tests.golden.pictures import LIGHTS, STROKES, Grey, drawn, framed, noise, on_paper, ruled, to_bytes

SIZE = 200


def tensor_of(grey: Grey) -> Tensor:
    return to_tensor(to_bytes(grey))


def similarity(one: Tensor, other: Tensor) -> float:
    """The correlation of two tensors, 1 where they are alike, a shift by a pixel apart: the centre of mass is rounded."""
    shifts = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    return max(float(np.corrcoef(np.roll(one, shift, (1, 0)).ravel(), other.ravel())[0, 1]) for shift in shifts)


def plain(digit: str, **options: float) -> Tensor:
    return tensor_of(on_paper(drawn(digit, SIZE, **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("digit", STROKES)
@pytest.mark.parametrize("light", LIGHTS)
def test_a_digit_is_the_same_in_any_light(light: str, digit: str, request: pytest.FixtureRequest) -> None:
    if light == "hard shadow" and digit in "48":
        reason = "where a sharp edge of shadow leaves the character, some of the edge is taken for ink"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

    tensor = tensor_of(on_paper(drawn(digit, SIZE)) * LIGHTS[light](SIZE))

    assert similarity(tensor, plain(digit)) > 0.85


@pytest.mark.parametrize("digit", STROKES)
@pytest.mark.parametrize(
    "print_of",
    [
        lambda: framed(SIZE, 12),
        lambda: framed(SIZE, 12, 6),
        lambda: framed(SIZE, 0, 6),
        lambda: ruled(SIZE, 50, 20, 2, 120),
        lambda: ruled(SIZE, 25, 5, 1, 25),
        lambda: ruled(SIZE, 25, 5, 1, 40, both=True),
    ],
    ids=["boxed", "boxed thickly", "boxed at the edge", "ruled darkly", "ruled", "squared"],
)
def test_what_is_printed_on_the_paper_is_left_out(print_of, digit: str) -> None:
    tensor = tensor_of(on_paper(drawn(digit, SIZE, height=0.55)) - print_of())

    assert similarity(tensor, plain(digit, height=0.55)) > 0.85


@pytest.mark.parametrize("digit", STROKES)
@pytest.mark.parametrize("shift", [(-0.5, 0), (0.52, 0.05), (0.02, 0.72), (0, -0.72)], ids=["left", "right", "below", "above"])
def test_what_the_edge_leaves_of_a_neighbour_is_left_out(shift: tuple[float, float], digit: str) -> None:
    both = np.maximum(drawn(digit, SIZE), drawn("8", SIZE, shift=shift))

    assert similarity(tensor_of(on_paper(both)), plain(digit)) > 0.95


@pytest.mark.parametrize(
    "grey",
    [
        on_paper(drawn("5", SIZE, pen=0.02), 200, 232) + noise(SIZE, 3),
        on_paper(drawn("5", SIZE, pen=0.02), 90, 200) + noise(SIZE, 10, grain=3),
        on_paper(drawn("5", SIZE, pen=0.02), 230, 50),
        on_paper(drawn("5", 1000, pen=0.002, height=0.06, shift=(0.2, 0.1))) + noise(1000, 3),
    ],
    ids=["faint pencil", "textured paper", "chalk", "small on a large sheet"],
)
def test_a_thin_pen_gives_the_same_digit(grey: Grey) -> None:
    assert similarity(tensor_of(grey), plain("5", pen=0.02)) > 0.85


@pytest.mark.parametrize("size", [8, 10, 12, 16, 28, 64, 300, 1500])
def test_a_digit_is_the_same_at_any_size(size: int) -> None:
    tensor = tensor_of(on_paper(drawn("3", size, pen=0.12, height=0.9)))

    assert similarity(tensor, plain("3", pen=0.12, height=0.9)) > (0.75 if size < 16 else 0.9)


BLANK = {
    **{
        name: 230 * LIGHTS[name](SIZE)
        for name in ("even", "dim", "from the left", "from above", "from a corner", "soft shadow")
    },
    "texture": 200 + noise(SIZE, 6, grain=2),
    "coarse texture": 200 + noise(SIZE, 6, grain=4),
    "slight noise": 150 + noise(SIZE, 5),
    "strong noise": 150 + noise(SIZE, 40),
    "noise of 28 × 28 pixels": np.random.default_rng(1).integers(0, 256, (28, 28)).astype(np.float32),
    "salt": np.where(np.random.default_rng(1).random((SIZE, SIZE)) < 0.03, 0, 230).astype(np.float32),
    "ruled": 230 - ruled(SIZE, 40, 10, 2),
    "ruled darkly": 230 - ruled(SIZE, 40, 10, 2, 150),
}


@pytest.mark.parametrize("name", BLANK)
def test_paper_without_writing_is_refused(name: str) -> None:
    with pytest.raises(NoInk):
        tensor_of(BLANK[name])


@pytest.mark.parametrize(("image_format", "seconds", "megabytes"), [("JPEG", 30, 250), ("PNG", 60, 350)])
def test_40_megapixels_take_bounded_time_and_memory(image_format: str, seconds: float, megabytes: float) -> None:
    large = Image.fromarray(to_bytes(on_paper(drawn("5", 700)))).resize((6300, 6300))
    buffer = io.BytesIO()
    large.save(buffer, image_format, **({"compress_level": 1} if image_format == "PNG" else {}))
    code = (
        "import re, sys; from handwriting.image import decode; from handwriting.preprocess import to_tensor;"
        "tensor = to_tensor(decode(sys.stdin.buffer.read()));"
        "print(tensor.any(), int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()).group(1)) / 1024)"
    )

    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], input=buffer.getvalue(), capture_output=True, check=True)

    has_ink, used = done.stdout.split()
    assert has_ink == b"True"
    assert float(used) < megabytes
    assert time.perf_counter() - start < seconds
