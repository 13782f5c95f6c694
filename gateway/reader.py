"""An image of a field → its text: decode, segment, predict all that may be a character at once, search. Knows no HTTP."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.batching import Batcher
from gateway.budget import Baton, Deadline, Overloaded, PixelBudget
from gateway.catalogue import Catalogue
from gateway.metrics import Metrics, Stages
from gateway.recognizer import Options, Recognition, count, rank
from gateway.split import Lacking, Releases
from handwriting import contract, image
from handwriting.constraint import Constraint, InvalidPattern, parse_pattern
from handwriting.errors import NoInk
from handwriting.image import Pixels
from handwriting.panel import segmenter
from handwriting.reading import Reading, read
from handwriting.segment import Box
from tfserving.errors import ContractMismatch


class UnknownPattern(Lacking):
    """The version that answered carries no pattern of that name; the message lists those that it does."""


@dataclass(frozen=True)
class FieldOptions:
    """How to read: `common` as for one character, what the text must satisfy, and how many candidates to give."""

    common: Options
    constraint: Constraint
    max_candidates: int = 5
    pattern_name: str | None = None
    """A pattern that the version which answers carries by this name takes the place of the constraint's."""


@dataclass(frozen=True)
class Character:
    """A character of a line, and its box in pixels of the upright original image."""

    recognition: Recognition
    box: Box


@dataclass(frozen=True)
class TextLine:
    """A line of the text, from left to right."""

    text: str
    box: Box
    characters: tuple[Character, ...]

    @property
    def confidence(self) -> float:
        """The product of the characters' confidences."""
        return math.prod(character.recognition.confidence for character in self.characters)


@dataclass(frozen=True)
class FieldAnswer:
    """What a field says, by one version of the model; `satisfies` is None where nothing constrained it."""

    model: str
    version: int
    text: str
    lines: tuple[TextLine, ...]
    candidates: tuple[Reading, ...]
    satisfies: bool | None

    @property
    def confidence(self) -> float:
        """The product of the characters' confidences."""
        return math.prod(line.confidence for line in self.lines)


class Reader:
    """Reads fields with the models of `catalogue`. Thread-safe."""

    def __init__(
        self,
        catalogue: Catalogue,
        releases: Releases,
        batcher: Batcher,
        baton: Baton,
        budget: PixelBudget,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._releases = releases
        self._batcher = batcher
        self._baton = baton
        self._budget = budget
        self._metrics = metrics

    def read(self, file: bytes, options: FieldOptions, deadline: Deadline, stages: Stages) -> FieldAnswer:
        """The field's text.

        Raises:
            ImageError: the image cannot be read.
            Overloaded: there is no memory to decode it now.
            UnknownPattern: the version that answered carries no pattern of the name.
            ServingError: no believable answer came from a model server in time.
        """
        deadline.remaining()
        pixels, scale = self.decode(file)
        return self.read_pixels(pixels, scale, options, deadline, stages)

    def read_pixels(
        self, pixels: Pixels, scale: tuple[float, float], options: FieldOptions, deadline: Deadline, stages: Stages
    ) -> FieldAnswer:
        """The text of a field that is decoded already, as `decode` does it.

        Raises:
            as `read`.
        """
        common = options.common

        def ask(version: int | str | None, deadline: Deadline) -> FieldAnswer:
            chosen = replace(options, common=replace(common, version=version))
            return self._read_with(pixels, scale, chosen, deadline, stages)

        answer = self._releases.answer(common.model, common.version, common.whose, deadline, stages, ask)
        recognitions = [item.recognition for line in answer.lines for item in line.characters]
        count(self._metrics, common.model, answer.version, recognitions)
        return answer

    def _read_with(
        self, pixels: Pixels, scale: tuple[float, float], options: FieldOptions, deadline: Deadline, stages: Stages
    ) -> FieldAnswer:
        """The text as the version in the options reads it."""
        common = options.common
        stages.enter("predict")
        with self._baton.passed_on():
            asked = self._catalogue.resolve(common.model, common.version, deadline)
            card = self._catalogue.card_of(common.model, asked, deadline)
        stages.enter("preprocess")
        with self._baton.passed_on_for(pixels.size):
            lines = segmenter(card.get(contract.FIELD))(pixels, common.polarity)
        tensors = np.stack([hypothesis.tensor for line in lines for hypothesis in line.hypotheses])
        together, classes, version = self._batcher.scores_by_class(tensors, common.model, common.version, deadline, stages)
        constraint = self._constraint(options, version, deadline)
        scores = np.split(together, np.cumsum([len(line.hypotheses) for line in lines])[:-1])
        stages.enter("search")
        found = read(lines, scores, classes.labels, constraint, options.max_candidates)
        stages.enter("respond")
        if not found.readings:
            raise NoInk("nothing on the image looks like a line of characters")
        best = found.readings[0]
        told = []
        for number, line in enumerate(lines):
            choices = [choice for choice in best.choices if choice.line == number]
            if not choices:
                continue
            characters = tuple(
                Character(
                    rank(scores[number][choice.hypothesis], classes, common.top_k, choice.label),
                    _scaled(line.hypotheses[choice.hypothesis].box, scale),
                )
                for choice in choices
            )
            text = "".join(character.recognition.prediction for character in characters)
            told.append(TextLine(text, _around([character.box for character in characters]), characters))
        satisfies = None if constraint.is_none else found.satisfies
        return FieldAnswer(common.model, version, best.text, tuple(told), found.readings, satisfies)

    def _constraint(self, options: FieldOptions, version: int, deadline: Deadline) -> Constraint:
        """What the text must satisfy, with the pattern that the version carries by the name that was asked for."""
        if options.pattern_name is None:
            return options.constraint
        model = options.common.model
        patterns = patterns_of(self._catalogue.card_of(model, version, deadline))
        if options.pattern_name not in patterns:
            known = f"it carries {', '.join(sorted(patterns))}" if patterns else "it carries none"
            raise UnknownPattern(f"Model {model} version {version} has no pattern {options.pattern_name!r}; {known}.")
        try:
            return replace(options.constraint, pattern=parse_pattern(patterns[options.pattern_name]))
        except InvalidPattern as error:
            raise ContractMismatch(f"model {model} version {version}, pattern {options.pattern_name}: {error}") from error

    def decode(self, file: bytes) -> tuple[Pixels, tuple[float, float]]:
        """The pixels, and how many of the original's each of them is wide and high.

        Raises:
            ImageError: the image cannot be read.
            Overloaded: there is no memory to decode it now.
        """
        opened = image.open_image(file)
        try:
            with self._baton.passed_on_for(opened.pixel_count), self._budget.reserved(opened.memory_pixels):
                pixels = opened.decode(image.FIELD_SIZE)
        except Overloaded:
            self._metrics.shed.labels("decoding").inc()
            raise
        width, height = opened.upright_size
        return pixels, (width / pixels.shape[1], height / pixels.shape[0])


def patterns_of(card: dict[str, Any]) -> dict[str, str]:
    """The patterns that a card holds, by name."""
    patterns = card.get(contract.PATTERNS)
    return {name: one for name, one in patterns.items() if isinstance(one, str)} if isinstance(patterns, dict) else {}


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    x, y, width, height = box
    return round(x * scale[0]), round(y * scale[1]), max(1, round(width * scale[0])), max(1, round(height * scale[1]))


def _around(boxes: list[Box]) -> Box:
    """The box that holds them all."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return left, top, right - left, bottom - top
