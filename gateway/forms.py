"""A scan of a form and its layout → what its fields say: find the form, cut each field out, read it. Knows no HTTP."""

from dataclasses import dataclass

from gateway.budget import Baton, Deadline
from gateway.metrics import Stages
from gateway.reader import FieldAnswer, FieldOptions, Reader
from handwriting.errors import NoInk
from handwriting.registration import corners, cut_out, find_form

FieldBox = tuple[float, float, float, float]
"""x, y, width, height in pixels of the layout's reference."""


@dataclass(frozen=True)
class LayoutField:
    """A field of a form: its name, where it is, and how to read it."""

    name: str
    box: FieldBox
    options: FieldOptions


@dataclass(frozen=True)
class Layout:
    """A form: a picture of it, and its fields."""

    reference: bytes
    fields: tuple[LayoutField, ...]


@dataclass(frozen=True)
class FilledField:
    """What a field says, None where nothing is written in it, and its corners in pixels of the upright original scan."""

    name: str
    answer: FieldAnswer | None
    corners: tuple[tuple[int, int], ...]


class FormReader:
    """Reads forms field by field with `reader`. Thread-safe."""

    def __init__(self, reader: Reader, baton: Baton) -> None:
        self._reader = reader
        self._baton = baton

    def read(self, file: bytes, layout: Layout, deadline: Deadline, stages: Stages) -> tuple[FilledField, ...]:
        """The fields, in the order of the layout.

        Raises:
            FormNotFound: the layout's form is not on the scan.
            as Reader.read, but for NoInk.
        """
        reference, _ = self._reader.decode(layout.reference)
        scan, (wide, high) = self._reader.decode(file)
        stages.enter("preprocess")
        with self._baton.passed_on_for(scan.size):
            matrix = find_form(reference, scan)
        filled = []
        for field in layout.fields:
            deadline.remaining()
            try:
                answer = self._reader.read_pixels(cut_out(scan, matrix, field.box), (1.0, 1.0), field.options, deadline, stages)
            except NoInk:
                answer = None
            found = tuple((round(x * wide), round(y * high)) for x, y in corners(matrix, field.box))
            filled.append(FilledField(field.name, answer, found))
        return tuple(filled)
