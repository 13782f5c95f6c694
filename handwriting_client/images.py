"""An image in one of the ways that Python programs have it → an image file."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Protocol, cast


class PillowImage(Protocol):
    """What is used of a PIL.Image.Image."""

    @property
    def mode(self) -> str: ...

    def save(self, fp: Any, format: str, /, **params: Any) -> None: ...

    def getexif(self) -> Any: ...


class PixelArray(Protocol):
    """What is used of a numpy.ndarray: uint8, shape (height, width), or (height, width, 3 or 4) for RGB and RGBA."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def tobytes(self) -> bytes: ...


Image = bytes | str | os.PathLike[str] | PillowImage | PixelArray
"""An image file's bytes, or its path; or an image of Pillow or numpy."""

_PNG_MODES = ("1", "I", "I;16", "L", "LA", "P", "RGB", "RGBA")
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # of PNG, by samples of a pixel (W3C PNG, section 11.2.1)


def to_file(image: Image) -> bytes:
    """The image as a file: the bytes as they are, or a PNG of the pixels (a TIFF of what PNG cannot hold).

    Raises:
        TypeError: it is no image.
        ValueError: the array's shape is none of an image.
        OSError: there is no such file.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    if hasattr(image, "dtype") and hasattr(image, "shape"):
        return _png(cast(PixelArray, image))
    if hasattr(image, "save") and hasattr(image, "mode"):
        return _saved(image)
    told = "bytes, a path, a Pillow image or a numpy array"
    raise TypeError(f"the image is of type {type(image).__name__}; {told} is expected")


def _saved(image: PillowImage) -> bytes:
    buffer = io.BytesIO()
    exif = image.getexif()  # which says how the image is turned
    image.save(buffer, "PNG" if image.mode in _PNG_MODES else "TIFF", **({"exif": exif} if exif else {}))
    return buffer.getvalue()


def _png(array: PixelArray) -> bytes:
    if str(array.dtype) != "uint8":
        raise TypeError(f"the array is of type {array.dtype}; uint8 is expected, 0 for black and 255 for white")
    samples = array.shape[2] if len(array.shape) == 3 else 1
    if len(array.shape) not in (2, 3) or samples not in _COLOUR_TYPES or not all(array.shape):
        raise ValueError(f"the array has shape {array.shape}; (height, width), or with 3 or 4 for RGB or RGBA, is expected")
    height, width = array.shape[:2]
    pixels, stride = array.tobytes(), width * samples
    rows = b"".join(b"\0" + pixels[first : first + stride] for first in range(0, len(pixels), stride))  # 0: no filter
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[samples], 0, 0, 0)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 1)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
