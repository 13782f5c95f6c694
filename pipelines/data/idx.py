"""The IDX file format of MNIST and EMNIST (LeCun, Cortes, Burges: "The MNIST database of handwritten digits").

Two zero bytes, one byte for the type of the elements (8: unsigned byte, the only one that is read here), one byte for the
number of dimensions, each dimension as a big-endian uint32, and then the elements.
"""

import math
import struct

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError

_UNSIGNED_BYTE = 0x08


def parse(data: bytes, name: str) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes; read-only, with the file's own shape.

    Raises:
        DataError: not such a file, or not as long as its header says. The message begins with `name`.
    """
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UNSIGNED_BYTE or data[3] == 0:
        raise DataError(f"{name}: begins with 0x{data[:4].hex()}, and an IDX file of unsigned bytes begins with 0x000008")
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise DataError(f"{name}: ends inside its header, after {len(data)} of {header} bytes")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise DataError(f"{name}: {len(data) - header} bytes of elements, and its header says {' × '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def serialize(array: NDArray[np.uint8]) -> bytes:
    """The array as an IDX file of unsigned bytes."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape) + array.tobytes()
