"""Files that are made to hurt are refused or read, in little time and bounded memory."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handwriting.errors import ImageError, NoInk, TooManyCharacters
from handwriting.image import FIELD_SIZE, open_image
from handwriting.preprocess import to_tensor
from handwriting.segment import segment
from tests.hostile import HOSTILE

MOST_SECONDS = 2.0  # of processor time
MOST_MEGABYTES = 600


def read_character(data: bytes) -> None:
    to_tensor(open_image(data).decode())


def read_field(data: bytes) -> None:
    segment(open_image(data).decode(FIELD_SIZE))


def megabytes(name: str) -> float:
    match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def what_is_said(read: Callable[[bytes], None], data: bytes) -> type[ImageError] | None:
    try:
        read(data)
    except ImageError as error:
        return type(error)
    return None


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_answered_as_it_should_in_time_and_memory(name: str) -> None:
    data = HOSTILE[name].make()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before, start = megabytes("VmRSS"), time.thread_time()

    said = what_is_said(read_character, data)

    assert time.thread_time() - start < MOST_SECONDS
    assert megabytes("VmHWM") - before < MOST_MEGABYTES
    assert said in HOSTILE[name].answers


@pytest.mark.parametrize("name", [name for name in HOSTILE if "40 mega" not in name and "MB" not in name])
def test_as_a_field_it_takes_no_longer(name: str) -> None:
    data = HOSTILE[name].make()
    start = time.thread_time()

    said = what_is_said(read_field, data)

    assert time.thread_time() - start < MOST_SECONDS
    assert said in (*HOSTILE[name].answers, NoInk, TooManyCharacters)
