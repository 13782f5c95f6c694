"""How long one image takes; by a clock that the test turns."""

from collections.abc import Callable

import numpy as np
import pytest

from pipelines import latency


class Clock:
    """Time passes only in calls, as many seconds as `taken` says of the call's number and the image's."""

    def __init__(self, taken: Callable[[int, int], float], monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.calls, self._taken = 0.0, 0, taken
        monkeypatch.setattr("pipelines.latency.time", self)

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic

    def call(self, image: int) -> None:
        self.now += self._taken(self.calls, image)
        self.calls += 1


def test_each_image_is_asked_for_four_times(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda call, image: 0.001, monkeypatch)

    seconds = latency.measured(clock.call, 0.01)

    assert seconds == pytest.approx(np.full(50, 0.001))
    assert clock.calls == 5 + 4 * 50


def test_what_is_slow_each_time_is_not_measured_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda call, image: 0.5, monkeypatch)

    assert latency.p99(latency.measured(clock.call, 0.01)) == pytest.approx(0.5)
    assert clock.calls == 5 + 50


def test_calls_that_the_machine_makes_longer_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda call, image: 0.3 if call % 7 == 0 else 0.001, monkeypatch)

    assert latency.p99(latency.measured(clock.call, 0.01)) == pytest.approx(0.001)


def test_an_image_that_the_version_takes_long_for_does_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(lambda call, image: 0.3 if image in (3, 4) else 0.001, monkeypatch)

    assert latency.p99(latency.measured(clock.call, 0.01)) == pytest.approx(0.3)
    assert clock.calls == 5 + 8 * 50
