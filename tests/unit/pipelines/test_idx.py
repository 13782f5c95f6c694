import numpy as np
import pytest

from pipelines.data import idx
from pipelines.errors import DataError

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
FILE = bytes.fromhex("00000803 00000002 00000003 00000004") + bytes(range(24))


def test_an_array_is_read_as_the_format_says() -> None:
    assert (idx.parse(FILE, "x") == ARRAY).all()
    assert idx.parse(FILE, "x").shape == (2, 3, 4)


def test_an_array_is_written_as_the_format_says() -> None:
    assert idx.serialize(ARRAY) == FILE


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "begins with 0x,"),
        (b"\x1f\x8b\x08\x00", "begins with 0x1f8b0800"),
        (b"\0\0\x0d\x01\0\0\0\0", "begins with 0x00000d01"),
        (b"\0\0\x08\0", "begins with 0x00000800"),
        (FILE[:10], "ends inside its header, after 10 of 16 bytes"),
        (FILE[:-1], "23 bytes of elements, and its header says 2 × 3 × 4"),
        (FILE + b"\0", "25 bytes of elements"),
    ],
)
def test_a_damaged_file_is_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=f"^images: .*{complaint}"):
        idx.parse(content, "images")
