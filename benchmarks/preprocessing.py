"""How much time of one core decoding and preprocessing take, against the goals; waiting for a core does not count.

.venv/bin/python -m benchmarks.preprocessing
"""

import os
import statistics
import time
from collections.abc import Callable

from benchmarks.payloads import DIGITS, FIELDS, canvas, field, photo, small_png
from handwriting.image import Pixels, decode
from handwriting.preprocess import to_tensor
from handwriting.segment import segment


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows("28 × 28 PNG", [small_png(digit) for digit in DIGITS], 2000, 0.1)
    rows("280 × 280 RGBA canvas", [canvas(digit) for digit in DIGITS], 500, 3.0)
    rows("12 MP JPEG photo", [photo(digit) for digit in DIGITS[:2]], 20, None, 60.0)
    row("five-digit field, segmentation", timed(segment, [decode(field(text)) for text in FIELDS], 100))


def rows(name: str, files: list[bytes], times: int, goal: float | None, goal_of_both: float | None = None) -> None:
    row(f"{name}, decode", timed(decode, files, times))
    row(f"{name}, preprocess", timed(to_tensor, [decode(file) for file in files], times), goal)
    row(f"{name}, both", timed(lambda file: to_tensor(decode(file)), files, times), goal_of_both)


def timed(function: Callable[..., object], arguments: list[bytes] | list[Pixels], times: int) -> list[float]:
    """Milliseconds of processor time of each call, after each argument once unmeasured."""
    for argument in arguments:
        function(argument)
    taken = []
    for number in range(times):
        start = time.process_time()
        function(arguments[number % len(arguments)])
        taken.append(1000 * (time.process_time() - start))
    return sorted(taken)


def row(name: str, taken: list[float], goal: float | None = None) -> None:
    note = f"   goal {goal:g} ms" if goal else ""
    print(
        f"{name:<34} median {statistics.median(taken):8.3f} ms   p95 {taken[int(0.95 * len(taken))]:8.3f} ms{note}", flush=True
    )


if __name__ == "__main__":
    main()
