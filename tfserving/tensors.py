"""numpy arrays ⇄ Tensor messages."""

import numpy as np
from numpy.typing import NDArray

from tfserving import wire_pb2
from tfserving.errors import InvalidResponse

_NUMPY_TYPE: dict[int, type[np.generic]] = {
    wire_pb2.DT_FLOAT: np.float32,
    wire_pb2.DT_DOUBLE: np.float64,
    wire_pb2.DT_INT32: np.int32,
    wire_pb2.DT_UINT8: np.uint8,
    wire_pb2.DT_INT64: np.int64,
    wire_pb2.DT_BOOL: np.bool_,
}
_WIRE_TYPE = {np.dtype(numpy_type): wire_pb2.DataType.Name(wire_type) for wire_type, numpy_type in _NUMPY_TYPE.items()}
_VALUES_FIELD = {
    wire_pb2.DT_FLOAT: "float_val",
    wire_pb2.DT_DOUBLE: "double_val",
    wire_pb2.DT_INT32: "int_val",
    wire_pb2.DT_UINT8: "int_val",
    wire_pb2.DT_INT64: "int64_val",
    wire_pb2.DT_BOOL: "bool_val",
}


def from_array(array: NDArray[np.generic]) -> wire_pb2.Tensor:
    """The array as a message, its numbers as tensor_content: 4 µs an image, where float_val takes 22.

    Raises:
        TypeError: the array's dtype has no counterpart among the messages that we speak.
    """
    try:
        dtype = _WIRE_TYPE[array.dtype]
    except KeyError:
        accepted = ", ".join(str(known) for known in _WIRE_TYPE)
        raise TypeError(f"array is of dtype {array.dtype}; one of {accepted} can be sent") from None
    dims = [wire_pb2.TensorShape.Dim(size=size) for size in array.shape]
    shape = wire_pb2.TensorShape(dim=dims)
    return wire_pb2.Tensor(dtype=dtype, tensor_shape=shape, tensor_content=array.tobytes())


def to_array(tensor: wire_pb2.Tensor) -> NDArray[np.generic]:
    """The message as an array of its shape; strings as an object array of bytes. May be read-only.

    TensorFlow Serving answers in the typed fields (float_val, …), other servers in tensor_content; both are read. A single
    value stands for the whole array, as TensorFlow has it.

    Raises:
        InvalidResponse: the dtype is unknown, or the number of values does not fit the shape.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    values = _values(tensor)
    count = int(np.prod(shape, dtype=np.int64)) if min(shape, default=0) >= 0 else -1
    if values.size == 1 and count > 1:
        values = np.repeat(values, count)
    if values.size != count:
        raise InvalidResponse(f"tensor of shape {shape} came with {values.size} values")
    return values.reshape(shape)


def _values(tensor: wire_pb2.Tensor) -> NDArray[np.generic]:
    if tensor.dtype == wire_pb2.DT_STRING:
        return np.array(list(tensor.string_val), dtype=object)
    if tensor.dtype not in _NUMPY_TYPE:
        raise InvalidResponse(f"tensor is of dtype {tensor.dtype}, which we do not speak")
    numpy_type = _NUMPY_TYPE[tensor.dtype]
    if tensor.tensor_content:
        itemsize = np.dtype(numpy_type).itemsize
        if len(tensor.tensor_content) % itemsize:
            raise InvalidResponse(
                f"{len(tensor.tensor_content)} bytes of content are no whole number of {np.dtype(numpy_type)}"
            )
        return np.frombuffer(tensor.tensor_content, numpy_type)
    return np.array(getattr(tensor, _VALUES_FIELD[tensor.dtype]), numpy_type)
