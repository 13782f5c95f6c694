"""Requests in flight together → one call of the model server.

A request that finds no call for its model and version under way calls at once, in its own thread. Those that come meanwhile
wait in a line, first come first served; when the call has ended, the first of them calls for all that wait, up to the largest
batch. So nobody waits while the model server is idle, and the busier it is, the more images share the cost of a call.
"""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from gateway.budget import Baton, Deadline, Overloaded
from gateway.catalogue import Catalogue, Classes
from gateway.metrics import Metrics, Stages
from handwriting.preprocess import Tensor
from tfserving.errors import DeadlineExceeded, InvalidResponse, ServerFault, ServingError

_LONG_CALL_SECONDS = 0.05
"""A call that takes longer holds the line back no more: another may leave beside it."""
_MOST_CALLS = 16
"""Calls of one line at the same time, at most: what hangs on one model server must not hold back what the others can do."""

_MAY_BE_ONE_ITEMS_FAULT = (ServerFault, InvalidResponse)
"""Where a call for several ends so, each calls again for itself: one bad item fails none of its neighbours."""

_Key = tuple[str, int | str | None]  # a model, and the version or label that was asked for
_Scores = tuple[NDArray[np.float32], int]  # (N, K), and the version that gave them


@dataclass(eq=False, slots=True)
class _Item:
    """What one request wants to know. Its thread sleeps until `turn` can be acquired: then it has an outcome, or leads."""

    tensors: Tensor
    deadline: Deadline
    joined: float = field(default_factory=monotonic)
    called: float = 0.0
    turn: Lock = field(default_factory=Lock)
    companions: "list[_Item] | None" = None  # set when it is this item's turn to call: for itself and for these
    outcome: "_Scores | ServingError | None" = None
    must_go_alone: bool = False
    has_left: bool = False

    @property
    def is_awake(self) -> bool:
        """Whether it is this item's thread that must do something now."""
        return self.companions is not None or self.outcome is not None or self.must_go_alone


@dataclass(slots=True)
class _Line:
    """Those that wait for one model and version, and the calls under way for it."""

    waiting: deque[_Item] = field(default_factory=deque)
    calls: int = 0
    last_call: float = 0.0


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
        self, tensors: Tensor, model: str, version: int | str | None, deadline: Deadline, stages: Stages
    ) -> tuple[NDArray[np.float32], Classes, int]:
        """The probabilities float32 (N, K) of the images uint8 (N, 28, 28), with the classes and the number of the version that
        gave them. More images than the largest batch go in several calls, all to one version.

        Raises:
            Overloaded: too many wait already.
            ServingError: no believable answer came in time.
        """
        scores, answered = self._scores(tensors[: self._largest_batch], (model, version), deadline, stages)
        for first in range(self._largest_batch, len(tensors), self._largest_batch):
            more, _ = self._scores(tensors[first : first + self._largest_batch], (model, answered), deadline, stages)
            scores = np.concatenate([scores, more])
        classes = self._catalogue.classes_of(model, answered, deadline)
        if scores.shape[1] != len(classes.labels):
            self._catalogue.forget(model, answered)
            raise InvalidResponse(f"model {model} answered {scores.shape[1]} scores for {len(classes.labels)} classes")
        return scores, classes, answered

    def _scores(self, tensors: Tensor, key: _Key, deadline: Deadline, stages: Stages) -> _Scores:
        item = _Item(tensors, deadline)
        stages.enter("queue", at=item.joined)
        with self._baton.passed_on():
            line = self._join(item, key)
            while not item.is_awake:
                self._wait(item, line)
            if item.companions is not None:
                self._lead(item, line, key)
            stages.enter("predict", at=item.called)
            if item.must_go_alone:
                item.outcome = self._catalogue.scores(tensors, *key, deadline)
            stages.enter("queue")  # for the baton
        if isinstance(item.outcome, ServingError):
            raise item.outcome
        assert item.outcome is not None
        return item.outcome

    def _join(self, item: _Item, key: _Key) -> _Line:
        """Puts the item into its line, or makes it lead at once where no call is under way."""
        item.turn.acquire()
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            if not line.calls:
                line.calls = 1
                item.companions = []
                return line
            if self._waiting_images + len(item.tensors) > self._most_waiting:
                self._metrics.shed.labels("queue").inc()
                raise Overloaded(f"{self._waiting_images:,} images wait for the model server already")
            line.waiting.append(item)
            self._waiting_images += len(item.tensors)
        return line

    def _wait(self, item: _Item, line: _Line) -> None:
        """Returns when the item has an outcome or leads, or when it is time to look again.

        Raises:
            DeadlineExceeded: the item's time is over; it has left the line.
        """
        if item.turn.acquire(timeout=max(0.0, min(item.deadline.left(), _LONG_CALL_SECONDS))):
            return
        with self._lock:
            if item.is_awake:
                return
            if item.deadline.left() <= 0:
                self._leave(item, line)
                item.deadline.remaining()
            is_held_back = line.waiting and line.waiting[0] is item and monotonic() - line.last_call > _LONG_CALL_SECONDS
            if is_held_back and line.calls < _MOST_CALLS:
                self._give_turn(line)

    def _leave(self, item: _Item, line: _Line) -> None:
        item.has_left = True
        if item in line.waiting:
            line.waiting.remove(item)
            self._waiting_images -= len(item.tensors)

    def _lead(self, item: _Item, line: _Line, key: _Key) -> None:
        """Calls for the item and its companions, hands the line to the next, and gives everyone an outcome."""
        assert item.companions is not None
        group = [item, *(one for one in item.companions if not one.has_left)]
        try:
            line.last_call = monotonic()
            for one in group:
                one.called = line.last_call
            item.outcome = self._call(group, key, item.deadline)
        except ServingError as error:
            item.outcome = error
        finally:
            self._settle(group, item.outcome, line, key)

    def _call(self, group: Sequence[_Item], key: _Key, deadline: Deadline) -> _Scores:
        tensors = group[0].tensors if len(group) == 1 else np.concatenate([one.tensors for one in group])
        return self._catalogue.scores(tensors, *key, deadline)

    def _settle(self, group: Sequence[_Item], outcome: "_Scores | ServingError | None", line: _Line, key: _Key) -> None:
        companions = group[1:]
        with self._lock:
            line.calls -= 1
            if isinstance(outcome, DeadlineExceeded):  # the leader's; theirs may be later
                self._return(companions, line)
                companions = []
            self._give_turn(line)
            if not line.calls and not line.waiting:
                self._lines.pop(key, None)
        if isinstance(outcome, tuple):
            _share(outcome, group)
        elif companions and (outcome is None or isinstance(outcome, _MAY_BE_ONE_ITEMS_FAULT)):
            for one in group:
                one.must_go_alone = True
        else:
            for one in companions:
                one.outcome = copy.copy(outcome)
        for one in companions:
            one.turn.release()

    def _return(self, items: Sequence[_Item], line: _Line) -> None:
        """Puts them back to the front of the line, in their order."""
        for one in reversed(items):
            if not one.has_left:
                line.waiting.appendleft(one)
                self._waiting_images += len(one.tensors)

    def _give_turn(self, line: _Line) -> None:
        """Makes the first in the line lead a call for as many as fit into it."""
        if not line.waiting:
            return
        first = line.waiting.popleft()
        group, images = [first], len(first.tensors)
        while line.waiting and images + len(line.waiting[0].tensors) <= self._largest_batch:
            group.append(line.waiting.popleft())
            images += len(group[-1].tensors)
        self._waiting_images -= images
        line.calls += 1
        first.companions = group[1:]
        first.turn.release()


def _share(answer: _Scores, group: Sequence[_Item]) -> None:
    scores, version = answer
    first = 0
    for one in group:
        one.outcome = scores[first : first + len(one.tensors)], version
        first += len(one.tensors)
