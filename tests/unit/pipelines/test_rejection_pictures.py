"""The pictures of benchmarks/rejection.py: none shows a digit, and they are the same each time."""

import hashlib
from itertools import islice

import pytest

from benchmarks import rejection
from handwriting.preprocess import to_tensor
from pipelines.data.faces import faces


def digest(pictures: list[tuple[str, rejection.Picture]]) -> str:
    return hashlib.sha256(b"".join(pixels.tobytes() for _, pixels in pictures)).hexdigest()


def test_letters_that_some_write_as_digits_are_not_among_them() -> None:
    assert {letter.lower() for letter in rejection.LETTERS} == set("acdefhjkmnprtuvwxy")
    assert len(rejection.LETTERS) == 36


def test_letters_come_from_fonts_that_are_held_out_from_training() -> None:
    trained = {face.path.stem for face in faces() if not face.is_held_out}
    names = [name.split("-", 2)[2] for name, _ in rejection.font_letters()]

    assert len(names) >= 300
    assert not trained & set(names)


@pytest.mark.parametrize("draw", [rejection.scribble, rejection.noise, rejection.cloud])
def test_what_is_drawn_is_the_same_each_time(draw: object) -> None:
    first, second = (list(islice(rejection.drawn(draw, 1), 20)) for _ in range(2))
    other = list(islice(rejection.drawn(draw, 2), 20))

    assert digest(first) == digest(second) != digest(other)


def test_every_scribble_has_ink() -> None:
    for _, pixels in islice(rejection.drawn(rejection.scribble, 3), 100):
        assert to_tensor(pixels).max() > 200
