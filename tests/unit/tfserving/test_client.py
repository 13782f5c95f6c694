"""The client against a fake server over real gRPC."""

import threading
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from handwriting.contract import CLASSES_SIGNATURE, IMAGES, INDEX, LABEL, SCORES, SIGNATURE
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient, as_numbers
from tfserving.errors import (
    STATUS_ERRORS,
    ContractMismatch,
    DeadlineExceeded,
    InvalidResponse,
    ModelUnavailable,
    ServerFault,
    ServingError,
    UnknownModel,
    UnknownVersion,
)

BLANK = np.zeros((2, 28, 28), np.uint8)


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer(versions=(1, 2), version_labels={"stable": 1, "canary": 2}) as fake:
        yield fake


@pytest.fixture
def client(server: FakeModelServer) -> Iterator[ModelClient]:
    with ModelClient(server.address) as made:
        yield made


@pytest.mark.parametrize(("asked", "answered"), [(None, 2), (1, 1), ("stable", 1), ("canary", 2)])
def test_a_prediction_tells_which_version_made_it(client: ModelClient, asked: int | str | None, answered: int) -> None:
    prediction = client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, version=asked)

    assert prediction.version == answered
    assert prediction.outputs[SCORES].shape == (2, 10)


def test_the_requests_that_ask_are_named(server: FakeModelServer, client: ModelClient) -> None:
    client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, request_ids=["one", "", "two"])
    client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, request_ids=[""])
    client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, request_ids=[f"{number:0128}" for number in range(64)])

    few, none, many = (call.request_ids for call in server.calls[-3:])
    assert (few, none) == ("one,two", "")
    assert many == ",".join(f"{number:0128}" for number in range(31))  # more would be more than gRPC takes


def test_strings_come_as_bytes(client: ModelClient) -> None:
    index = np.arange(10, dtype=np.int32)

    outputs = client.predict("digits", {INDEX: index}, signature=CLASSES_SIGNATURE, version="stable").outputs

    assert outputs[LABEL].tolist() == [str(digit).encode() for digit in range(10)]


def test_metadata_by_label_tells_the_version_and_its_inputs(client: ModelClient) -> None:
    metadata = client.metadata("digits", "canary")

    assert metadata.version == 2
    assert metadata.signatures[SIGNATURE].inputs == {IMAGES: (-1, 28, 28)}
    assert metadata.signatures[SIGNATURE].outputs == {SCORES: (-1, 10)}


def test_status_lists_the_newest_version_first(server: FakeModelServer, client: ModelClient) -> None:
    server.break_version(3, text="Read less bytes than requested")

    statuses = client.status("digits")

    assert [(status.version, status.state) for status in statuses] == [(3, "END"), (2, "AVAILABLE"), (1, "AVAILABLE")]
    assert "less bytes" in statuses[0].error_message


@pytest.mark.parametrize(
    ("model", "version", "signature", "error"),
    [
        ("nope", None, SIGNATURE, UnknownModel),
        ("digits", 9, SIGNATURE, UnknownVersion),
        ("digits", "blue", SIGNATURE, UnknownVersion),
        ("digits", "stable", "characters_v9", ContractMismatch),
    ],
)
def test_what_is_not_there_is_told_apart(
    client: ModelClient, model: str, version: int | str | None, signature: str, error: type[ServingError]
) -> None:
    with pytest.raises(error):
        client.predict(model, {IMAGES: BLANK}, signature=signature, version=version)


def test_a_call_of_the_wrong_shape_is_our_fault(client: ModelClient) -> None:
    with pytest.raises(ServerFault):
        client.predict("digits", {"pictures": BLANK}, signature=SIGNATURE)


def test_a_slow_server_is_given_up_in_time(server: FakeModelServer, client: ModelClient) -> None:
    server.delay(5)
    start = time.monotonic()

    with pytest.raises(DeadlineExceeded):
        client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, timeout_seconds=0.1)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_passing_failure_is_tried_again(server: FakeModelServer, client: ModelClient, status: grpc.StatusCode) -> None:
    server.fail_with(status, times=2)

    assert client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE).version == 2


def test_a_lasting_failure_is_told(server: FakeModelServer, client: ModelClient) -> None:
    server.fail_with(grpc.StatusCode.UNAVAILABLE)

    with pytest.raises(ModelUnavailable) as caught:
        client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, timeout_seconds=2)
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE


def test_a_fault_of_the_server_is_not_tried_again(server: FakeModelServer, client: ModelClient) -> None:
    server.fail_with(grpc.StatusCode.INTERNAL)

    with pytest.raises(ServerFault):
        client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE)
    assert len(server.calls_of("Predict")) == 1


def test_a_server_that_returns_is_found_again_within_two_seconds(server: FakeModelServer, client: ModelClient) -> None:
    client.status("digits")
    server.stop()
    with pytest.raises(ModelUnavailable):
        client.status("digits")
    server.start()
    returned = time.monotonic()

    while time.monotonic() - returned < 10:
        try:
            client.status("digits", timeout_seconds=1)
            break
        except ModelUnavailable:
            time.sleep(0.02)

    assert time.monotonic() - returned < 2


def until_asked(client: ModelClient, server: FakeModelServer) -> None:
    """Returns once the client uses the server: it connects to several at the same time."""
    deadline = time.monotonic() + 10
    while not server.calls_of("Predict"):
        client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE)
        assert time.monotonic() < deadline


def test_calls_are_spread_over_several_servers() -> None:
    with FakeModelServer() as one, FakeModelServer() as two, ModelClient(f"{one.address},{two.address}") as client:
        for _ in range(20):
            client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE)
        # The second connection may come up after the first calls.
        deadline = time.monotonic() + 5
        while not (one.calls and two.calls) and time.monotonic() < deadline:
            client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE)

        assert one.calls
        assert two.calls


def test_a_server_that_hangs_is_passed_over_and_then_left_alone() -> None:
    with FakeModelServer() as one, FakeModelServer() as other:
        with ModelClient(f"{one.address},{other.address}", attempt_seconds=0.1) as client:
            until_asked(client, one)
            one.delay(60)
            deadline = time.monotonic() + 60
            while len(one.calls_of("Predict")) * 20 >= len(other.calls_of("Predict")):
                client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, timeout_seconds=20)
                assert time.monotonic() < deadline
            one.stop()


def test_a_single_slow_server_is_waited_for(server: FakeModelServer) -> None:
    with ModelClient(server.address, attempt_seconds=0.1) as client:
        server.delay(0.4)

        assert client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, timeout_seconds=20).version == 2
    assert len(server.calls_of("Predict")) == 1


def test_a_server_that_dies_under_calls_fails_none_of_them() -> None:
    with FakeModelServer() as one, FakeModelServer() as other, ModelClient(f"{one.address},{other.address}") as client:
        until_asked(client, one)
        one.delay(60)
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, timeout_seconds=20).version)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        asked = len(one.calls_of("Predict"))
        for thread in threads:
            thread.start()
        one.wait_for_calls(asked + 1)
        one.stop()
        for thread in threads:
            thread.join()

    assert answers == [1] * 8


def test_one_client_serves_many_threads(server: FakeModelServer, client: ModelClient) -> None:
    versions: list[int] = []

    def ask() -> None:
        for _ in range(10):
            versions.append(client.predict("digits", {IMAGES: BLANK}, signature=SIGNATURE, version="stable").version)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert versions == [1] * 80


@pytest.mark.parametrize("address", ["", "localhost", "a:1,b:2", "127.0.0.1:1,[::1]:2"])
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="model server address"):
        ModelClient(address)


def test_every_grpc_status_has_its_meaning() -> None:
    assert set(STATUS_ERRORS) == set(grpc.StatusCode)


@pytest.mark.parametrize("values", [[np.nan], [np.inf], [b"text"]])
def test_what_is_no_number_is_not_believed(values: list[object]) -> None:
    array = np.array(values, dtype=object if isinstance(values[0], bytes) else np.float32)

    with pytest.raises(InvalidResponse):
        as_numbers(array)
