"""Requests in flight together leave in one call."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.batching import Batcher
from gateway.budget import Baton, Deadline, Overloaded
from gateway.catalogue import Catalogue, Classes
from gateway.metrics import Metrics, Stages
from handwriting.errors import NoInk
from handwriting.preprocess import Tensor
from tfserving.errors import DeadlineExceeded, InvalidResponse, ModelUnavailable, ServerFault, ServingError, UnknownVersion

LABELS = ("a", "b")


@dataclass
class Call:
    """A call that has begun; it ends when `finish` is called."""

    images: list[int]
    version: int | str | None
    seconds: float
    request_ids: list[str]
    ended: threading.Event = field(default_factory=threading.Event)
    error: ServingError | None = None

    def finish(self, error: ServingError | None = None) -> None:
        self.error = error
        self.ended.set()


class HeldCatalogue(Catalogue):
    """Answers each image with its first pixel as the score; each call waits to be finished, unless `is_open`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.is_open = False
        self.bad_image: int | None = None

    def scores(
        self,
        tensors: NDArray[np.uint8],
        model: str,
        version: int | str | None,
        deadline: Deadline,
        request_ids: Sequence[str] = (),
    ) -> tuple[NDArray[np.float32], int]:
        call = Call(tensors[:, 0, 0].tolist(), version, deadline.remaining(), list(request_ids))
        self.calls.append(call)
        if not self.is_open and not call.ended.wait(call.seconds):
            raise DeadlineExceeded("too late")
        if call.error:
            raise call.error
        if self.bad_image in call.images:
            raise InvalidResponse("not a number")
        share = tensors[:, 0, 0].astype(np.float32) / 255
        return np.stack([share, 1 - share], axis=1), 7

    def classes_of(self, model: str, version: int, deadline: Deadline) -> Classes:
        return Classes(LABELS, (0.5, 0.5))

    def forget(self, model: str, version: int) -> None:
        pass


@dataclass
class Crowd:
    """Clients of a batcher, each in a thread of its own."""

    catalogue: HeldCatalogue
    batcher: Batcher
    pool: ThreadPoolExecutor

    def ask(self, *images: int, version: int | None = None, seconds: float = 20.0, request_id: str = "") -> "Future[Any]":
        tensors = np.zeros((len(images), 28, 28), np.uint8)
        tensors[:, 0, 0] = images

        def run() -> list[int]:
            stages = Stages(monotonic(), request_id)
            scores, _, answered = self.batcher.scores_by_class(tensors, "m", version, Deadline(seconds), stages)
            assert answered == 7
            return (scores[:, 0] * 255).round().astype(int).tolist()

        return self.pool.submit(run)

    def ask_unprepared(self, image: int, prepared: "list[int] | None" = None, seconds: float = 20.0) -> "Future[Any]":
        """A request whose image is prepared by whoever leads; image 0 cannot be. `prepared` tells which ones were."""

        def prepare(enter: Callable[[str], None]) -> Tensor:
            enter("preprocess")
            if prepared is not None:
                prepared.append(image)
            if not image:
                raise NoInk("blank")
            return np.full((28, 28), image, np.uint8)

        def run() -> tuple[list[int], set[str]]:
            stages = Stages(monotonic())
            scores, _, _ = self.batcher.scores_by_class(prepare, "m", None, Deadline(seconds), stages)
            return (scores[:, 0] * 255).round().astype(int).tolist(), set(stages.seconds)

        return self.pool.submit(run)

    def ask_in_order(self, *images: int, **options: Any) -> "list[Future[Any]]":
        """One request for each image; each waits in line, or calls, before the next comes."""
        futures = []
        for image in images:
            before = self.present
            futures.append(self.ask(image, **options))
            until(lambda before=before: self.present > before)
        return futures

    @property
    def present(self) -> int:
        waiting = sum(len(line.waiting) for line in list(self.batcher._lines.values()))
        return waiting + sum(len(call.images) for call in self.catalogue.calls)


def until(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    catalogue = HeldCatalogue()
    with ThreadPoolExecutor(64) as pool:
        yield Crowd(catalogue, Batcher(catalogue, Baton(), Metrics(), largest_batch=8, most_waiting=20), pool)
        catalogue.is_open = True
        for call in catalogue.calls:
            call.finish()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are held for as long as a test likes, so none of them is a long one."""
    monkeypatch.setattr("gateway.batching._LONG_CALL_SECONDS", 60.0)


def test_a_lone_request_calls_at_once(crowd: Crowd) -> None:
    crowd.catalogue.is_open = True

    assert crowd.ask(3).result(10) == [3]
    assert [call.images for call in crowd.catalogue.calls] == [[3]]


def test_a_call_names_the_requests_that_ask(crowd: Crowd) -> None:
    futures = [crowd.ask(1, request_id="one")]
    until(lambda: crowd.present == 1)
    for image, name in ((2, "two"), (3, "three")):
        futures.append(crowd.ask(image, request_id=name))
        until(lambda image=image: crowd.present == image)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert [future.result(10) for future in futures] == [[1], [2], [3]]
    assert [call.request_ids for call in crowd.catalogue.calls] == [["one"], ["two", "three"]]


def test_those_that_come_during_a_call_leave_together_in_their_order(crowd: Crowd) -> None:
    answers = crowd.ask_in_order(1, 2, 3, 4)
    crowd.catalogue.calls[0].finish()
    until(lambda: len(crowd.catalogue.calls) == 2)
    crowd.catalogue.calls[1].finish()

    assert [answer.result(10) for answer in answers] == [[1], [2], [3], [4]]
    assert [call.images for call in crowd.catalogue.calls] == [[1], [2, 3, 4]]


def test_a_call_takes_no_more_than_the_largest_batch_and_nobody_overtakes(crowd: Crowd) -> None:
    first = crowd.ask_in_order(1)
    big = crowd.ask(*range(10, 16))
    until(lambda: crowd.present == 2)
    late = crowd.ask_in_order(2, 3, 4)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert big.result(10) == list(range(10, 16))
    assert [answer.result(10) for answer in (*first, *late)] == [[1], [2], [3], [4]]
    assert [call.images for call in crowd.catalogue.calls] == [[1], [10, 11, 12, 13, 14, 15, 2, 3], [4]]


def test_more_than_the_largest_batch_goes_in_several_calls_to_one_version(crowd: Crowd) -> None:
    crowd.catalogue.is_open = True

    assert crowd.ask(*range(20)).result(10) == list(range(20))
    assert [(len(call.images), call.version) for call in crowd.catalogue.calls] == [(8, None), (8, 7), (4, 7)]


def test_each_version_has_a_line_of_its_own(crowd: Crowd) -> None:
    crowd.ask_in_order(1, version=1)
    crowd.ask_in_order(2, version=2)

    assert [call.images for call in crowd.catalogue.calls] == [[1], [2]]


def test_a_line_that_nobody_needs_is_forgotten(crowd: Crowd) -> None:
    crowd.catalogue.is_open = True
    for version in range(50):
        crowd.ask(1, version=version).result(10)

    assert not crowd.batcher._lines


def test_one_bad_item_fails_none_of_its_neighbours(crowd: Crowd) -> None:
    crowd.catalogue.bad_image = 3
    answers = crowd.ask_in_order(1, 2, 3, 4)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert [answers[index].result(10) for index in (0, 1, 3)] == [[1], [2], [4]]
    with pytest.raises(InvalidResponse):
        answers[2].result(10)


@pytest.mark.parametrize("error", [ModelUnavailable("full"), UnknownVersion("no such version")])
def test_what_holds_for_all_is_told_to_all_without_asking_again(crowd: Crowd, error: ServingError) -> None:
    answers = crowd.ask_in_order(1, 2, 3)
    crowd.catalogue.calls[0].finish()
    until(lambda: len(crowd.catalogue.calls) == 2)
    crowd.catalogue.calls[1].finish(error)

    for answer in answers[1:]:
        with pytest.raises(type(error)):
            answer.result(10)
    assert len(crowd.catalogue.calls) == 2


def test_a_fault_of_the_server_is_tried_for_each_alone(crowd: Crowd) -> None:
    answers = crowd.ask_in_order(1, 2, 3)
    crowd.catalogue.calls[0].finish()
    until(lambda: len(crowd.catalogue.calls) == 2)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[1].finish(ServerFault("out of memory"))

    assert [answer.result(10) for answer in answers] == [[1], [2], [3]]
    assert sorted(call.images for call in crowd.catalogue.calls[2:]) == [[2], [3]]


def test_whose_time_is_over_leaves_the_line_and_costs_no_call(crowd: Crowd) -> None:
    crowd.ask_in_order(1)
    hurried = crowd.ask(2, seconds=0.05)
    with pytest.raises(DeadlineExceeded):
        hurried.result(10)
    patient = crowd.ask_in_order(3)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert patient[0].result(10) == [3]
    assert [call.images for call in crowd.catalogue.calls] == [[1], [3]]
    assert crowd.batcher._waiting_images == 0


def test_a_leaders_short_time_does_not_cut_its_companions_short(crowd: Crowd) -> None:
    crowd.ask_in_order(1)
    hurried = crowd.ask_in_order(2, seconds=0.3)
    patient = crowd.ask_in_order(3)
    crowd.catalogue.calls[0].finish()
    with pytest.raises(DeadlineExceeded):
        hurried[0].result(10)
    until(lambda: len(crowd.catalogue.calls) == 3)
    crowd.catalogue.calls[2].finish()

    assert patient[0].result(10) == [3]


def test_more_than_may_wait_is_turned_away(crowd: Crowd) -> None:
    crowd.ask_in_order(*range(21))

    with pytest.raises(Overloaded):
        crowd.ask(99).result(10)


def test_a_long_call_does_not_hold_the_others_back(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.batching._LONG_CALL_SECONDS", 0.02)
    crowd.ask(1)
    until(lambda: len(crowd.catalogue.calls) == 1)
    crowd.ask(2)
    until(lambda: len(crowd.catalogue.calls) == 2)  # beside the first
    crowd.catalogue.calls[1].finish()

    assert not crowd.catalogue.calls[0].ended.is_set()


def test_those_in_a_long_call_wait_for_it(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = crowd.ask_in_order(1, 2, 3)
    monkeypatch.setattr("gateway.batching._LONG_CALL_SECONDS", 0.005)
    crowd.catalogue.calls[0].finish()
    until(lambda: len(crowd.catalogue.calls) == 2)
    crowd.ask(4)
    until(lambda: len(crowd.catalogue.calls) == 3)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[1].finish()

    assert [answer.result(10) for answer in answers] == [[1], [2], [3]]


def test_a_bug_in_a_call_leaves_nobody_waiting(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = crowd.ask_in_order(1, 2, 3)
    monkeypatch.setattr(crowd.catalogue, "scores", lambda *_: 1 / 0)
    crowd.catalogue.calls[0].finish()

    for answer in answers[1:]:
        with pytest.raises(ZeroDivisionError):
            answer.result(10)


def test_who_leads_prepares_for_all(crowd: Crowd) -> None:
    prepared: list[int] = []
    crowd.ask_in_order(1)
    answers = []
    for image in (2, 3):
        answers.append(crowd.ask_unprepared(image, prepared))
        until(lambda image=image: crowd.present == image)
    assert prepared == []
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert [answer.result(10) for answer in answers] == [
        ([image], {"decode", "queue", "preprocess", "predict"}) for image in (2, 3)
    ]
    assert prepared == [2, 3]
    assert [call.images for call in crowd.catalogue.calls] == [[1], [2, 3]]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_image_that_cannot_be_prepared_fails_its_own_request_alone(crowd: Crowd, position: int) -> None:
    images = [2, 3]
    images.insert(position, 0)
    crowd.ask_in_order(1)
    answers = []
    for count, image in enumerate(images, 2):
        answers.append(crowd.ask_unprepared(image))
        until(lambda count=count: crowd.present == count)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    with pytest.raises(NoInk):
        answers.pop(position).result(10)
    assert [answer.result(10)[0] for answer in answers] == [[2], [3]]
    assert [call.images for call in crowd.catalogue.calls] == [[1], [2, 3]]


def test_a_bug_in_a_call_for_others_leaves_nobody_waiting(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd.ask_in_order(1)
    answers = [crowd.ask_unprepared(0)]
    until(lambda: crowd.present == 2)
    answers.append(crowd.ask_unprepared(2))
    until(lambda: crowd.present == 3)
    monkeypatch.setattr(crowd.catalogue, "scores", lambda *_: 1 / 0)
    crowd.catalogue.calls[0].finish()

    for answer in answers:
        with pytest.raises(ZeroDivisionError):
            answer.result(10)


def test_long_preparation_is_shared_out(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.batching._LONG_PREPARATION_SECONDS", 0.0)
    crowd.ask_in_order(1)
    answers = []
    for image in (2, 3):
        answers.append(crowd.ask_unprepared(image))
        until(lambda image=image: crowd.present == image)
    crowd.catalogue.calls[0].finish()
    until(lambda: len(crowd.catalogue.calls) == 3)  # the second leader has not waited for the first one's call
    crowd.catalogue.is_open = True
    for call in crowd.catalogue.calls:
        call.finish()

    assert [answer.result(10)[0] for answer in answers] == [[2], [3]]


def test_an_unprepared_image_whose_time_is_over_is_not_prepared(crowd: Crowd) -> None:
    prepared: list[int] = []
    crowd.ask_in_order(1)
    hurried = crowd.ask_unprepared(2, prepared, seconds=0.05)
    with pytest.raises(DeadlineExceeded):
        hurried.result(10)
    patient = crowd.ask_unprepared(3, prepared)
    until(lambda: crowd.present == 2)
    crowd.catalogue.is_open = True
    crowd.catalogue.calls[0].finish()

    assert patient.result(10)[0] == [3]
    assert prepared == [3]


def test_the_baton_is_free_when_all_is_done(crowd: Crowd) -> None:
    crowd.catalogue.is_open = True
    crowd.batcher._most_waiting = 10_000
    asked = [(crowd.ask_unprepared(image % 50, seconds=random.uniform(0, 0.05)), image % 50) for image in range(500)]
    for answer, image in asked:
        try:
            assert answer.result(30)[0] == [image]
        except (NoInk, DeadlineExceeded):
            continue

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: crowd.batcher._baton.take()).result(10) is None


def test_everyone_gets_their_own_answer_in_a_crowd(crowd: Crowd) -> None:
    crowd.catalogue.is_open = True
    crowd.batcher._most_waiting = 10_000
    answers = {image: [crowd.ask(image, (image + 1) % 256) for _ in range(20)] for image in range(0, 250, 10)}

    for image, futures in answers.items():
        assert all(future.result(30) == [image, (image + 1) % 256] for future in futures)
