"""What a gateway answers, as frozen values. Each `from_json` ignores members that it does not know."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Self

Json = Mapping[str, Any]


class Box(NamedTuple):
    """A place on the image, in pixels of the upright original."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class ModelVersion:
    """The version of a model that answered."""

    name: str
    version: int

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(told["name"], told["version"])


@dataclass(frozen=True)
class Character:
    """One character: the most probable class, each class's probability, and whether it is probably none of them."""

    prediction: str
    confidence: float
    probabilities: Mapping[str, float]
    rejected: bool

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(**_character(told))


@dataclass(frozen=True)
class Prediction(Character):
    """The answer about one image; `input` is what the model saw, a PNG, where `include="input"` asked for it."""

    id: str
    model: ModelVersion
    input: bytes | None = None

    @classmethod
    def from_json(cls, told: Json) -> Self:
        seen = base64.b64decode(told["input"]) if "input" in told else None
        return cls(**_character(told), id=told["id"], model=ModelVersion.from_json(told["model"]), input=seen)


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one part of a request: a JSON pointer to it, and the reason."""

    pointer: str
    detail: str


@dataclass(frozen=True)
class Problem:
    """What kept a request, or one image of a batch, from being answered (RFC 9457). docs/api.md lists the codes."""

    status: int
    code: str
    title: str
    detail: str
    id: str = ""
    errors: tuple[FieldError, ...] = ()

    @classmethod
    def from_json(cls, told: Json) -> Self:
        errors = tuple(FieldError(one["pointer"], one["detail"]) for one in told.get("errors", ()))
        return cls(told["status"], told["code"], told["title"], told["detail"], told.get("id", ""), errors)


@dataclass(frozen=True)
class Batch:
    """The answer about many images: a character or a problem for each, in order."""

    id: str
    model: ModelVersion
    results: tuple[Character | Problem, ...]

    @classmethod
    def from_json(cls, told: Json) -> Self:
        results = tuple(
            Problem.from_json(one["error"]) if "error" in one else Character.from_json(one) for one in told["results"]
        )
        return cls(told["id"], ModelVersion.from_json(told["model"]), results)


@dataclass(frozen=True)
class FieldCharacter(Character):
    """One character of a line, and where it is."""

    box: Box

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(**_character(told), box=Box(*told["box"]))


@dataclass(frozen=True)
class Line:
    """A line of a field, from left to right."""

    text: str
    confidence: float
    box: Box
    characters: tuple[FieldCharacter, ...]

    @classmethod
    def from_json(cls, told: Json) -> Self:
        characters = tuple(map(FieldCharacter.from_json, told["characters"]))
        return cls(told["text"], told["confidence"], Box(*told["box"]), characters)


@dataclass(frozen=True)
class Candidate:
    """One way to read a field, and its share among all."""

    text: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """The answer about a field. `satisfies` tells whether the text is as it was asked for; None where nothing was asked."""

    id: str
    model: ModelVersion
    text: str
    confidence: float
    lines: tuple[Line, ...]
    candidates: tuple[Candidate, ...]
    satisfies: bool | None

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(
            told["id"],
            ModelVersion.from_json(told["model"]),
            told["text"],
            told["confidence"],
            tuple(map(Line.from_json, told["lines"])),
            tuple(Candidate(one["text"], one["probability"]) for one in told["candidates"]),
            told.get("satisfies"),
        )


@dataclass(frozen=True)
class Receipt:
    """Feedback that is durably stored."""

    id: str
    model: ModelVersion
    label: str

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(told["id"], ModelVersion.from_json(told["model"]), told["label"])


@dataclass(frozen=True)
class Version:
    """A version as the model servers have it; `accuracy` on its test set, None where its card does not tell."""

    version: int
    state: str
    labels: tuple[str, ...]
    accuracy: float | None
    patterns: Mapping[str, str]
    error: str

    @classmethod
    def from_json(cls, told: Json) -> Self:
        patterns = MappingProxyType(dict(told.get("patterns", {})))
        return cls(told["version"], told["state"], tuple(told["labels"]), told["accuracy"], patterns, told.get("error", ""))


@dataclass(frozen=True)
class Model:
    """A model as the model servers have it, its newest version first."""

    name: str
    is_default: bool
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    versions: tuple[Version, ...]

    @classmethod
    def from_json(cls, told: Json) -> Self:
        versions = tuple(map(Version.from_json, told["versions"]))
        return cls(told["name"], told["is_default"], tuple(told["classes"]), tuple(told["input_shape"]), versions)


@dataclass(frozen=True)
class Models:
    """The models, and whether the gateway takes feedback."""

    models: tuple[Model, ...]
    feedback: bool

    @classmethod
    def from_json(cls, told: Json) -> Self:
        return cls(tuple(map(Model.from_json, told["models"])), told["feedback"])


def _character(told: Json) -> dict[str, Any]:
    return {
        "prediction": told["prediction"],
        "confidence": told["confidence"],
        "probabilities": MappingProxyType(dict(told["probabilities"])),
        "rejected": told["rejected"],
    }
