"""How a version reads pictures of fields: each goes through what the gateway does with it, without being told its length."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from handwriting.errors import ImageError, NoInk
from handwriting.image import FIELD_SIZE, Pixels, open_image
from handwriting.panel import segmenter
from handwriting.preprocess import Polarity
from handwriting.reading import Reading, read
from handwriting.segment import Box, Line
from pipelines.data.pictures import Picture, Unread, unread_for
from pipelines.metrics import Scores, binned, calibration_error, wilson_interval
from pipelines.scorer import Scorer

CANDIDATES = 5
"""Readings of each field."""
_AT_ONCE = 256
"""Fields whose hypotheses the model is asked about together: some ten thousand images."""


@dataclass(frozen=True)
class FieldAnswer:
    """What a version read on one picture."""

    picture: Picture
    candidates: tuple[Reading, ...]
    """The most probable readings, best first; at least one."""
    boxes: tuple[Box, ...]
    """Of the characters that were read, in pixels of the decoded picture."""
    size: tuple[int, int]
    """Of the decoded picture: width, height."""
    is_rejected: bool
    """Whether one of its characters is below the threshold of its class."""

    @property
    def text(self) -> str:
        return self.candidates[0].text

    @property
    def probability(self) -> float:
        return self.candidates[0].probability

    @property
    def is_right(self) -> bool:
        return self.text == self.picture.label

    @property
    def is_among_candidates(self) -> bool:
        return any(reading.text == self.picture.label for reading in self.candidates)


@dataclass(frozen=True)
class FieldEvaluation:
    """What a version read on pictures of fields."""

    answers: list[FieldAnswer]
    unread: list[Unread]


@dataclass(frozen=True)
class FieldFigures:
    """The measures of some fields."""

    name: str
    images: int
    unread: int
    exact: int
    exact_share: float
    """Of all images, those that were not read too; so are the two shares of candidates and characters."""
    low: float
    high: float
    """The 95 % Wilson interval of the exact share."""
    among_candidates: float
    """The share whose text is one of the most probable CANDIDATES."""
    character_error_rate: float
    """The mean over the images of edit distance by length; 1 where nothing was read."""
    too_short: int
    too_long: int
    """How many were read with fewer and with more characters than there are."""
    probability: float
    """The mean over the answers of what the best reading's probability is said to be; the measures below are of answers too."""
    ece: float
    rejected: int
    rejected_share: float
    rejected_wrong: int


@dataclass(frozen=True)
class FieldMeans:
    """The measures averaged over the sources, each one counting the same."""

    exact_share: float
    among_candidates: float
    character_error_rate: float
    probability: float
    ece: float
    rejected_share: float


@dataclass(frozen=True)
class _Cut:
    """A field cut into lines, not read yet."""

    picture: Picture
    lines: tuple[Line, ...]
    size: tuple[int, int]


def unknown_characters(text: str, classes: Sequence[str]) -> str:
    """The characters of the text that occur in no class, each one once; a line break is none."""
    known = {character for label in classes for character in unicodedata.normalize("NFC", label)} | {"\n"}
    return "".join(dict.fromkeys(character for character in text if character not in known))


def evaluate_fields(scorer: Scorer, pictures: Sequence[Picture], tell: Callable[[int], None]) -> FieldEvaluation:
    """What the version reads on the pictures; tells how many are done after each one.

    Raises:
        VersionError: the version cannot be run.
    """
    answers: list[FieldAnswer] = []
    unread: list[Unread] = []
    for start in range(0, len(pictures), _AT_ONCE):
        for answer in _read_together(scorer, pictures[start : start + _AT_ONCE]):
            if isinstance(answer, Unread):
                unread.append(answer)
            else:
                answers.append(answer)
            tell(len(answers) + len(unread))
    return FieldEvaluation(answers, unread)


def by_source(evaluation: FieldEvaluation) -> list[FieldFigures]:
    """The measures of each source, in the order of their names."""
    pictures = [*(item.picture for item in evaluation.answers), *(item.picture for item in evaluation.unread)]
    sources = sorted({picture.source for picture in pictures})
    return [_figures(evaluation, source, source) for source in sources]


def pooled(evaluation: FieldEvaluation) -> FieldFigures:
    """The measures of all fields, each one counting the same."""
    return _figures(evaluation, "all", None)


def mean(figures: Sequence[FieldFigures]) -> FieldMeans:
    """The measures averaged over the sources."""
    names = FieldMeans.__dataclass_fields__
    return FieldMeans(**{name: float(np.mean([getattr(item, name) for item in figures])) for name in names})


def lengths(evaluation: FieldEvaluation) -> list[tuple[int, int, int]]:
    """For each length that was read wrongly: how many characters there are, how many were read, how often; most often first."""
    pairs = Counter(
        (len(item.picture.label), len(item.text)) for item in evaluation.answers if len(item.text) != len(item.picture.label)
    )
    return [(*pair, count) for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))]


def worst_errors(evaluation: FieldEvaluation) -> list[FieldAnswer]:
    """The wrong answers, the most probable first."""
    wrong = [answer for answer in evaluation.answers if not answer.is_right]
    return sorted(wrong, key=lambda answer: (-answer.probability, answer.picture.name))


def edit_distance(one: str, other: str) -> int:
    """How many characters must be put in, taken out or replaced to make one text the other (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for count, character in enumerate(one, 1):
        before, row[0] = row[0], count
        for index, another in enumerate(other, 1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (character != another))
    return row[-1]


def _read_together(scorer: Scorer, pictures: Sequence[Picture]) -> Iterator[FieldAnswer | Unread]:
    """What is read on each picture, in their order; the model is asked once."""
    cuts = [_cut(picture, segmenter(scorer.field)) for picture in pictures]
    all_lines = [line for cut in cuts if isinstance(cut, _Cut) for line in cut.lines]
    if all_lines:
        tensors = np.stack([hypothesis.tensor for line in all_lines for hypothesis in line.hypotheses])
        ends = np.cumsum([len(line.hypotheses) for line in all_lines])
        scores = iter(np.split(scorer.scores(tensors), ends[:-1]))
    for cut in cuts:
        yield _answer(cut, [next(scores) for _ in cut.lines], scorer) if isinstance(cut, _Cut) else cut


def _cut(picture: Picture, segment: Callable[[Pixels, Polarity], tuple[Line, ...]]) -> _Cut | Unread:
    try:
        pixels = open_image(picture.path.read_bytes()).decode(FIELD_SIZE)
        return _Cut(picture, segment(pixels, "auto"), (pixels.shape[1], pixels.shape[0]))
    except (ImageError, OSError) as error:
        return unread_for(picture, error)


def _answer(cut: _Cut, scores: Sequence[Scores], scorer: Scorer) -> FieldAnswer | Unread:
    candidates = read(cut.lines, scores, scorer.classes, most=CANDIDATES).readings
    if not candidates:
        return unread_for(cut.picture, NoInk("nothing on the image looks like a line of characters"))
    choices = candidates[0].choices
    return FieldAnswer(
        picture=cut.picture,
        candidates=candidates,
        boxes=tuple(cut.lines[choice.line].hypotheses[choice.hypothesis].box for choice in choices),
        size=cut.size,
        is_rejected=any(
            scores[choice.line][choice.hypothesis, choice.label] < scorer.thresholds[choice.label] for choice in choices
        ),
    )


def _figures(evaluation: FieldEvaluation, name: str, source: str | None) -> FieldFigures:
    answers = [item for item in evaluation.answers if source in (None, item.picture.source)]
    unread = sum(source in (None, item.picture.source) for item in evaluation.unread)
    images, exact = len(answers) + unread, sum(item.is_right for item in answers)
    low, high = wilson_interval(exact, images)
    probabilities = np.array([item.probability for item in answers], np.float64)
    is_right = np.array([item.is_right for item in answers], np.bool_)
    rejected = [item for item in answers if item.is_rejected]
    lengths = np.array([len(item.text) - len(item.picture.label) for item in answers], np.int64)
    errors = sum(edit_distance(item.text, item.picture.label) / len(item.picture.label) for item in answers)
    return FieldFigures(
        name=name,
        images=images,
        unread=unread,
        exact=exact,
        exact_share=exact / images,
        low=low,
        high=high,
        among_candidates=sum(item.is_among_candidates for item in answers) / images,
        character_error_rate=(errors + unread) / images,
        too_short=int((lengths < 0).sum()),
        too_long=int((lengths > 0).sum()),
        probability=float(probabilities.mean()) if answers else 0.0,
        ece=calibration_error(binned(probabilities, is_right)),
        rejected=len(rejected),
        rejected_share=len(rejected) / max(1, len(answers)),
        rejected_wrong=sum(not item.is_right for item in rejected),
    )
