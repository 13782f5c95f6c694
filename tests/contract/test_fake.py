"""What the fake can do beyond the contract: publish, fail, wait, go away and come back."""

import json
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from handwriting import contract
from tests.contract.servers import Caller, blank, eventually, refused
from tests.fakes import FakeModelServer
from tfserving import tensors, wire_pb2


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as server:
        yield server


@pytest.fixture
def caller(server: FakeModelServer) -> Iterator[Caller]:
    with Caller(server.address) as caller:
        yield caller


def ask(caller: Caller, signature: str, version: int | str | None = None, count: int = 1) -> wire_pb2.PredictResponse:
    request = wire_pb2.PredictRequest(model_spec=caller.spec(version, signature))
    request.inputs[contract.INDEX].CopyFrom(tensors.from_array(np.arange(count, dtype=np.int32)))
    return caller.predict(request)


def test_the_first_version_is_stable(caller: Caller) -> None:
    assert caller.scores(blank(), "stable")[0] == 1


def test_a_published_version_is_served_and_a_label_moves_to_it(server: FakeModelServer, caller: Caller) -> None:
    server.publish(5, scores=lambda images: np.eye(10, dtype=np.float32)[images[:, 0, 0]])
    server.move_label("stable", 5)

    version, scores = caller.scores(blank() + 7, "stable")

    assert (version, scores.argmax()) == (5, 7)


def test_labels_of_several_bytes_thresholds_and_card_are_told() -> None:
    with FakeModelServer(labels=("ä", "漢"), thresholds=(0.25, 0.5), card=json.dumps({"a": 1})) as server:
        with Caller(server.address) as caller:
            classes = ask(caller, contract.CLASSES_SIGNATURE, count=2)
            card = ask(caller, contract.CARD_SIGNATURE)

    assert [value.decode() for value in classes.outputs["label"].string_val] == ["ä", "漢"]
    assert list(classes.outputs["threshold"].float_val) == [0.25, 0.5]
    assert json.loads(card.outputs["card"].string_val[0]) == {"a": 1}


def test_an_unloaded_version_is_not_found_by_its_label(server: FakeModelServer, caller: Caller) -> None:
    server.unload(1)

    with refused("NOT_FOUND", "Servable not found for request: Specific(digits, 1)"):
        caller.scores(blank(), "stable")


def test_a_version_that_failed_to_load_is_told_and_not_served(server: FakeModelServer, caller: Caller) -> None:
    server.break_version(2)

    assert caller.states() == {2: "END", 1: "AVAILABLE"}
    assert caller.scores(blank())[0] == 1


def test_it_fails_as_often_as_it_is_told(server: FakeModelServer, caller: Caller) -> None:
    server.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", times=2)

    for _ in range(2):
        with refused("RESOURCE_EXHAUSTED", "full"):
            caller.scores(blank())
    assert caller.scores(blank())[0] == 1


def test_it_keeps_the_calls(server: FakeModelServer, caller: Caller) -> None:
    caller.scores(blank(3))

    server.wait_for_calls(1)
    assert [call.method for call in server.calls] == ["Predict"]
    assert tensors.to_array(server.calls_of("Predict")[0].inputs["images"]).shape == (3, 28, 28)


def test_it_waits_before_it_answers(server: FakeModelServer, caller: Caller) -> None:
    server.delay(0.2)
    started = time.monotonic()

    caller.scores(blank())

    assert time.monotonic() - started >= 0.2


def test_it_goes_away_and_comes_back_on_the_same_port(server: FakeModelServer) -> None:
    address = server.address
    server.delay(30)
    with Caller(address) as caller:
        call = caller.channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus").future(
            wire_pb2.GetModelStatusRequest(model_spec=caller.spec()).SerializeToString()
        )
        server.wait_for_calls(1, "GetModelStatus")
        server.stop()
        assert eventually(call.code) is not grpc.StatusCode.OK
    server.delay(0)

    server.start()

    assert server.address == address
    with Caller(address) as caller:
        assert caller.scores(blank())[0] == 1
