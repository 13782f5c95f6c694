"""Small valid images of every format and kind, for the fuzzer to begin with."""

import numpy as np
from PIL import Image

from tests.hostile import HOSTILE, bmp, encoded

_LONGEST = 8192
_TIFF = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma", "group3", "group4")
_WRITERS: tuple[tuple[str, dict[str, object]], ...] = (
    ("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("BMP", {}),
    ("GIF", {}), *(("TIFF", {"compression": name}) for name in _TIFF),
)  # fmt: skip


def seeds() -> dict[str, bytes]:
    """Their bytes by name: digits' strokes of 20 × 30 pixels in each format and mode, and those hostile ones that are small."""
    made = {
        f"{mode} {kind}": data for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK") for kind, data in _kinds(mode)
    }
    made["runs of 8 bits"] = bmp(20, 30, (b"\x14\1" + b"\0\0") * 30 + b"\0\1")
    made["runs of 4 bits"] = bmp(20, 30, (b"\x14\x12" + b"\0\0") * 30 + b"\0\1", 4)
    small = {
        name: hostile.make()
        for name, hostile in HOSTILE.items()
        if "mega" not in name and "MB" not in name and "00" not in name
    }
    return made | {f"hostile {name.replace('/', ' ')}": data for name, data in small.items() if len(data) <= _LONGEST}


def _kinds(mode: str) -> list[tuple[str, bytes]]:
    image = _stroke(mode)
    found = []
    for number, (image_format, chosen) in enumerate(_WRITERS):
        try:
            found.append((f"{number} {image_format}", encoded(image, image_format, **chosen)))
        except (OSError, ValueError, KeyError, RuntimeError):
            continue  # the format has no such mode
    return found


def _stroke(mode: str) -> Image.Image:
    pixels = np.full((30, 20), 255, np.uint8)
    pixels[5:25, 8:12] = 0
    grey = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(pixels.astype(np.uint16) * 257)
    return grey.convert(mode)
