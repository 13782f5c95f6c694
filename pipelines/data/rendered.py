"""Images beside the source's own: rendered from fonts, its images in another style, cut from fields, and outliers.

Each goes through `handwriting.preprocess.to_tensor`. What is rendered depends on the seed and an image's number, not on how
many processes share the work; it is kept in the cache under the digest of all that it was made from.
"""

import io
import multiprocessing
import os
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from handwriting import preprocess, segment
from handwriting.errors import ImageError
from handwriting.image import Pixels
from handwriting.preprocess import Tensor, to_tensor
from pipelines.data import faces as faces_module
from pipelines.data import fields as fields_module
from pipelines.data import pen, plates, scenes, style
from pipelines.data.faces import GLYPH_SIZE, HANDWRITING, PLATES, Face, Shape, cropped, faces, shape
from pipelines.data.fields import CRAMPED, Field, Hand
from pipelines.data.images import OUTLIER, LabelledImages
from pipelines.data.scenes import scene
from pipelines.errors import DataError
from pipelines.files import sha256_of, write_atomically

LOOKALIKES = {
    "0": "OoQ",
    "1": "IiLl|!/\\()[]'`,.-_",
    "2": "Zz",
    "4": "y",
    "5": "Ss$",
    "6": "bG",
    "7": "?",
    "8": "B&",
    "9": "gqP",
    "a": "@",
    "b": "6",
    "c": "(<[{",
    "g": "69",
    "h": "n",
    "i": "|;:!/\\",
    "j": ";]",
    "l": "|!/\\`',.-_[](){}",
    "n": "^",
    "s": "$",
    "t": "+f",
    "v": "^<>",
    "w": "~",
    "x": "+",
    "z": "~3",
    "A": "^",
    "E": "{",
    "J": "])",
    "L": "<",
    "ㄱ": "7>])",
    "ㄴ": "L<_[",
    "ㄷ": "CEGc[({<",
    "ㄹ": "2ZzERr&",
    "ㅁ": "oODQ0@#",
    "ㅂ": "uUHbV",
    "ㅅ": "^AnxXhkK",
    "ㅇ": "oOQDac069&@",
    "ㅈ": "XxTzZI",
    "ㅊ": "XxzZ",
    "ㅋ": "F7>}3",
    "ㅌ": "EeFCt",
    "ㅍ": "IHTn#=",
    "ㅎ": "8&oO6bd",
    "ㅏ": "ltkhrKF+|",
    "ㅑ": "FEktK",
    "ㅓ": "tdyHJ+4{",
    "ㅕ": "3}]J",
    "ㅗ": "LltdJ+_",
    "ㅛ": "uUwW_",
    "ㅜ": "Tt7+YyJ",
    "ㅠ": "nTMm",
    "ㅡ": "-_~=",
    "ㅣ": "IiLlJj1|!/\\()[]'`,.\"{};:",
}
"""For a label the characters that some people write as others write it; never outliers beside it, nor it beside them."""

FOLDER = "rendered"
"""The folder in the cache."""

_CHUNK = 500
_KEPT = 8
_MOST_UNSEEN = 2000
_PEN_SHARE = 0.4
_SOURCE_SHARE = 0.4
_LONGEST_FIELD = 8
_ROUND_SHARE = 0.2
_NEIGHBOUR_SHARE = 0.15

Say = Callable[[str], None]


@dataclass(frozen=True)
class Written:
    """What fields are written of, beside fonts and our own pen."""

    characters: tuple[str, ...]
    labels: tuple[int, ...]
    """For each character its label's index in the source."""
    source: LabelledImages


@dataclass(frozen=True)
class Order:
    """What is to be rendered."""

    kind: str
    """`fonts`, `restyled`, `fields` or `outliers`."""
    count: int
    labels: tuple[str, ...]
    faces: tuple[Face, ...]
    seed: int
    with_pen: bool = True
    """Kind `fonts`: whether the ways of writing that fonts lack are drawn."""
    source: LabelledImages | None = None
    """Kinds `restyled` and `fields`: its images."""
    source_labels: tuple[int, ...] = ()
    """Kind `fields`: for each label its index in the source."""
    font_set: str = HANDWRITING
    """That of the faces: of PLATES, characters are drawn as on a number plate."""

    def digest(self) -> str:
        """SHA-256 of everything that the result depends on."""
        modules = [preprocess, faces_module, pen, plates, scenes, style]
        if self.kind == "fields":
            modules += [fields_module, segment]
        code = [Path(str(module.__file__)).read_bytes() for module in modules]
        parts = [self.kind, self.count, self.labels, [face.digest for face in self.faces], self.seed, self.with_pen]
        parts += [Path(__file__).read_text(encoding="utf-8"), cv2.__version__, PIL.__version__, np.__version__]
        parts += [self.font_set, self.source_labels]
        source = [self.source.images.tobytes(), self.source.labels.tobytes()] if self.source else []
        return sha256_of(b"\0".join([repr(parts).encode(), *code, *source]))


def fonts(
    labels: Sequence[str], count: int, folder: str, seed: int, cache_dir: Path, say: Say, font_set: str = HANDWRITING
) -> LabelledImages:
    """So many characters from the faces for training, as many of each label, some drawn by a pen of our own.

    Raises:
        DataError: no face has some label, or a font cannot be read.
    """
    chosen = _faces(labels, folder, False, font_set)
    order = Order("fonts", count, tuple(labels), chosen, seed, font_set == HANDWRITING, font_set=font_set)
    return _made(order, cache_dir, say)


def unseen_fonts(
    labels: Sequence[str], wanted: int, folder: str, cache_dir: Path, say: Say, font_set: str = HANDWRITING
) -> LabelledImages:
    """Characters from the held-out faces, for the test; a tenth of those wanted for training, at most 2,000, at least one each.

    The same whatever the seed of the recipe.

    Raises:
        DataError: no face has some label, or a font cannot be read.
    """
    chosen = _faces(labels, folder, True, font_set)
    count = _unseen_count(labels, wanted)
    return _made(Order("fonts", count, tuple(labels), chosen, 0, with_pen=False, font_set=font_set), cache_dir, say)


def _unseen_count(labels: Sequence[str], wanted: int) -> int:
    return max(len(labels), min(_MOST_UNSEEN, wanted // 10))


def restyled(source: LabelledImages, count: int, seed: int, cache_dir: Path, say: Say) -> LabelledImages:
    """So many of the source's images, as other pens, papers and cameras would have made them."""
    return _made(Order("restyled", count, (), (), seed, source=source), cache_dir, say)


def fields(
    written: Written, count: int, folder: str, seed: int, cache_dir: Path, say: Say, font_set: str = HANDWRITING
) -> LabelledImages:
    """So many images cut from fields of these characters, with the index of each; parts of characters are OUTLIER."""
    chosen = _faces(written.characters, folder, False, font_set)
    return _made(_field_order(written, count, chosen, seed, font_set), cache_dir, say)


def written_fields(written: Written, seed: int, is_held_out: bool, hand: Hand) -> Iterator[tuple[Field, NDArray[np.int64]]]:
    """Without end: fields of these characters, with the indices of each one's."""
    order = _field_order(written, 0, _faces(written.characters, "", is_held_out), seed, HANDWRITING)
    return _written(order, np.random.default_rng(seed), hand)


def _field_order(written: Written, count: int, chosen: tuple[Face, ...], seed: int, font_set: str) -> Order:
    own, labels = written.source, written.labels
    return Order("fields", count, written.characters, chosen, seed, source=own, source_labels=labels, font_set=font_set)


def outliers(
    labels: Sequence[str], count: int, folder: str, seed: int, cache_dir: Path, say: Say, font_set: str = HANDWRITING
) -> LabelledImages:
    """So many images of what is none of the labels: other characters, scribbles, scenes, noise; labelled OUTLIER."""
    chosen = _faces(labels, folder, False, font_set)
    return _made(Order("outliers", count, tuple(labels), chosen, seed, font_set=font_set), cache_dir, say)


def unseen_outliers(
    labels: Sequence[str], wanted: int, folder: str, cache_dir: Path, say: Say, font_set: str = HANDWRITING
) -> LabelledImages:
    """As `outliers`, their characters from the held-out faces: for the test, counted as `unseen_fonts` are."""
    chosen, count = _faces(labels, folder, True, font_set), _unseen_count(labels, wanted)
    return _made(Order("outliers", count, tuple(labels), chosen, 0, font_set=font_set), cache_dir, say)


def face_digests(folder: str, font_set: str = HANDWRITING) -> dict[str, str]:
    """The SHA-256 of each font file by its name."""
    return {face.path.name: face.digest for face in faces(folder, font_set)}


def others(labels: Sequence[str]) -> str:
    """The ASCII characters that are no label and look like none."""
    similar = {other for label in labels for other in LOOKALIKES.get(label, "") + label.upper() + label.lower()}
    similar |= {one for one, others in LOOKALIKES.items() if any(label in others for label in labels)}
    return "".join(one for one in string.ascii_letters + string.digits + string.punctuation if one not in similar)


def _faces(labels: Sequence[str], folder: str, is_held_out: bool, font_set: str = HANDWRITING) -> tuple[Face, ...]:
    """The faces on one side of the split that have every label."""
    side = [face for face in faces(folder, font_set) if face.is_held_out == is_held_out]
    complete = tuple(face for face in side if all(shape(face, label) is not None for label in labels))
    if not complete:
        lacking = [label for label in labels if all(shape(face, label) is None for face in side)]
        raise DataError(f"none of {len(side)} fonts has all labels; in none at all: {', '.join(lacking) or '–'}")
    return complete


def _made(order: Order, cache_dir: Path, say: Say) -> LabelledImages:
    """What was ordered, from the cache or made now by as many processes as there are processors."""
    path = cache_dir / f"{order.kind}-{order.digest()[:32]}.npz"
    if (kept := _read(path)) is not None:
        return kept
    worker_count = min(len(os.sched_getaffinity(0)), 8, -(-order.count // _CHUNK))
    say(f"rendering {order.count:,} images ({order.kind})")
    with TemporaryDirectory() as folder:
        parts = [Path(folder, f"{index}.npz") for index in range(worker_count)]
        context = multiprocessing.get_context("fork")
        workers = [
            context.Process(target=_work, args=(order, index, worker_count, part, os.getpid()))
            for index, part in enumerate(parts)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        pieces = [piece for part in parts if (piece := _read(part)) is not None]
    if len(pieces) < worker_count:
        raise DataError(f"rendering {order.kind}: {worker_count - len(pieces)} of {worker_count} processes ended early")
    result = _in_order(pieces, order.count)
    _keep(path, result)
    return result


def _work(order: Order, index: int, worker_count: int, part: Path, parent: int) -> None:
    """Makes every `worker_count`-th chunk and writes them all; stops where the parent has gone."""
    made = []
    for chunk in range(index, -(-order.count // _CHUNK), worker_count):
        if os.getppid() != parent:
            return
        made.append(_chunk(order, chunk))
    _write(part, LabelledImages(*(np.concatenate([getattr(one, what) for one in made]) for what in ("images", "labels"))))


def _in_order(pieces: list[LabelledImages], count: int) -> LabelledImages:
    """The chunks of all workers, as if one had made them."""
    chunk_count = -(-count // _CHUNK)
    images, labels = [], []
    for chunk in range(chunk_count):
        piece, start = pieces[chunk % len(pieces)], chunk // len(pieces) * _CHUNK
        images.append(piece.images[start : start + _CHUNK])
        labels.append(piece.labels[start : start + _CHUNK])
    return LabelledImages(np.concatenate(images), np.concatenate(labels))


def _chunk(order: Order, chunk: int) -> LabelledImages:
    generator = np.random.default_rng([order.seed, chunk])
    numbers = range(chunk * _CHUNK, min(order.count, (chunk + 1) * _CHUNK))
    if order.kind == "fields":
        made = list(islice(_from_fields(order, generator), len(numbers)))
    else:
        made = [_MAKERS[order.kind](order, number, generator) for number in numbers]
    return LabelledImages(np.stack([image for image, _ in made]), np.array([label for _, label in made], np.int64))


def _from_fonts(order: Order, number: int, generator: np.random.Generator) -> tuple[Tensor, int]:
    index = number % len(order.labels)
    label = order.labels[index]
    draw = pen.VARIANTS.get(label) if order.with_pen else None
    while True:
        if draw and generator.uniform() < _PEN_SHARE:
            character = pen.drawn(draw(generator), generator)
        else:
            character = _shape(_any(order.faces, generator), label)
        if (image := _tensor(character, order, generator)) is not None:
            return image, index


def _restyled(order: Order, number: int, generator: np.random.Generator) -> tuple[Tensor, int]:
    assert order.source is not None
    while True:
        index = int(generator.integers(len(order.source)))
        if (image := _tensor(_enlarged(order.source.images[index]), order, generator)) is not None:
            return image, int(order.source.labels[index])


def _written(order: Order, generator: np.random.Generator, hand: Hand) -> Iterator[tuple[Field, NDArray[np.int64]]]:
    while True:
        labels = generator.integers(0, len(order.labels), generator.integers(2, _LONGEST_FIELD + 1))
        if generator.uniform() < _ROUND_SHARE:  # sums end in equal characters
            labels[len(labels) // 2 :] = labels[-1]
        face = _any(order.faces, generator)
        yield fields_module.field([_in_field(order, face, int(label), generator) for label in labels], generator, hand), labels


def _from_fields(order: Order, generator: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
    """Without end: what the segmenter makes of one field after the other."""
    for made, labels in _written(order, generator, CRAMPED):
        for image, number in fields_module.cut(made, generator):
            yield image, OUTLIER if number is None else int(labels[number])


def _in_field(order: Order, face: Face, index: int, generator: np.random.Generator) -> Shape:
    label, kind = order.labels[index], generator.uniform()
    if order.source is not None and kind < _SOURCE_SHARE:
        own = np.flatnonzero(order.source.labels == order.source_labels[index])
        return _enlarged(order.source.images[own[int(generator.integers(len(own)))]])
    draw = pen.VARIANTS.get(label) if order.with_pen else None
    return pen.drawn(draw(generator), generator) if draw and kind < _SOURCE_SHARE + _PEN_SHARE else _shape(face, label)


def _outlier(order: Order, number: int, generator: np.random.Generator) -> tuple[Tensor, int]:
    while True:
        kind = generator.uniform()
        if kind < 0.1:
            return _noise(generator), OUTLIER
        if kind < 0.4:
            if (image := _seen(scene(generator))) is not None:
                return image, OUTLIER
            continue
        if kind < 0.6:
            character: Shape | None = pen.drawn(pen.scribble(generator), generator)
        elif order.font_set == PLATES:
            character = plates.clutter(generator)
        else:
            character = shape(_any(order.faces, generator), str(generator.choice(list(others(order.labels)))))
        if character is not None and (image := _tensor(character, order, generator)) is not None:
            return image, OUTLIER


_MAKERS = {"fonts": _from_fonts, "restyled": _restyled, "outliers": _outlier}


def _tensor(character: Shape, order: Order, generator: np.random.Generator) -> Tensor | None:
    """The character in a random style as the model sees it; None where nothing is left of it."""
    has_neighbours = generator.uniform() < _NEIGHBOUR_SHARE
    neighbours = (_neighbour(order, generator), _neighbour(order, generator)) if has_neighbours else None
    return _seen((plates if order.font_set == PLATES else style).picture(character, generator, neighbours))


def _seen(pixels: Pixels) -> Tensor | None:
    try:
        return to_tensor(pixels)
    except ImageError:
        return None


def _neighbour(order: Order, generator: np.random.Generator) -> Shape:
    if order.source is not None:
        return _enlarged(order.source.images[int(generator.integers(len(order.source)))])
    return _shape(_any(order.faces, generator), order.labels[int(generator.integers(len(order.labels)))])


def _enlarged(image: Tensor) -> Shape:
    """An image as the model sees it, enlarged to a shape with smooth edges."""
    large = cv2.resize(image, (GLYPH_SIZE + 38,) * 2, interpolation=cv2.INTER_CUBIC)
    return cropped(np.clip((large.astype(np.float32) - 64) * 2, 0, 255).astype(np.uint8))


def _noise(generator: np.random.Generator) -> Tensor:
    """Blobs and speckles, as a badly cut-out piece of paper may come out of the preprocessing."""
    size = int(generator.integers(3, 29))
    field = cv2.resize(generator.uniform(0, 1, (size, size)).astype(np.float32), (20, 20), interpolation=cv2.INTER_LINEAR)
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 4:24] = np.clip((field - generator.uniform(0.2, 0.8)) * generator.uniform(300, 2000), 0, 255)
    return image


def _shape(face: Face, label: str) -> Shape:
    character = shape(face, label)
    assert character is not None
    return character


def _any(choices: tuple[Face, ...], generator: np.random.Generator) -> Face:
    return choices[int(generator.integers(len(choices)))]


def _read(path: Path) -> LabelledImages | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return LabelledImages(file["images"], file["labels"])
    except (OSError, ValueError, EOFError, KeyError, BadZipFile):
        return None


def _write(path: Path, data: LabelledImages) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, images=data.images, labels=data.labels)
    write_atomically(path, buffer.getvalue())


def _keep(path: Path, data: LabelledImages) -> None:
    """Writes it into the cache, and removes all of its kind but the newest few."""
    _write(path, data)
    kind = path.name.split("-")[0]
    for old in sorted(path.parent.glob(f"{kind}-*.npz"), key=lambda one: one.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)
