"""numpy array ⇄ TensorProto, as TensorFlow reads and writes it: answers carry `float_val` and its like."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfserving.dev_server.messages import DataType, TensorProto

KINDS: dict[int, tuple[str, str]] = {
    DataType.Value("DT_FLOAT"): ("<f4", "float_val"),
    DataType.Value("DT_DOUBLE"): ("<f8", "double_val"),
    DataType.Value("DT_INT32"): ("<i4", "int_val"),
    DataType.Value("DT_UINT8"): ("u1", "int_val"),
    DataType.Value("DT_INT16"): ("<i2", "int_val"),
    DataType.Value("DT_INT8"): ("i1", "int_val"),
    DataType.Value("DT_UINT16"): ("<u2", "int_val"),
    DataType.Value("DT_STRING"): ("O", "string_val"),
    DataType.Value("DT_INT64"): ("<i8", "int64_val"),
    DataType.Value("DT_BOOL"): ("?", "bool_val"),
    DataType.Value("DT_HALF"): ("<f2", "half_val"),
    DataType.Value("DT_UINT32"): ("<u4", "uint32_val"),
    DataType.Value("DT_UINT64"): ("<u8", "uint64_val"),
}
"""DataType → numpy's type and the field that holds single values."""

_NUMBERS = {np.dtype(kind): number for number, (kind, _) in KINDS.items()}


def type_name(data_type: int) -> str:
    """TensorFlow's name of a data type: 1 → float."""
    return str(DataType.Name(data_type)).removeprefix("DT_").lower()


def to_array(tensor: TensorProto) -> NDArray[Any]:
    """The tensor's values; shares memory with `tensor_content` where that is used.

    Raises:
        ValueError: the type is unknown, a dimension is negative or unknown, or the content's size does not fit the shape.
    """
    if tensor.dtype not in KINDS or tensor.tensor_shape.unknown_rank:
        raise ValueError("no type or no shape")
    kind, field = KINDS[tensor.dtype]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if any(size < 0 for size in shape):
        raise ValueError("a negative dimension")
    if tensor.tensor_content:
        if kind == "O":
            raise ValueError("strings in tensor_content")
        return np.frombuffer(tensor.tensor_content, kind).reshape(shape)
    return _from_values(getattr(tensor, field), kind, math.prod(shape)).reshape(shape)


def _from_values(values: Sequence[Any], kind: str, count: int) -> NDArray[Any]:
    """The first `count` values; where there are fewer, the last one repeated, and zero where there is none."""
    given = np.array(values[:count], "<u2").view(kind) if kind == "<f2" else np.array(values[:count], kind)
    if len(given) == count:
        return given
    filler: object = given[-1] if len(given) else (b"" if kind == "O" else 0)
    array = np.full(count, filler, kind)
    array[: len(given)] = given
    return array


def to_proto(array: NDArray[Any]) -> TensorProto:
    """The array as TensorFlow Serving answers it: type, shape and single values."""
    number = _NUMBERS[array.dtype]
    tensor = TensorProto(dtype=number)
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    flat = array.reshape(-1)
    if array.dtype == np.float16:
        flat = flat.view(np.uint16)
    getattr(tensor, KINDS[number][1]).extend(flat.tolist())
    return tensor
