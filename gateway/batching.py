"""Requests in flight together → one call of the model server.

A request that finds nobody at work for its model and version takes the lead at once, in its own thread: it prepares its image
and calls. Those that come meanwhile wait in a line, first come first served; when the call has ended, the first of them takes
the lead for all that wait, up to the largest batch. So nobody waits while the model server is idle, and the busier it is, the
more images share the cost of a call. Images of several requests prepared one after the other also take less of the processor's
time than between the other parts of their requests: what they need is in its caches.
"""

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from gateway.budget import Baton, Deadline, Overloaded, asleep
from gateway.catalogue import Catalogue, Classes
from gateway.metrics import Metrics, Stages
from handwriting.preprocess import Tensor
from tfserving.errors import DeadlineExceeded, InvalidResponse, ServerFault, ServingError

_LONG_CALL_SECONDS = 0.05
"""A call that takes longer holds the line back no more: others may leave beside it."""
_LONG_PREPARATION_SECONDS = 0.005
"""After so long a leader prepares no more images, and calls; the next leader goes on. Not while a call takes long: the
more leave in one call then, the fewer are caught by a model server that hangs."""
_MOST_CALLS = 16
"""Calls of one line at the same time, at most: what hangs on one model server must not hold back what the others can do."""

_MAY_BE_ONE_ITEMS_FAULT = (ServerFault, InvalidResponse)
"""Where a call for several ends so, each calls again for itself: one bad item fails none of its neighbours."""

_Key = tuple[str, int | str | None]  # a model, and the version or label that was asked for
_Scores = tuple[NDArray[np.float32], int]  # (N, K), and the version that gave them

Preparation = Callable[[Callable[[str], None]], Tensor]
"""Makes the tensor uint8 (28, 28) of one image; calls what it is given with the name of each stage as it enters it."""


@dataclass(eq=False, slots=True)
class _Item:
    """What one request wants to know. Its thread sleeps on `turn`: when it wakes, it has an outcome, or leads."""

    deadline: Deadline
    size: int  # in images
    tensors: Tensor | None  # (N, 28, 28); of one that is not prepared yet, None
    preparation: Preparation | None = None
    request_id: str = ""
    turn: Lock = field(default_factory=asleep)
    stages: list[tuple[str, float]] = field(default_factory=list)  # that it has entered, and when
    leads: bool = False
    led: float = 0.0  # since when
    has_left: bool = False
    must_go_alone: bool = False
    outcome: "_Scores | Exception | None" = None

    @property
    def is_awake(self) -> bool:
        """Whether it is this item's thread that must do something now, or will be as soon as it has the baton."""
        return self.leads or self.outcome is not None or self.must_go_alone

    def enter(self, stage: str) -> None:
        self.stages.append((stage, monotonic()))

    def prepare(self) -> None:
        """Makes the tensors, or the outcome where there are none to be had."""
        if self.preparation is None or self.tensors is not None:
            return
        try:
            self.deadline.remaining()
            self.tensors = self.preparation(self.enter)[np.newaxis]
        except Exception as error:  # the request's own, whichever thread meets it
            self.outcome = error
        self.enter("queue")


@dataclass(slots=True)
class _Line:
    """Those that wait for one model and version, and the groups under way for it."""

    waiting: deque[_Item] = field(default_factory=deque)
    leaders: set[_Item] = field(default_factory=set)

    @property
    def is_free(self) -> bool:
        """Whether another may lead. What takes long does not count: it may hang, on one model server of several."""
        return len(self.leaders) < _MOST_CALLS and all(self._is_long(one) for one in self.leaders)

    @property
    def is_in_trouble(self) -> bool:
        """Whether a call takes long."""
        return any(self._is_long(one) for one in self.leaders)

    def _is_long(self, leader: _Item) -> bool:
        return monotonic() - leader.led > _LONG_CALL_SECONDS


class Batcher:
    """Asks the models of `catalogue` for scores, for several requests at once. Thread-safe.

    `largest_batch` is the number of images in a call, `most_waiting` the number of those that wait in all lines, at most.
    """

    def __init__(
        self, catalogue: Catalogue, baton: Baton, metrics: Metrics, largest_batch: int = 64, most_waiting: int = 4096
    ) -> None:
        self._catalogue = catalogue
        self._baton = baton
        self._metrics = metrics
        self._largest_batch = largest_batch
        self._most_waiting = most_waiting
        self._lock = Lock()
        self._lines: dict[_Key, _Line] = {}
        self._waiting_images = 0

    def scores_by_class(
        self, images: "Tensor | Preparation", model: str, version: int | str | None, deadline: Deadline, stages: Stages
    ) -> tuple[NDArray[np.float32], Classes, int]:
        """The probabilities float32 (N, K) of the images uint8 (N, 28, 28), with the classes and the number of the version that
        gave them. More images than the largest batch go in several calls, all to one version. Instead of images one that is
        still to be prepared can be given, by whoever has the time.

        Raises:
            Overloaded: too many wait already.
            ServingError: no believable answer came in time.
            Whatever the preparation raises.
        """
        scores, answered = self._scores(self._first_item(images, deadline, stages.request_id), (model, version), stages)
        if not callable(images):
            for first in range(self._largest_batch, len(images), self._largest_batch):
                rest = images[first : first + self._largest_batch]
                item = _Item(deadline, len(rest), rest, request_id=stages.request_id)
                more, _ = self._scores(item, (model, answered), stages)
                scores = np.concatenate([scores, more])
        classes = self._catalogue.classes_of(model, answered, deadline)
        if scores.shape[1] != len(classes.labels):
            self._catalogue.forget(model, answered)
            raise InvalidResponse(f"model {model} answered {scores.shape[1]} scores for {len(classes.labels)} classes")
        return scores, classes, answered

    def _first_item(self, images: "Tensor | Preparation", deadline: Deadline, request_id: str) -> _Item:
        if callable(images):
            return _Item(deadline, 1, None, images, request_id)
        first = images[: self._largest_batch]
        return _Item(deadline, len(first), first, request_id=request_id)

    def _scores(self, item: _Item, key: _Key, stages: Stages) -> _Scores:
        stages.enter("queue")
        with self._baton.held():
            line = self._join(item, key)
            if item.leads:
                self._baton.step_back()  # those who come first may come along
            else:
                self._wait(item, line)
            if item.leads:
                self._lead(item, line, key)
            if item.must_go_alone:
                item.enter("predict")
                item.outcome = self._catalogue.scores(_tensors_of(item), *key, item.deadline, (item.request_id,))
                item.enter("queue")
        for stage, at in item.stages:
            stages.enter(stage, at)
        if isinstance(item.outcome, Exception):
            raise item.outcome
        assert item.outcome is not None
        return item.outcome

    def _join(self, item: _Item, key: _Key) -> _Line:
        """Puts the item into its line, or makes it lead at once where nobody does."""
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            if not line.leaders:
                self._appoint(item, line)
                return line
            if self._waiting_images + item.size > self._most_waiting:
                self._metrics.shed.labels("queue").inc()
                raise Overloaded(f"{self._waiting_images:,} images wait for the model server already")
            line.waiting.append(item)
            self._waiting_images += item.size
        return line

    def _wait(self, item: _Item, line: _Line) -> None:
        """Gives the baton away, and returns with it when the item has an outcome or leads.

        Raises:
            DeadlineExceeded: the item's time is over; it has left the line.
        """
        self._baton.give_away()
        while not item.turn.acquire(timeout=max(0.0, min(item.deadline.left(), _LONG_CALL_SECONDS))):
            with self._lock:
                if item.is_awake:
                    break
                if item.deadline.left() <= 0:
                    self._leave(item, line)
                    break
                if line.waiting and line.waiting[0] is item and line.is_free:
                    self._give_turn(line)
        else:
            self._baton.receive()
            return
        if item.has_left:
            self._baton.take()
            item.deadline.remaining()
        item.turn.acquire()  # it is promised
        self._baton.receive()

    def _leave(self, item: _Item, line: _Line) -> None:
        item.has_left = True
        if item in line.waiting:
            line.waiting.remove(item)
            self._waiting_images -= item.size

    def _lead(self, item: _Item, line: _Line, key: _Key) -> None:
        """Prepares and calls for the item and its companions, hands the line to the next, and gives everyone an outcome."""
        group = self._gather(item, line)
        self._baton.give_away()
        outcome: _Scores | Exception | None = None
        try:
            if group:
                item.led = monotonic()
                for one in group:
                    one.stages.append(("predict", item.led))
                outcome = self._call(group, key)
        except ServingError as error:
            outcome = error
        finally:
            self._settle(item, group, outcome, line, key)

    def _gather(self, item: _Item, line: _Line) -> list[_Item]:
        """The item and those that come along, prepared; not those that cannot be, who have their outcome already."""
        begun = monotonic()
        item.prepare()
        group = [item] if item.outcome is None else []
        images = sum(one.size for one in group)
        while True:
            with self._lock:
                if not line.waiting or images + line.waiting[0].size > self._largest_batch:
                    return group
                if monotonic() - begun > _LONG_PREPARATION_SECONDS and not line.is_in_trouble:
                    if len(line.leaders) < _MOST_CALLS:
                        self._give_turn(line)
                    return group
                one = line.waiting.popleft()
                self._waiting_images -= one.size
            one.prepare()
            if one.outcome is None:
                group.append(one)
                images += one.size
                continue
            with self._lock:
                if not one.has_left:
                    self._baton.promise([one.turn])

    def _call(self, group: Sequence[_Item], key: _Key) -> _Scores:
        tensors = _tensors_of(group[0]) if len(group) == 1 else np.concatenate([_tensors_of(one) for one in group])
        return self._catalogue.scores(tensors, *key, group[0].deadline, [one.request_id for one in group])

    def _settle(self, item: _Item, group: list[_Item], outcome: "_Scores | Exception | None", line: _Line, key: _Key) -> None:
        """Gives all in the group the outcome, and the first who waits the lead; returns with the baton."""
        answered = monotonic()
        own = asleep()
        with self._lock:
            line.leaders.remove(item)
            companions = [one for one in group if one is not item and not one.has_left]
            if isinstance(outcome, DeadlineExceeded):  # the first one's; that of others may be later
                later = [one for one in companions if one is not group[0]]
                self._return(later, line)
                companions = [one for one in companions if one is group[0]]
            if isinstance(outcome, tuple):
                _share(outcome, group)
            else:
                alone = outcome is None or (len(group) > 1 and isinstance(outcome, _MAY_BE_ONE_ITEMS_FAULT))
                for one in [item, *companions] if item in group else companions:
                    one.must_go_alone = alone
                    one.outcome = None if alone else copy.copy(outcome)
            for one in group:
                one.stages.append(("queue", answered))
            self._baton.promise([own, *(one.turn for one in companions)])
            self._give_turn(line)
            if not line.leaders and not line.waiting:
                self._lines.pop(key, None)
        own.acquire()
        self._baton.receive()

    def _return(self, items: Sequence[_Item], line: _Line) -> None:
        """Puts them back to the front of the line, in their order."""
        for one in reversed(items):
            line.waiting.appendleft(one)
            self._waiting_images += one.size

    def _give_turn(self, line: _Line) -> None:
        """Makes the first in the line lead the next group, as soon as it has the baton."""
        if not line.waiting:
            return
        first = line.waiting.popleft()
        self._waiting_images -= first.size
        self._appoint(first, line)
        self._baton.promise([first.turn])

    def _appoint(self, item: _Item, line: _Line) -> None:
        item.leads = True
        item.led = monotonic()
        line.leaders.add(item)


def _tensors_of(item: _Item) -> Tensor:
    assert item.tensors is not None
    return item.tensors


def _share(answer: _Scores, group: Sequence[_Item]) -> None:
    scores, version = answer
    first = 0
    for one in group:
        one.outcome = scores[first : first + one.size], version
        first += one.size
