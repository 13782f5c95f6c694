"""Decoding: what is read, and what is refused."""

import base64
import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from handwriting.errors import ImageTooLarge, InvalidBase64, UnsupportedImage
from handwriting.image import decode, from_base64, open_image


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def stroke(mode: str = "L", paper: object = 255, ink: object = 0) -> Image.Image:
    """20 × 30 pixels, ink in the columns 8 to 11."""
    image = Image.new(mode, (20, 30), paper)
    image.paste(ink, (8, 5, 12, 25))
    return image


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_accepted_format_is_read(image_format: str) -> None:
    pixels = decode(encoded(stroke(), image_format))

    assert pixels.shape == (30, 20)
    assert pixels.dtype == np.uint8
    assert pixels[15, 9] < 40
    assert pixels[15, 2] > 215


@pytest.mark.parametrize(
    "image",
    [
        stroke("1", 1, 0),
        stroke("RGB", (255, 255, 255), (0, 0, 0)),
        stroke("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),
        stroke("LA", (255, 0), (0, 255)),
        stroke("P", 255, 0),
        stroke("I;16", 65535, 0),
    ],
    ids=["1 bit", "RGB", "transparent", "grey and alpha", "palette", "16 bits"],
)
def test_every_kind_of_pixel_becomes_the_same_grey(image: Image.Image) -> None:
    if image.mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])

    pixels = decode(encoded(image))

    assert pixels[15, 9] < 5
    assert pixels[15, 2] > 250


def test_cmyk_is_read() -> None:
    pixels = decode(encoded(stroke("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), "JPEG"))

    assert pixels[15, 9] < 60
    assert pixels[15, 2] > 200


def test_white_chalk_on_a_transparent_ground_does_not_vanish() -> None:
    pixels = decode(encoded(stroke("RGBA", (0, 0, 0, 0), (255, 255, 255, 255))))

    assert pixels[15, 9] > 250
    assert pixels[15, 2] < 5


@pytest.mark.parametrize(("orientation", "row", "column"), [(1, 0, 0), (3, 29, 19), (6, 0, 29), (8, 19, 0)])
def test_an_image_is_turned_as_exif_says(orientation: int, row: int, column: int) -> None:
    image = Image.new("L", (20, 30), 255)
    image.putpixel((0, 0), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation

    pixels = decode(encoded(image, exif=exif))

    assert pixels[row, column] == 0
    assert np.count_nonzero(pixels == 0) == 1


def test_one_pixel_of_height_is_read() -> None:
    assert decode(encoded(Image.new("L", (50, 1), 255))).shape == (1, 50)


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [stroke(), Image.new("L", (20, 30), 0)]

    pixels = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))

    assert pixels[15, 2] > 250


def test_a_large_photo_is_reduced_while_it_is_decoded() -> None:
    pixels = decode(encoded(Image.new("L", (4000, 3000), 200), "JPEG"))

    assert 1000 <= max(pixels.shape) <= 2048


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + chunks


def webp_of_size(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize("data", [png_of_size(9000, 9000), webp_of_size(16000, 16000)], ids=["PNG", "WebP"])
def test_too_many_pixels_are_refused_by_the_header(data: bytes) -> None:
    start = time.perf_counter()

    with pytest.raises(ImageTooLarge, match=r"pixels; at most (40|16) million"):
        open_image(data)
    assert time.perf_counter() - start < 0.5


def plain_png(width: int, height: int, rows: bytes, compressed: bytes | None = None) -> bytes:
    """A greyscale PNG of these rows, each with its filter's number before it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows) if compressed is None else compressed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


@pytest.mark.parametrize("number", range(5))
def test_a_plain_png_is_decoded_as_pillow_does_it(number: int) -> None:
    random = np.random.default_rng(number)
    for width, height in ((28, 28), (1, 1), (1, 300), (255, 257), (65_535, 1)):
        values = random.integers(0, 256, (height, width + 1), np.uint8)
        values[:, 0] = number  # the filter
        data = plain_png(width, height, values.tobytes())
        opened = open_image(data)

        assert type(opened).__name__ == "_PlainPng"
        assert (opened.upright_size, opened.pixel_count) == ((width, height), width * height)
        assert np.array_equal(opened.decode(100_000), np.asarray(Image.open(io.BytesIO(data)).convert("L")))
        assert opened.decode(100).shape == (
            -(-height // max(1, max(width, height) // 100)),
            -(-width // max(1, max(width, height) // 100)),
        )


def test_a_plain_png_that_is_not_whole_is_pillows_to_judge() -> None:
    rows = b"\0".join([b"", *[bytes(range(28))] * 28])
    compressed = zlib.compress(rows)
    broken = (
        plain_png(28, 28, rows[:-1]),
        plain_png(28, 28, rows + rows),
        plain_png(28, 28, b"\x05" + rows[1:]),
        plain_png(28, 28, b"", compressed[:-4]),
        plain_png(28, 28, b"", compressed[:-1] + b"!"),
        plain_png(28, 28, b"", compressed + b"more"),
        plain_png(28, 28, b"", b""),
        plain_png(0, 28, rows),
        plain_png(65_536, 1, b"\0" * 65_537),
    )
    for data in broken:
        try:
            opened = open_image(data)
        except (ImageTooLarge, UnsupportedImage):
            continue
        assert type(opened).__name__ == "OpenImage"


def test_no_changed_byte_of_a_plain_png_goes_unnoticed() -> None:
    values = np.random.default_rng(0).integers(0, 256, (8, 9), np.uint8)
    values[:, 0] = 4
    data = plain_png(8, 8, values.tobytes())
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 + place % 255
        try:
            opened = open_image(bytes(changed))
        except (ImageTooLarge, UnsupportedImage):
            continue
        assert type(opened).__name__ == "OpenImage"


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="at most 10,485,760"):
        open_image(b"\0" * (10 * 2**20 + 1))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b"hello, world", "no image"),
        (b"%PDF-1.7\n...", "PDF.*pdftoppm"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC.*JPEG"),
    ],
)
def test_what_is_no_accepted_image_is_refused_with_a_way_out(data: bytes, told: str) -> None:
    with pytest.raises(UnsupportedImage, match=told):
        decode(data)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_truncated_image_is_refused(image_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8))
    data = encoded(noise, image_format)

    with pytest.raises(UnsupportedImage):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    "text",
    [
        "aGVsbG8/Pz8+",
        "aGVsbG8_Pz8-",
        "aGVs\r\nbG8/\nPz8+",
        "data:image/png;base64,aGVsbG8/Pz8+",
        b"aGVsbG8/Pz8+",
        " aGVsbG8/Pz8+ ",
    ],
)
def test_every_usual_way_to_write_base64_is_read(text: str | bytes) -> None:
    assert from_base64(text) == b"hello???>"


def test_base64_without_padding_is_read() -> None:
    assert from_base64("aGVsbG8") == b"hello"


@pytest.mark.parametrize("text", ["a", "****", "aGVsb*8=", "grüße", "data:image/png,abc", "aGVs=bG8"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidBase64):
        from_base64(text)


def test_all_bytes_survive_base64() -> None:
    data = bytes(range(256))

    assert from_base64(base64.b64encode(data)) == data
