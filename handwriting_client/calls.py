"""What is asked of a gateway, and how its answer is read; knows no connection."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

from handwriting_client.images import Image, to_file
from handwriting_client.results import Batch, Json, Model, Models, Prediction, Reading, Receipt

Result = TypeVar("Result")


class ModelChoice(TypedDict, total=False):
    """Which model is asked; `version` is a number or a label such as "canary". Without: the gateway's default."""

    model: str
    version: int | str


class CharacterOptions(ModelChoice, total=False):
    """`top_k`: how many probabilities. `polarity`: whether characters are darker or lighter than the paper."""

    top_k: int
    polarity: Literal["auto", "dark_on_light", "light_on_dark"]


class PredictOptions(CharacterOptions, total=False):
    """`include="input"`: the answer has what the model saw."""

    include: Literal["input"]


class ReadOptions(CharacterOptions, total=False):
    """What the text is like; see docs/api.md."""

    length: int
    charset: str
    pattern: str
    check: Literal["luhn", "mod97", "mod11"]
    max_candidates: int


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A request, without an address; `parse` makes the result of the answer's JSON. Each may be sent more than once: what is
    asked changes nothing, and feedback is stored once however often it comes."""

    method: str
    path: str
    parse: Callable[[Json], Result]
    body: bytes | None = None


def predict(image: Image, options: PredictOptions) -> Call[Prediction]:
    return _post("/v1/predict", Prediction.from_json, {"image": _base64(image), **options})


def predict_many(images: Iterable[Image], options: CharacterOptions) -> Call[Batch]:
    return _post("/v1/predict:batch", Batch.from_json, {"images": [_base64(image) for image in images], **options})


def read(image: Image, options: ReadOptions) -> Call[Reading]:
    return _post("/v1/read", Reading.from_json, {"image": _base64(image), **options})


def feedback(image: Image, label: str, options: ModelChoice) -> Call[Receipt]:
    return _post("/v1/feedback", Receipt.from_json, {"image": _base64(image), "label": label, **options})


def models() -> Call[Models]:
    return Call("GET", "/v1/models", Models.from_json)


def model(name: str) -> Call[Model]:
    return Call("GET", f"/v1/models/{quote(name, safe='')}", Model.from_json)


def _post(path: str, parse: Callable[[Json], Result], values: Mapping[str, Any]) -> Call[Result]:
    return Call("POST", path, parse, json.dumps(values).encode())


def _base64(image: Image) -> str:
    return base64.b64encode(to_file(image)).decode("ascii")
