"""A second model joins while the first one serves: another alphabet, other counts of classes, labels of several bytes."""

import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from handwriting.image import to_base64
from tests.e2e.conftest import ROOT, House, free_port, start, stop, wait_until_ready
from tfserving.repository import Repository

STROKES = {
    "ㄱ": [[(10, 10), (50, 10), (50, 50)]],
    "Ж": [[(30, 8), (30, 52)], [(8, 8), (52, 52)], [(52, 8), (8, 52)]],
    "ch": [[(26, 16), (8, 16), (8, 50), (26, 50), (26, 34), (46, 34), (46, 6), (46, 56)]],
}
COUNTS = {"ㄱ": 14, "Ж": 10, "ch": 6}
HIDDEN = 7
"""The seed of pictures that no model was trained on."""


def drawn(label: str, generator: np.random.Generator, offset: tuple[int, int] = (20, 20)) -> Image.Image:
    image = Image.new("L", (100, 100), 255)
    for line in STROKES[label]:
        moved = [tuple(np.array(point) + offset + generator.normal(0, 1.2, 2)) for point in line]
        ImageDraw.Draw(image).line(moved, fill=20, width=int(generator.integers(4, 7)), joint="curve")
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def ask(house: House, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(house.url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of an untrained model of ten digits, by their numbers."""
    folder = tmp_path_factory.mktemp("tiny")
    command = [sys.executable, "-m", "tests.contract.make_tiny_model", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return folder / "digits"


@pytest.fixture(scope="module")
def two_models(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`hcr up` with digits, and then a recipe made from a folder and trained, without a restart."""
    folder = tmp_path_factory.mktemp("house")
    repo = Repository(folder / "models")
    repo.open()
    repo.publish("digits", exported / "1")
    house = start(folder, free_port())
    try:
        wait_until_ready(house)
        add_signs(house)
        yield house
    finally:
        stop(house)


def add_signs(house: House) -> None:
    generator = np.random.default_rng(1)
    for label, count in COUNTS.items():
        (house.folder / "pictures" / label).mkdir(parents=True)
        for number in range(count):
            drawn(label, generator).save(house.folder / "pictures" / label / f"{number}.png")
    made = house.hcr("new-recipe", "signs", "--data", "pictures")
    assert made.returncode == 0, made.stderr
    recipe = house.folder / "signs.toml"
    text = re.sub(r"(?m)^restyled = \d+", "restyled = 240", recipe.read_text(encoding="utf-8"))
    recipe.write_text(re.sub(r"epochs = \d+ }", "epochs = 12 }", text), encoding="utf-8")
    trained = house.hcr("train", "signs.toml", "--quick", "--repository", "models")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    deadline = time.monotonic() + 20
    while ask(house, "/v1/models/signs")[1].get("versions", [{}])[0].get("state") != "AVAILABLE":
        assert time.monotonic() < deadline, "the model server did not load the second model"
        time.sleep(0.1)


def test_a_model_is_listed_before_anybody_has_asked_it(two_models: House) -> None:
    status, body = ask(two_models, "/v1/models")

    assert status == 200
    told = {model["name"]: model for model in body["models"]}
    assert told["digits"]["is_default"] is True
    assert told["digits"]["classes"] == list("0123456789")
    assert told["signs"]["is_default"] is False
    assert told["signs"]["classes"] == sorted(COUNTS)


@pytest.mark.parametrize("label", COUNTS)
def test_each_model_answers_with_its_own_labels(two_models: House, label: str) -> None:
    image = to_base64(png(drawn(label, np.random.default_rng(HIDDEN))))

    status, body = ask(two_models, "/v1/predict", {"image": image, "model": "signs"})
    _, of_digits = ask(two_models, "/v1/predict", {"image": image})

    assert status == 200, body
    assert body["model"]["name"] == "signs"
    assert body["prediction"] == label
    assert set(body["probabilities"]) == set(COUNTS)
    assert of_digits["model"]["name"] == "digits"
    assert set(of_digits["probabilities"]) == set("0123456789")


def test_a_field_of_labels_of_several_bytes_is_read_and_constrained(two_models: House) -> None:
    generator = np.random.default_rng(HIDDEN)
    field = np.hstack([np.asarray(drawn(label, generator)) for label in ("Ж", "ㄱ", "Ж")])
    request = {"image": to_base64(png(Image.fromarray(field))), "model": "signs"}

    _, free = ask(two_models, "/v1/read", request)
    _, satisfied = ask(two_models, "/v1/read", {**request, "charset": "Жㄱ", "pattern": "Ж[ㄱ-ㄴ]Ж", "length": 3})
    _, unsatisfied = ask(two_models, "/v1/read", {**request, "charset": "0123456789"})

    assert free["text"] == "ЖㄱЖ"
    assert (satisfied["text"], satisfied["satisfies"]) == ("ЖㄱЖ", True)
    assert unsatisfied["satisfies"] is False


def test_the_command_asks_the_second_model(two_models: House) -> None:
    file = two_models.folder / "unseen.png"
    drawn("ㄱ", np.random.default_rng(HIDDEN)).save(file)

    told = two_models.hcr("predict", "unseen.png", "--model", "signs")
    read = two_models.hcr("read", "unseen.png", "--model", "signs", "--charset", "ㄱ")

    assert told.returncode == 0, told.stderr
    assert "unseen.png: ㄱ " in told.stdout
    assert re.search(r"→ ㄱ █+", told.stdout)
    assert re.search(r"unseen.png: \[?ㄱ\]? ", read.stdout)  # marked where the small model is not sure


def test_labels_of_several_bytes_are_in_the_metrics(two_models: House) -> None:
    image = to_base64(png(drawn("Ж", np.random.default_rng(HIDDEN))))
    ask(two_models, "/v1/predict", {"image": image, "model": "signs"})

    with urllib.request.urlopen(f"{two_models.url}/metrics", timeout=10) as response:
        text = response.read().decode("utf-8")

    assert re.search(r'gateway_predictions_total\{label="Ж",model="signs",version="1"\} \d', text)


def test_readiness_is_that_of_the_default_model(two_models: House) -> None:
    assert ask(two_models, "/readyz") == (200, {"status": "ready", "model": {"name": "digits", "versions": [1]}})


def test_an_unknown_model_is_404_on_every_route(two_models: House) -> None:
    image = to_base64(png(drawn("Ж", np.random.default_rng(HIDDEN))))
    answers = [
        ask(two_models, "/v1/predict", {"image": image, "model": "runes"}),
        ask(two_models, "/v1/predict:batch", {"images": [image], "model": "runes"}),
        ask(two_models, "/v1/read", {"image": image, "model": "runes"}),
        ask(two_models, "/v1/models/runes"),
    ]

    assert [(status, body["code"]) for status, body in answers] == [(404, "unknown_model")] * 4


def test_versions_of_one_model_may_differ_in_their_classes(two_models: House, exported: Path) -> None:
    number = Repository(two_models.repository).publish("signs", exported / "2")
    promoted = two_models.hcr("promote", "signs", str(number), "--repository", "models")
    image = to_base64(png(drawn("Ж", np.random.default_rng(HIDDEN))))

    _, stable = ask(two_models, "/v1/predict", {"image": image, "model": "signs"})
    _, previous = ask(two_models, "/v1/predict", {"image": image, "model": "signs", "version": "previous"})
    _, read = ask(two_models, "/v1/read", {"image": image, "model": "signs", "version": 1, "length": 1})

    assert promoted.returncode == 0, promoted.stderr
    assert (stable["model"]["version"], len(stable["probabilities"])) == (number, 10)
    assert (previous["model"]["version"], set(previous["probabilities"])) == (1, set(COUNTS))
    assert read["text"] == "Ж"
