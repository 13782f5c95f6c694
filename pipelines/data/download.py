"""Files over HTTPS, bounded in time and size."""

import http.client
import time
import urllib.error
import urllib.request
import zlib

from pipelines.errors import DataError

_CONNECT_TIMEOUT_SECONDS = 15.0
_TOTAL_SECONDS = 300.0
_CHUNK = 1 << 16


def get(url: str, max_bytes: int) -> bytes:
    """The file at `url`.

    Raises:
        DataError: no answer, an error, an answer that breaks off, is too slow or is larger than `max_bytes`.
    """
    try:
        with urllib.request.urlopen(url, timeout=_CONNECT_TIMEOUT_SECONDS) as response:
            content = _read(response, max_bytes)
            expected = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}") from None
    if expected is not None and int(expected) != len(content):
        raise DataError(f"{url}: broke off after {len(content)} of {expected} bytes")
    return content


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    deadline = time.monotonic() + _TOTAL_SECONDS
    content = bytearray()
    while chunk := response.read(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            raise DataError(f"{response.url}: larger than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise DataError(f"{response.url}: only {len(content)} bytes within {_TOTAL_SECONDS:.0f} s")
    return bytes(content)


def gunzip(data: bytes, name: str, max_bytes: int) -> bytes:
    """The content of a gzip file.

    Raises:
        DataError: damaged, truncated, or larger than `max_bytes`. The message begins with `name`.
    """
    decompressor = zlib.decompressobj(wbits=31)  # gzip
    try:
        content = decompressor.decompress(data, max_bytes)
    except zlib.error as error:
        raise DataError(f"{name}: {error}") from None
    if not decompressor.eof:
        raise DataError(f"{name}: truncated, or larger than {max_bytes} bytes")
    return content
