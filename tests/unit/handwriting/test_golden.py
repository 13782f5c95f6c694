"""The golden pictures give the tensors that models were trained with, to the byte."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handwriting.image import decode
from handwriting.preprocess import to_tensor
from tests.golden.make_preprocess import EXPECTED, pictures

NAMES = [path.name for path in pictures()]


def expected() -> list[np.ndarray]:
    return list(np.asarray(Image.open(EXPECTED)).reshape(-1, 28, 28))


def test_every_picture_has_its_tensor() -> None:
    assert len(expected()) == len(NAMES) >= 40


@pytest.mark.parametrize("path", pictures(), ids=NAMES)
def test_a_golden_picture_gives_its_tensor(path: Path) -> None:
    tensor = to_tensor(decode(path.read_bytes()))

    wanted = expected()[NAMES.index(path.name)]
    assert np.array_equal(tensor, wanted), (
        f"{np.count_nonzero(tensor != wanted)} of 784 pixels of {path.name} differ, by at most "
        f"{np.abs(tensor.astype(int) - wanted).max()}: models that are in use were trained with the others. If that is meant, "
        "run PYTHONPATH=. .venv/bin/python tests/golden/make_preprocess.py, look at expected.png, and train anew"
    )


@pytest.mark.parametrize("path", pictures(), ids=NAMES)
def test_a_golden_picture_is_small(path: Path) -> None:
    assert path.stat().st_size < 10_000
