"""Image files that are made to hurt: small ones that become large or take long, cyclic, contradictory and broken ones."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from handwriting.errors import ImageError, ImageTooLarge, NoInk, UnsupportedImage

SIDE = 6324  # of a square of just under 40 million pixels


@dataclass(frozen=True)
class Hostile:
    """How it is made, and what may be said of it: one of these errors, or None where it is read."""

    make: Callable[[], bytes]
    answers: tuple[type[ImageError] | None, ...]


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 0, between: bytes = b"", interlaced: bool = False) -> bytes:
    """A black PNG of any size, of a few bytes per megapixel; `between` are chunks before its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    compressor = zlib.compressobj(9)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = bytearray()
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        row = bytes((columns * channels * depth + 7) // 8 + 1)
        for first in range(0, rows, 256):
            data += compressor.compress(row * min(256, rows - first))
    data += compressor.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + header + palette + between + chunk(b"IDAT", bytes(data)) + chunk(b"IEND", b"")


_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def packed(size: int) -> bytes:
    """That many zero bytes, compressed."""
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compressor.flush()


def bmp(width: int, height: int, runs: bytes, bits: int = 8) -> bytes:
    """A run-length encoded BMP."""
    offset = 54 + 4 * (1 << bits)
    encoding = {8: 1, 4: 2}[bits]
    head = b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, encoding, len(runs), 0, 0, 1 << bits, 0)
    return head + info + bytes(4 * (1 << bits)) + runs


def jpeg(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    once = encoded(Image.new("L", (side, side), 200), "JPEG", progressive=True)
    begin, end = once.rfind(b"\xff\xda"), once.rfind(b"\xff\xd9")
    return once[:begin] + once[begin:end] * scans + once[end:]


def tiff(entries: dict[int, tuple[int, int, int]], next_directory: int = 0, tail: bytes = b"") -> bytes:
    """A TIFF of one directory at byte 8: tag → type, count, value or offset."""
    lines = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + lines + struct.pack("<I", next_directory) + tail


def _tiff_entries(width: int = 28, height: int = 28, **others: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    plain = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
        277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height),
    }  # fmt: skip
    return {**plain, **{int(tag[1:]): entry for tag, entry in others.items()}}


def animation(image_format: str, frames: int = 300) -> bytes:
    pages = [Image.new("RGB", (100, 100), (number % 250, 40, 90)) for number in range(frames)]
    return encoded(pages[0], image_format, save_all=True, append_images=pages[1:])


def gif_with_a_frame_beyond_its_screen() -> bytes:
    data = bytearray(encoded(Image.new("P", (100, 100)), "GIF"))
    frame = data.find(b"\x2c", 13)
    data[frame + 5 : frame + 9] = struct.pack("<HH", 65535, 65535)
    return bytes(data)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def stroke(image_format: str = "PNG", **options: object) -> bytes:
    """A readable picture of a stroke."""
    pixels = np.full((60, 50), 255, np.uint8)
    pixels[10:50, 22:28] = 0
    return encoded(Image.fromarray(pixels), image_format, **options)


def _noise(side: int, share: float) -> bytes:
    random = np.random.default_rng(1)
    return encoded(Image.fromarray(((random.random((side, side)) > share) * 255).astype(np.uint8)), "PNG")


_WIDE = (ImageTooLarge,)
_BLANK = (NoInk,)
_BROKEN = (UnsupportedImage,)
_READ = (None,)
_ANYTHING = UnsupportedImage, NoInk, ImageTooLarge, None

HOSTILE: dict[str, Hostile] = {
    "PNG of 81 megapixels": Hostile(lambda: png(9000, 9000), _WIDE),
    "PNG of 40 million pixels in a row": Hostile(lambda: png(40_000_000, 1), _WIDE),
    "PNG of 40 million rows": Hostile(lambda: png(1, 40_000_000), _WIDE),
    "PNG of 2 billion by 2 billion": Hostile(lambda: _with_size(png(28, 28), 2**31 - 1), _WIDE + _BROKEN),
    "PNG, grey, 40 megapixels": Hostile(lambda: png(SIDE, SIDE), _BLANK),
    "PNG, transparent in 16 bits, 40 megapixels": Hostile(lambda: png(SIDE, SIDE, 16, 6), _WIDE),
    "PNG, transparent in 16 bits, 16 megapixels": Hostile(lambda: png(4000, 4000, 16, 6), _BLANK),
    "PNG, transparent, 40 megapixels": Hostile(lambda: png(SIDE, SIDE, 8, 6), _BLANK),
    "PNG, grey in 16 bits, 40 megapixels": Hostile(lambda: png(SIDE, SIDE, 16, 0), _BLANK),
    "PNG, palette, transparent, 40 megapixels": Hostile(lambda: png(SIDE, SIDE, 8, 3, chunk(b"tRNS", bytes(256))), _BLANK),
    "PNG, interlaced, 40 megapixels": Hostile(lambda: png(SIDE, SIDE, 8, 6, interlaced=True), _BLANK),
    "PNG with a text of 256 MB": Hostile(lambda: png(28, 28, between=chunk(b"zTXt", b"k\0\0" + packed(1 << 28))), _BROKEN),
    "PNG with an international text of 256 MB": Hostile(
        lambda: png(28, 28, between=chunk(b"iTXt", b"k\0\1\0\0\0" + packed(1 << 28))), _BROKEN
    ),
    "PNG with a colour profile of 256 MB": Hostile(
        lambda: png(28, 28, between=chunk(b"iCCP", b"k\0\0" + packed(1 << 28))), _BROKEN
    ),
    "PNG with 9,000 texts of 1 MB": Hostile(
        lambda: png(28, 28, between=chunk(b"zTXt", b"k\0\0" + packed(1 << 20)[:1000]) * 9000), _BROKEN
    ),
    "PNG with 65,535 EXIF tags": Hostile(
        lambda: png(28, 28, between=chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x0112, 3, 1, 6) * 65535)),
        _BLANK,
    ),
    "JPEG of 1,000 scans, 40 megapixels": Hostile(lambda: jpeg(SIDE, 1000), _WIDE),
    "JPEG of 100,000 scans": Hostile(lambda: jpeg(28, 100_000), _WIDE),
    "JPEG of 20 scans, 40 megapixels": Hostile(lambda: jpeg(SIDE, 15), _BLANK),
    "JPEG, CMYK, 40 megapixels": Hostile(lambda: encoded(Image.new("CMYK", (SIDE, SIDE)), "JPEG"), _BLANK),
    "BMP in runs, 40 megapixels": Hostile(lambda: bmp(SIDE, SIDE, b"\0\1"), _WIDE),
    "BMP in runs that do nothing": Hostile(lambda: bmp(1400, 1400, b"\0\2\0\0" * 1_000_000), _BROKEN),
    "BMP in runs that do nothing, 9 MB": Hostile(lambda: bmp(1400, 1400, b"\0\0" * 4_700_000), _WIDE),
    "BMP in runs of 1": Hostile(lambda: bmp(1400, 1400, (b"\1\7" * 1400 + b"\0\0") * 1400 + b"\0\1"), _BLANK),
    "BMP in runs of 4 bits": Hostile(
        lambda: bmp(1400, 1400, (b"\xff\x77" * 5 + bytes([125, 0x77]) + b"\0\0") * 1400 + b"\0\1", 4), _BLANK
    ),
    "BMP of 1 bit, 40 megapixels": Hostile(lambda: encoded(Image.new("1", (SIDE, SIDE)), "BMP"), _BLANK),
    "GIF of 40 megapixels": Hostile(lambda: encoded(Image.new("P", (SIDE, SIDE)), "GIF"), _BLANK),
    "GIF with a frame beyond its screen": Hostile(gif_with_a_frame_beyond_its_screen, _WIDE),
    "WebP of 16 megapixels in 700 bytes": Hostile(
        lambda: encoded(Image.new("RGBA", (4000, 4000)), "WEBP", lossless=True), _BLANK
    ),
    "WebP of 25 megapixels": Hostile(lambda: encoded(Image.new("L", (5000, 5000)), "WEBP"), _WIDE),
    **{
        f"TIFF, {name}, 16 megapixels": Hostile(
            lambda name=name, mode=mode: encoded(Image.new(mode, (4000, 4000), 1), "TIFF", compression=name), _BLANK
        )  # type: ignore[misc]
        for name, mode in (
            ("tiff_lzw", "L"),
            ("tiff_adobe_deflate", "L"),
            ("tiff_deflate", "F"),
            ("packbits", "L"),
            ("jpeg", "RGB"),
            ("zstd", "I;16"),
            ("lzma", "L"),
            ("group3", "1"),
            ("group4", "1"),
            ("tiff_ccitt", "1"),
        )
    },
    "TIFF of 17 megapixels": Hostile(lambda: encoded(Image.new("1", (4200, 4200)), "TIFF", compression="group4"), _WIDE),
    "TIFF whose directory leads back to itself": Hostile(
        lambda: tiff(_tiff_entries(), next_directory=8, tail=bytes(784)), _ANYTHING
    ),
    "TIFF whose EXIF directory is the directory": Hostile(
        lambda: tiff(_tiff_entries(_34665=(4, 1, 8), _330=(4, 1, 8)), tail=bytes(784)), _ANYTHING
    ),
    "TIFF with a strip of 4 GB": Hostile(lambda: tiff(_tiff_entries(_279=(4, 1, 2**32 - 1))), _ANYTHING),
    "TIFF with a strip beyond its end": Hostile(lambda: tiff(_tiff_entries(_273=(4, 1, 2**31))), _ANYTHING),
    "TIFF with 4 billion strips": Hostile(lambda: tiff(_tiff_entries(_273=(4, 2**32 - 1, 8))), _ANYTHING),
    "TIFF with tiles of 4 billion by 4 billion": Hostile(
        lambda: tiff(
            _tiff_entries(_259=(3, 1, 8), _322=(4, 1, 2**32 - 16), _323=(4, 1, 2**32 - 16), _324=(4, 1, 8), _325=(4, 1, 100))
        ),
        _ANYTHING,
    ),
    "TIFF with 65,535 samples per pixel": Hostile(lambda: tiff(_tiff_entries(_277=(3, 1, 65535))), _ANYTHING),
    "TIFF of no size": Hostile(lambda: tiff(_tiff_entries(width=0)), _ANYTHING),
    "a page of noise": Hostile(lambda: _noise(2000, 0.9), _BLANK),
    **{
        f"{name} cut in half": Hostile(lambda name=name: cut(stroke(name)), _BROKEN)  # type: ignore[misc]
        for name in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
    },
    **{
        f"{name} of 300 frames": Hostile(lambda name=name: animation(name), _BLANK)  # type: ignore[misc]
        for name in ("PNG", "WEBP", "GIF", "TIFF")
    },
    "a PNG that goes on as a web page": Hostile(lambda: stroke() + b"<html><script>alert(1)</script>", _READ),
    "a JPEG that goes on as an archive": Hostile(lambda: stroke("JPEG") + b"PK\5\6" + bytes(18), _READ),
    "a GIF that begins like a script": Hostile(lambda: stroke("GIF") + b"=1;alert(1)", _READ),
    "a PDF that goes on as a PNG": Hostile(lambda: b"%PDF-1.7\n" + stroke(), _BROKEN),
    "a PNG's signature and nothing": Hostile(lambda: b"\x89PNG\r\n\x1a\n", _BROKEN),
    "two PNGs in one": Hostile(lambda: stroke() + png(9000, 9000), _READ),
}


def _with_size(data: bytes, side: int) -> bytes:
    """The PNG with another size in its header."""
    header = chunk(b"IHDR", struct.pack(">II", side, side) + data[24:29])
    return data[:8] + header + data[33:]
