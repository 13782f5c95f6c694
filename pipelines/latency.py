"""How long one image takes, with a tail that is the version's and not the machine's."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

_WARM_UP, _IMAGES = 5, 50
_ROUNDS, _MOST_ROUNDS = 4, 8
_ENOUGH_SECONDS = 1.0


def measured(call: Callable[[int], object], limit_seconds: float) -> Seconds:
    """The seconds of `call` for each of 50 images, whose number it is given: of several calls the quickest.

    What else a machine does makes some calls longer and none shorter; an image that takes the version long takes it long each
    time. Each image is asked for four times, or as often as fits into a second; up to eight times where the 99th percentile is
    above the limit and the median is not. The first five calls are not counted.
    """
    for number in range(_WARM_UP):
        call(number)
    started = time.monotonic()
    best = _round(call)
    for number in range(1, _MOST_ROUNDS):
        is_doubtful = p99(best) > limit_seconds >= float(np.median(best))
        if not is_doubtful and (number >= _ROUNDS or time.monotonic() - started > _ENOUGH_SECONDS):
            break
        best = np.minimum(best, _round(call))
    return best


def p99(seconds: Seconds) -> float:
    """The 99th percentile."""
    return float(np.percentile(seconds, 99))


def _round(call: Callable[[int], object]) -> Seconds:
    seconds = []
    for number in range(_IMAGES):
        before = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - before)
    return np.array(seconds)
