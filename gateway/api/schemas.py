"""What requests and answers hold: these types check what comes, make what goes, and are the schemas of /openapi.json."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from handwriting.constraint import Check
from handwriting.preprocess import Polarity

_END = r"$(?!\n)"  # Python's $ alone also matches before a last line break

ModelName = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_.+-]{{0,62}}{_END}", description="a model's name", examples=["digits"])
]
Version = Annotated[
    Annotated[int, Meta(ge=1, le=10**18 - 1)] | Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]{{0,30}}{_END}")],
    Meta(description="a version's number, or a label such as stable or canary", examples=["stable", 3]),
]
Base64 = Annotated[
    str,
    Meta(
        description="an image file as base64: plain, URL-safe, or a data URI",
        extra_json_schema={"contentEncoding": "base64", "format": "base64-image"},
    ),
]


class ModelChoice(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Which model is asked."""

    model: ModelName | UnsetType = UNSET
    version: Version | UnsetType = UNSET


class CharacterOptions(ModelChoice, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How characters are recognised."""

    top_k: Annotated[int, Meta(ge=1, le=100_000, description="how many probabilities, a number above 0")] | UnsetType = UNSET
    polarity: Annotated[Polarity, Meta(description="auto, dark_on_light or light_on_dark")] = "auto"


class PredictOptions(CharacterOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How one character is recognised."""

    include: Annotated[Literal["input"], Meta(description="input, for what the model saw as a PNG,")] | UnsetType = UNSET


class ReadOptions(CharacterOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How a field is read."""

    length: Annotated[int, Meta(ge=1, le=256, description="how many characters the text has, 1 to 256")] | UnsetType = UNSET
    charset: (
        Annotated[
            str,
            Meta(min_length=1, max_length=10_000, description="the characters that may occur", examples=["0123456789"]),
        ]
        | UnsetType
    ) = UNSET
    pattern: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1000,
                description="what the text is like, such as [A-Z]{2}\\d{3,4}, or @ and the name of a pattern of the model",
                examples=["\\d{5}"],
                extra_json_schema={"format": "text-pattern"},
            ),
        ]
        | UnsetType
    ) = UNSET
    check: Annotated[Check, Meta(description="the check digits that the text carries: luhn, mod97, mod11")] | UnsetType = UNSET
    max_candidates: Annotated[int, Meta(ge=1, le=50, description="how many readings to give, 1 to 50")] = 5


Label = Annotated[
    str,
    Meta(
        min_length=1,
        description="the class that the image shows, one of the model's",
        examples=["7"],
        extra_json_schema={"format": "class-label"},
    ),
]


class FeedbackQuery(ModelChoice, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What may stand in the query: the label must, where the body is an image."""

    label: Label | UnsetType = UNSET


class FeedbackOptions(ModelChoice, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What an image shows."""

    label: Label


class PredictBody(PredictOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """An image of one character."""

    image: Base64


class ReadBody(ReadOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """An image of a line or field of characters."""

    image: Base64


Side = Annotated[float, Meta(ge=0, le=100_000)]


class FormField(ReadOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A field of a form, and how to read it."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="the field's name")]
    box: Annotated[
        tuple[Side, Side, Annotated[float, Meta(ge=1, le=100_000)], Annotated[float, Meta(ge=1, le=100_000)]],
        Meta(description="x, y, width and height, in pixels of the reference"),
    ]


class Layout(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A form: a picture of it, and its fields."""

    reference: Base64
    fields: Annotated[list[FormField], Meta(min_length=1, max_length=100)]


class FormBody(Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A scan of a form, and its layout."""

    image: Base64
    layout: Annotated[
        Layout, Meta(description="a layout: an object with `reference`, and `fields`, each with `name` and `box`,")
    ]


class FeedbackBody(FeedbackOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """An image and the class that it shows."""

    image: Base64


class BatchBody(CharacterOptions, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Images of one character each."""

    images: Annotated[list[Base64], Meta(min_length=1, description="an array of at least one image as base64")]


class ModelVersion(Struct, frozen=True):
    """The version of a model that answered."""

    name: str
    version: Annotated[int, Meta(ge=1)]


Probability = Annotated[float, Meta(ge=0, le=1)]
Box = Annotated[tuple[int, int, int, int], Meta(description="x, y, width and height, in pixels of the upright original image")]


class Character(Struct, kw_only=True, frozen=True):
    """One character: the most probable class, and whether it is probably none of the model's."""

    prediction: str
    confidence: Probability
    probabilities: dict[str, Probability]
    rejected: bool


class Answered(Struct, kw_only=True, frozen=True):
    """An answer of a model."""

    id: Annotated[str, Meta(description="the request's id, also in the header X-Request-ID")]
    model: ModelVersion


class Prediction(Answered, kw_only=True, frozen=True):
    """The answer about one image."""

    prediction: str
    confidence: Probability
    probabilities: dict[str, Probability]
    rejected: bool
    input: Annotated[str, Meta(description="what the model saw: a PNG as base64")] | UnsetType = UNSET


class FieldError(Struct, frozen=True):
    """What is wrong with one part of a request."""

    pointer: Annotated[str, Meta(description="a JSON pointer (RFC 6901) into the body; of an option, `/` and its name")]
    detail: str


class Problem(Struct, kw_only=True):
    """What kept a request from being answered (RFC 9457)."""

    type: Annotated[str, Meta(extra_json_schema={"format": "uri-reference"})]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: str
    detail: str
    id: str | UnsetType = UNSET
    errors: list[FieldError] | UnsetType = UNSET
    error: Annotated[str, Meta(description="the detail, where clients of the Open Inference Protocol look")] | UnsetType = UNSET


class BatchError(Struct, frozen=True):
    """What kept one image of a batch from being recognised."""

    error: Problem


def _reference(kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


BatchResult = Annotated[Any, Meta(extra_json_schema={"anyOf": [_reference(Character), _reference(BatchError)]})]
"""msgspec takes no union of structs without tags."""
SHARED = (Problem, Character, BatchError)
"""What is referred to by name."""


class BatchAnswer(Answered, kw_only=True, frozen=True):
    """The answer about many images: a character or an error for each, in order."""

    results: list[BatchResult]


class FieldCharacter(Character, kw_only=True, frozen=True):
    """One character of a line."""

    box: Box


class Line(Struct, frozen=True):
    """A line of a field."""

    text: str
    confidence: Probability
    box: Box
    characters: list[FieldCharacter]


class Candidate(Struct, frozen=True):
    """One way to read the field."""

    text: str
    probability: Probability


class FieldReading(Answered, kw_only=True, frozen=True):
    """The answer about a field."""

    text: str
    confidence: Probability
    lines: list[Line]
    candidates: list[Candidate]
    satisfies: bool | UnsetType = UNSET


Point = tuple[int, int]


class FilledField(Struct, kw_only=True, frozen=True):
    """What a field says; nothing where nothing is written in it."""

    name: str
    text: str
    blank: bool
    corners: Annotated[list[Point], Meta(description="clockwise from the upper left, in pixels of the upright original scan")]
    model: ModelVersion | UnsetType = UNSET
    confidence: Probability | UnsetType = UNSET
    rejected: Annotated[bool, Meta(description="whether one of its characters is")] | UnsetType = UNSET
    satisfies: bool | UnsetType = UNSET
    candidates: list[Candidate] | UnsetType = UNSET


class FormReading(Struct, kw_only=True, frozen=True):
    """The answer about a form."""

    id: Annotated[str, Meta(description="the request's id, also in the header X-Request-ID")]
    fields: list[FilledField]


class FeedbackReceipt(Answered, kw_only=True, frozen=True):
    """Feedback that is durably stored."""

    label: str


class VersionDescription(Struct, kw_only=True, frozen=True):
    """A version as the model servers have it."""

    version: int
    state: Annotated[str, Meta(description="START, LOADING, AVAILABLE, UNLOADING or END; UNKNOWN where it is none of them")]
    labels: list[str]
    accuracy: float | None
    patterns: dict[str, str] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class ModelDescription(Struct, frozen=True):
    """A model as the model servers have it, its newest version first."""

    name: str
    is_default: bool
    classes: list[str]
    input_shape: list[int]
    versions: list[VersionDescription]


class ModelList(Struct, frozen=True):
    """The models, and whether the gateway takes feedback."""

    models: list[ModelDescription]
    feedback: bool


class Health(Struct, frozen=True):
    """The process can serve."""

    status: Literal["ok"]


class ReadyModel(Struct, frozen=True):
    """The versions of the default model that can answer."""

    name: str
    versions: list[int]


class Readiness(Struct, frozen=True):
    """The default model can answer."""

    status: Literal["ready"]
    model: ReadyModel


# The Open Inference Protocol: members that are not known are ignored, since clients send some of their own.


class InferInput(Struct, frozen=True):
    """The images, one string of base64 each."""

    name: Literal["image"]
    shape: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1, max_length=1, description="[N]: how many images")]
    datatype: Literal["BYTES"]
    data: Annotated[list[Base64], Meta(min_length=1)]


class BinaryParameters(Struct, frozen=True):
    """Where an input's data is: behind the JSON, so many bytes."""

    binary_data_size: Annotated[int, Meta(ge=1)]


class BinaryInput(Struct, frozen=True):
    """The images, behind the JSON: base64, or the files themselves."""

    name: Literal["image"]
    shape: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1, max_length=1)]
    datatype: Literal["BYTES"]
    parameters: BinaryParameters


class OutputParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How an output is given."""

    binary_data: bool | UnsetType = UNSET


OutputName = Literal["label", "probabilities"]


class RequestedOutput(Struct, frozen=True):
    """An output that is wanted; without any, both are given."""

    name: OutputName
    parameters: OutputParameters = OutputParameters()


class InferParameters(Struct, frozen=True):
    """How outputs are given that are not asked for by name."""

    binary_data_output: bool = False


class InferOptions(Struct, kw_only=True, frozen=True):
    """What a request to infer holds besides its input."""

    id: Annotated[str, Meta(description="comes back with the answer", max_length=1000)] | UnsetType = UNSET
    outputs: Annotated[list[RequestedOutput], Meta(max_length=8)] = []
    parameters: InferParameters = InferParameters()


class InferRequest(InferOptions, kw_only=True, frozen=True):
    """Images of one character each."""

    inputs: Annotated[list[InferInput], Meta(min_length=1, max_length=1)]


class BinaryInferRequest(InferOptions, kw_only=True, frozen=True):
    """The same, with the images behind the JSON."""

    inputs: Annotated[list[BinaryInput], Meta(min_length=1, max_length=1)]


class OutputPlace(Struct, frozen=True):
    """Where an output's data is: behind the JSON, so many bytes."""

    binary_data_size: int


class InferOutput(Struct, kw_only=True, frozen=True):
    """A label for each image, or its probabilities, class by class."""

    name: OutputName
    datatype: Literal["BYTES", "FP32"]
    shape: list[int]
    data: list[str | float] | UnsetType = UNSET
    parameters: OutputPlace | UnsetType = UNSET


class InferAnswer(Struct, kw_only=True, frozen=True):
    """The answer about the images."""

    id: str
    model_name: str
    model_version: str
    outputs: list[InferOutput]


class ServerMetadata(Struct, frozen=True):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Struct, frozen=True):
    """An input or output of a model; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, frozen=True):
    """A model, its versions that can answer, newest first, and what it takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(Struct, frozen=True):
    """The process can serve."""

    live: bool


class Ready(Struct, frozen=True):
    """The default model can answer."""

    ready: bool


class ModelReady(Struct, frozen=True):
    """The model can answer."""

    name: str
    ready: bool
