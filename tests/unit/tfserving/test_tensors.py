"""Arrays and messages."""

import numpy as np
import pytest

from tfserving import wire_pb2
from tfserving.errors import InvalidResponse
from tfserving.tensors import from_array, to_array


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4), (0, 28, 28)])
def test_an_array_comes_back_as_it_went(dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape, dtype=int))).reshape(shape).astype(dtype)

    back = to_array(from_array(array))

    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_a_dtype_that_we_do_not_speak_is_refused() -> None:
    with pytest.raises(TypeError, match="complex64"):
        from_array(np.zeros(1, np.complex64))


def test_typed_values_are_read_as_tensorflow_serving_sends_them() -> None:
    tensor = wire_pb2.Tensor(dtype=wire_pb2.DT_FLOAT, float_val=[0.25, 0.75])
    tensor.tensor_shape.dim.add(size=1)
    tensor.tensor_shape.dim.add(size=2)

    assert to_array(tensor).tolist() == [[0.25, 0.75]]


def test_one_value_stands_for_a_whole_array() -> None:
    tensor = wire_pb2.Tensor(dtype=wire_pb2.DT_INT32, int_val=[7])
    tensor.tensor_shape.dim.add(size=3)

    assert to_array(tensor).tolist() == [7, 7, 7]


def test_strings_stay_bytes() -> None:
    tensor = wire_pb2.Tensor(dtype=wire_pb2.DT_STRING, string_val=["ä".encode(), b""])
    tensor.tensor_shape.dim.add(size=2)

    assert to_array(tensor).tolist() == ["ä".encode(), b""]


@pytest.mark.parametrize(
    ("dtype", "fields"),
    [
        (wire_pb2.DT_INVALID, {}),
        (99, {}),
        (wire_pb2.DT_FLOAT, {"tensor_content": b"abc"}),
        (wire_pb2.DT_FLOAT, {"float_val": [1.0, 2.0]}),
        (wire_pb2.DT_STRING, {"string_val": [b"a", b"b"]}),
    ],
)
def test_a_message_that_does_not_fit_its_shape_is_not_believed(dtype: int, fields: dict[str, object]) -> None:
    tensor = wire_pb2.Tensor(**fields)
    tensor.dtype = dtype
    tensor.tensor_shape.dim.add(size=3)

    with pytest.raises(InvalidResponse):
        to_array(tensor)


def test_a_negative_size_is_not_believed() -> None:
    tensor = wire_pb2.Tensor(dtype=wire_pb2.DT_FLOAT, float_val=[1.0])
    tensor.tensor_shape.dim.add(size=-1)

    with pytest.raises(InvalidResponse):
        to_array(tensor)
