"""Makes the golden pictures, and writes what preprocessing makes of them.

    PYTHONPATH=. .venv/bin/python tests/golden/make_preprocess.py             expected.png anew, after a deliberate change
    PYTHONPATH=. .venv/bin/python tests/golden/make_preprocess.py --pictures  the pictures too

Look at the difference of expected.png before committing it: models are trained with what it shows.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from handwriting.image import decode
from handwriting.preprocess import to_tensor
from tests.golden.pictures import LIGHTS, Grey, drawn, framed, noise, on_paper, ruled, to_bytes

FOLDER = Path(__file__).parent / "preprocess"
EXPECTED = FOLDER / "expected.png"
"""The tensors below one another, in the order of the pictures' names."""

SIZE = 120


def main() -> None:
    if "--pictures" in sys.argv[1:]:
        for old in pictures():
            old.unlink()
        for name, content in (*photographed(), *encoded_otherwise()):
            (FOLDER / name).write_bytes(content)
    tensors = [to_tensor(decode(path.read_bytes())) for path in pictures()]
    Image.fromarray(np.vstack(tensors)).save(EXPECTED, optimize=True)
    print(f"{EXPECTED}: {len(tensors)} tensors")


def pictures() -> list[Path]:
    return sorted(path for path in FOLDER.iterdir() if path != EXPECTED)


def photographed() -> Iterator[tuple[str, bytes]]:
    """Light, paper, pens and neighbours."""
    for name, light in LIGHTS.items():
        yield f"light {name}.jpg", jpeg(on_paper(drawn("2", SIZE)) * light(SIZE))
    five, small = drawn("5", SIZE), drawn("5", SIZE, height=0.5)
    yield "paper ruled beside.png", png(on_paper(small) - ruled(SIZE, 96, 12, 1))
    yield "paper ruled through.png", png(on_paper(five) - ruled(SIZE, 30, 12, 2, 120))
    yield "paper squared.png", png(on_paper(five) - ruled(SIZE, 15, 5, 1, 40, both=True))
    yield "paper boxed.png", png(on_paper(small) - framed(SIZE, 8))
    yield "paper boxed at the edge.png", png(on_paper(small) - framed(SIZE, 0, 4))
    yield "paper boxed and touched.png", png(on_paper(drawn("7", SIZE, height=0.88)) - framed(SIZE, 8))
    yield "paper of two tones.png", png(on_paper(five, paper=np.where(np.arange(SIZE) > 60, 230, 150).astype(np.float32)))
    yield "paper textured.jpg", jpeg(on_paper(five, 90, 200) + noise(SIZE, 10, grain=3))
    yield "pen faint pencil.png", png(on_paper(drawn("3", SIZE, pen=0.03), 205, 232) + noise(SIZE, 1.5))
    yield "pen fine.png", png(on_paper(drawn("3", SIZE, pen=0.015)))
    yield "pen thick marker.png", png(on_paper(drawn("3", SIZE, pen=0.18, height=0.85)))
    yield "pen fills the image.png", png(on_paper(drawn("8", SIZE, pen=0.2, height=1)))
    yield "polarity chalk.png", png(on_paper(drawn("3", SIZE), 230, 50))
    yield "polarity chalk under a lamp.jpg", jpeg(on_paper(drawn("3", SIZE), 230, 50) * LIGHTS["falling off"](SIZE))
    yield "neighbours on both sides.png", png(on_paper(_with_neighbours()))
    yield "neighbour below.png", png(on_paper(np.maximum(drawn("3", SIZE), drawn("0", SIZE, shift=(0, 0.72)))))
    for size in (8, 12, 16, 28):
        yield f"size {size:02}.png", png(on_paper(drawn("4", size, pen=0.12, height=0.9)))
    yield "size small on large.png", png(on_paper(drawn("5", 640, pen=0.008, height=0.08, shift=(0.2, 0.1))))
    yield "noise of a sensor.jpg", jpeg(on_paper(drawn("4", SIZE), 60, 200) + noise(SIZE, 12))
    yield "noise of JPEG.jpg", jpeg(on_paper(drawn("8", SIZE), 90, 220) + noise(SIZE, 6), quality=8)


def _with_neighbours() -> Grey:
    sides = np.maximum(drawn("5", SIZE, height=0.7, shift=(-0.52, 0)), drawn("3", SIZE, height=0.7, shift=(0.54, 0)))
    return np.maximum(drawn("2", SIZE, height=0.7), sides)


def encoded_otherwise() -> Iterator[tuple[str, bytes]]:
    """Transparency, colours, depths, orientation and formats."""
    cover = drawn("7", SIZE)
    alpha = Image.fromarray(to_bytes(cover * 255))
    for name, ink in (("black", 0), ("white", 255)):
        layer = Image.new("LA", alpha.size, ink)
        layer.putalpha(alpha)
        yield f"encoded transparent {name}.png", encoded(layer, "PNG", optimize=True)
    planes = [to_bytes(on_paper(cover, ink, paper)) for ink, paper in ((30, 235), (60, 225), (170, 190))]
    yield "encoded in colour.png", encoded(Image.fromarray(np.dstack(planes)), "PNG", optimize=True)
    grey = Image.fromarray(to_bytes(on_paper(cover)))
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "encoded turned by EXIF.jpg", encoded(grey.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    yield "encoded 16 bits.png", encoded(Image.fromarray(np.asarray(grey, np.uint16) * 257), "PNG", optimize=True)
    yield "encoded 1 bit.png", encoded(grey.convert("1"), "PNG", optimize=True)
    yield "encoded palette.gif", encoded(grey.convert("P"), "GIF")
    yield "encoded.webp", encoded(grey, "WEBP", lossless=True)


def png(grey: Grey) -> bytes:
    return encoded(Image.fromarray(to_bytes(grey)), "PNG", optimize=True)


def jpeg(grey: Grey, quality: int = 85) -> bytes:
    return encoded(Image.fromarray(to_bytes(grey)), "JPEG", quality=quality)


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
