"""From what a client sends to greyscale pixels."""

import base64
import binascii
import io
import re
import struct
import warnings
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (  # the plugins too: one that is missing makes Pillow load all that it has, in the first request
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from handwriting.errors import ImageTooLarge, InvalidBase64, UnsupportedImage

FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        TiffImagePlugin.TiffImageFile,
    )
)
MAX_BYTES = 10 << 20
MAX_PIXELS = 40_000_000
MAX_PIXELS_OF_SLOW_FORMATS = 16_000_000
"""WebP, TIFF, and PNG with more than one channel of 16 bits take several times as long to decode as the others."""
MAX_PIXELS_OF_RUNS = 2_000_000
MAX_BYTES_OF_RUNS = 4 << 20
"""The same for run-length encoded BMP, which Pillow decodes in Python."""
MAX_SIDE = 65_535
"""More than that on one side is no picture of writing, and Pillow keeps a pointer for each row."""
MAX_SCANS = 1000
MAX_PIXELS_OF_SCANS = 1_000_000_000
"""A progressive JPEG is gone through once for each of its scans; usual ones have about ten."""
WORKING_SIZE = 960
"""The longer side, in pixels, that a large image is reduced towards while it is decoded; never below it."""
FIELD_SIZE = 2048
"""The same for an image of a field, on which characters are small."""

Pixels = NDArray[np.uint8]
"""A greyscale image, upright: uint8, shape (height, width), 0 black, 255 white."""

Image.MAX_IMAGE_PIXELS = None  # our own limits are lower, and their error says more
warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with an image is its sender's to know

_DATA_URI = re.compile(rb"\s*data:[^,]{0,200},")
_WHITE_SPACE = b" \t\r\n\f\v"
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ORIENTATION = 0x0112  # the EXIF tag
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PLAIN = b"\x08\0\0\0\0"  # of a PNG's header: eight bits, grey, deflated, the five filters, not interlaced
_LAST_PNG_FILTER = 4
_AROUND_PLAIN_DATA = 57  # bytes of a plain PNG beside its compressed pixels
_PLAIN_PNG_PIXELS = 1 << 16
_SCAN = b"\xff\xda"  # the marker that begins one; in compressed data 0xFF is never followed by this
_RUN_LENGTH_ENCODINGS = (1, 2)  # BI_RLE8 and BI_RLE4 of a BMP's header
_STRIP_PIXELS = 1 << 20
_WEBP_MEMORY = 3  # times that of others: its decoder holds two canvases and a copy
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_MAY_TELL_ORIENTATION = frozenset(("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"))  # keys of Image.info
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


class OpenImage:
    """An image whose header has been read and whose size is within the limits; not decoded yet."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self._size = image.size
        self.format = image.format or ""
        self.pixel_count = image.width * image.height
        self.memory_pixels = self.pixel_count * (_WEBP_MEMORY if image.format == "WEBP" else 1)
        """As many pixels of another format take the memory that decoding this one takes."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the image as it is looked at, before any reduction; known once it is decoded."""
        width, height = self._size
        return (height, width) if _orientation(self._image) in _SIDEWAYS else (width, height)

    def decode(self, longest: int = WORKING_SIZE) -> Pixels:
        """The image in grey, upright, over its paper where it is transparent; a large one reduced towards `longest` pixels.

        Raises:
            UnsupportedImage: it is truncated or otherwise broken.
        """
        image = self._image
        try:
            if image.format == "JPEG":
                image.draft("L", _fitting(image.size, longest))
            image.load()
            return np.asarray(_upright(image, _in_grey(image, max(1, max(image.size) // longest))))
        except Exception as error:  # Pillow's parsers raise a dozen kinds on a broken file
            raise UnsupportedImage(f"the {image.format} image is truncated or broken: {error}") from error


class _PlainPng(OpenImage):
    """A small greyscale PNG with nothing in it but its pixels, as data sets have them: decoded in a quarter of the time."""

    def __init__(self, data: bytes, width: int, height: int) -> None:
        self._data = data
        self._size = (width, height)
        self.format = "PNG"
        self.pixel_count = self.memory_pixels = width * height

    @property
    def upright_size(self) -> tuple[int, int]:
        return self._size

    def decode(self, longest: int = WORKING_SIZE) -> Pixels:
        pixels = cv2.imdecode(np.frombuffer(self._data, np.uint8), cv2.IMREAD_UNCHANGED)
        width, height = self._size
        if max(self._size) >= 2 * longest or pixels is None or pixels.shape != (height, width):
            return OpenImage(Image.open(io.BytesIO(self._data), formats=["PNG"])).decode(longest)
        return np.asarray(pixels, np.uint8)


def _plain_png(data: bytes) -> _PlainPng | None:
    """The image if it is one of those and whole; OpenCV's decoder, libpng, has nothing to complain of then (PNG, 3rd ed.)."""
    if data[:16] != _PNG_START or data[24:29] != _PLAIN or data[37:41] != b"IDAT" or data[-12:] != _PNG_END:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    (length,) = struct.unpack_from(">I", data, 33)
    if not 0 < width * height < _PLAIN_PNG_PIXELS or len(data) != _AROUND_PLAIN_DATA + length:
        return None
    content = data[37 : 41 + length]
    if zlib.crc32(data[12:29]).to_bytes(4) != data[29:33] or zlib.crc32(content).to_bytes(4) != data[41 + length : 45 + length]:
        return None
    inflater = zlib.decompressobj()
    try:
        rows = inflater.decompress(content[4:], (width + 1) * height + 1)
    except zlib.error:
        return None
    is_whole = inflater.eof and not inflater.unused_data and len(rows) == (width + 1) * height
    return _PlainPng(data, width, height) if is_whole and max(rows[:: width + 1]) <= _LAST_PNG_FILTER else None


def from_base64(text: str | bytes) -> bytes:
    """The bytes of a base64 text: plain or URL-safe, with or without padding, line breaks and a data URI's prefix.

    Raises:
        InvalidBase64: it is none of these.
    """
    try:
        data = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise InvalidBase64(f"the image is no base64: it holds {text[error.start]!r} at position {error.start}") from None
    if prefix := _DATA_URI.match(data):
        if not prefix.group().rstrip(b",").endswith(b";base64"):
            raise InvalidBase64("the image is a data URI without ;base64")
        data = data[prefix.end() :]
    data = data.translate(_FROM_URL_SAFE, delete=_WHITE_SPACE).rstrip(b"=")
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error as error:
        raise InvalidBase64(f"the image is no base64: {error}") from None


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def to_png(pixels: Pixels) -> bytes:
    """The pixels as a PNG file."""
    return bytes(cv2.imencode(".png", pixels)[1])


def open_image(data: bytes) -> OpenImage:
    """The image, its header read and checked; nothing is decoded.

    Raises:
        ImageTooLarge: more than MAX_BYTES bytes or MAX_PIXELS pixels.
        UnsupportedImage: the bytes are no image of one of FORMATS.
    """
    if len(data) > MAX_BYTES:
        raise ImageTooLarge(f"image file has {len(data):,} bytes; at most {MAX_BYTES:,} are accepted")
    if plain := _plain_png(data):
        return plain
    if size := _webp_size(data):  # Pillow's WebP parser allocates the canvas as it opens the file
        _check_size("WebP", *size, MAX_PIXELS_OF_SLOW_FORMATS)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # as in OpenImage.decode
        raise UnsupportedImage(_why_unsupported(data)) from error
    _check_size(image.format or "", image.width, image.height, MAX_PIXELS_OF_SLOW_FORMATS if _is_slow(image) else MAX_PIXELS)
    _check_work(image, data)
    return OpenImage(image)


def decode(data: bytes) -> Pixels:
    """The image file's greyscale pixels: `open_image` and `OpenImage.decode` in one."""
    return open_image(data).decode()


def _is_slow(image: Image.Image) -> bool:
    if isinstance(image, PngImagePlugin.PngImageFile):
        return not image.mode.startswith("I") and any(str(tile.args).endswith(";16B") for tile in image.tile)
    return image.format in ("WEBP", "TIFF")


def _check_size(image_format: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ImageTooLarge(
            f"image is {width} × {height} pixels; at most {limit // 1_000_000} million are accepted of such a {image_format}"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageTooLarge(f"image is {width} × {height} pixels; at most {MAX_SIDE:,} are accepted on a side")
    if width < 1 or height < 1:
        raise UnsupportedImage(f"image is {width} × {height} pixels; at least 1 × 1 is accepted")


def _check_work(image: Image.Image, data: bytes) -> None:
    """Refuses files that are made to take long: small, and gone through again and again, or decoded pixel by pixel.

    Raises:
        ImageTooLarge: it is one of them.
    """
    pixels = image.width * image.height
    if image.format == "JPEG":
        scans = data.count(_SCAN)
        if scans > MAX_SCANS or scans * pixels > MAX_PIXELS_OF_SCANS:
            raise ImageTooLarge(
                f"JPEG image has {scans:,} scans of {image.width} × {image.height} pixels; at most {MAX_SCANS:,} scans and "
                f"{MAX_PIXELS_OF_SCANS // 1_000_000:,} million pixels in all of them are accepted: save it as baseline JPEG"
            )
    is_in_runs = image.format == "BMP" and image.info.get("compression") in _RUN_LENGTH_ENCODINGS
    if is_in_runs and (pixels > MAX_PIXELS_OF_RUNS or len(data) > MAX_BYTES_OF_RUNS):
        raise ImageTooLarge(
            f"BMP image of {image.width} × {image.height} pixels and {len(data):,} bytes is run-length encoded; at most "
            f"{MAX_PIXELS_OF_RUNS // 1_000_000} million pixels and {MAX_BYTES_OF_RUNS:,} bytes are accepted so: save it as PNG"
        )


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a WebP file's header (RFC 9649, section 2.5 to 2.7), None where it is none."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _why_unsupported(data: bytes) -> str:
    accepted = f"{', '.join(FORMATS)} are accepted"
    start = data[:512].lstrip()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis", b"avif"):
        return f"image is HEIC or AVIF; {accepted}: save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)"
    if data.startswith(b"%PDF"):
        return f"image is a PDF; {accepted}: export the page as PNG (for example: pdftoppm -png -r 200 file.pdf page)"
    if start.startswith(b"<") and (b"<svg" in start or b"<?xml" in start):
        return f"image is SVG or XML; {accepted}: export it as PNG"
    if not data:
        return f"image is empty; {accepted}"
    return f"the {len(data):,} bytes are no image that can be read, or a truncated one; {accepted}"


def _in_grey(image: Image.Image, factor: int) -> Image.Image:
    """The image in grey, so many times smaller, over its paper where it is transparent."""
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return _over_paper(_reduced(image, "LA", factor))
    if image.mode.startswith("I") or image.mode == "F":
        return _reduced(Image.fromarray(_to_eight_bits(np.asarray(image))), "L", factor)
    return _reduced(image, "L", factor)


def _upright(image: Image.Image, grey: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return grey if turn is None else grey.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """The loaded image's EXIF orientation, 1 where it tells none; Pillow's getexif() takes its time to find nothing."""
    if image.format != "TIFF" and _MAY_TELL_ORIENTATION.isdisjoint(image.info):
        return 1
    orientation: int = image.getexif().get(_ORIENTATION, 1)
    return orientation


def _over_paper(image: Image.Image) -> Image.Image:
    """A transparent drawing on white, or on black where it is itself bright: chalk must not vanish."""
    grey, alpha = image.split()
    weights = np.asarray(alpha, np.float32)
    total = float(weights.sum())
    brightness = float((np.asarray(grey, np.float32) * weights).sum()) / total if total else 0.0
    has_holes = float(weights.min()) < 128
    paper = Image.new("L", image.size, 0 if has_holes and brightness > 160 else 255)
    paper.paste(grey, mask=alpha)
    return paper


def _fitting(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """A size of the same proportions whose longer side is `longest`, rounded down: Pillow's draft compares each side."""
    width, height = size
    return max(1, width * longest // max(size)), max(1, height * longest // max(size))


def _to_eight_bits(values: NDArray[np.generic]) -> Pixels:
    """16 bits by their high byte; any other depth by its own range. Some rows at a time: numbers take four times the memory."""
    step = max(1, _STRIP_PIXELS // values.shape[1])
    strips = [values[top : top + step] for top in range(0, len(values), step)]
    low, high = 0.0, 65535.0
    if values.dtype != np.uint16:
        smallest = min(float(_numbers(strip).min()) for strip in strips)
        largest = max(float(_numbers(strip).max()) for strip in strips)
        if values.dtype.kind == "f" or smallest < low or largest > high:
            low, high = smallest, largest
    scale = 255 / max(high - low, 1e-6)
    return np.concatenate([np.clip((_numbers(strip) - low) * scale, 0, 255).round().astype(np.uint8) for strip in strips])


def _numbers(values: NDArray[np.generic]) -> NDArray[np.float32]:
    numbers = values.astype(np.float32)
    return np.nan_to_num(numbers, copy=False, posinf=0, neginf=0) if values.dtype.kind == "f" else numbers


def _reduced(image: Image.Image, mode: str, factor: int) -> Image.Image:
    """The image in that mode, so many times smaller. Some rows at a time: a large one is not there in both modes at once."""
    if factor == 1:
        return image.convert(mode)
    width, height = image.size
    small = Image.new(mode, (-(-width // factor), -(-height // factor)))
    step = factor * max(1, _STRIP_PIXELS // (width * factor))
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        small.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    return small
