"""Fuzzes decode → preprocess → segment with atheris: `make fuzz`, or by hand

    PYTHONPATH=.:.test-tools .venv/bin/python tests/fuzz/fuzz_images.py RUNS [SEED]

An input is a failure where anything but an ImageError is raised, where it takes more than 2 s of processor time, or where the
process's memory has grown by more than 20 MB from the first tenth of the runs to the end. Ends with 0 if there was none.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL"]):  # in our own modules its traces would grow by some MB per 1,000 inputs
    from handwriting.errors import ImageError
    from handwriting.image import FIELD_SIZE, open_image
    from handwriting.preprocess import to_tensor
    from handwriting.segment import segment

from tests.fuzz.seeds import seeds

MOST_SECONDS = 2.0
MOST_GROWTH_MEGABYTES = 20.0
LONGEST_INPUT = 8192
FOUND = Path(".hcr", "fuzz")
"""Where the inputs are written that are failures."""


class Fuzzer:
    """What is done with each input, and what was seen of all."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._done = 0
        self._read = 0
        self._slowest = 0.0
        self._early_megabytes = 0.0

    def __call__(self, data: bytes) -> None:
        start = time.thread_time()
        self._read += self._is_read(data)
        seconds = time.thread_time() - start
        self._slowest = max(self._slowest, seconds)
        if seconds > MOST_SECONDS:
            raise TimeoutError(f"{seconds:.1f} s of processor time")
        self._done += 1
        if self._done == max(self._runs // 10, 1):
            self._early_megabytes = resident_megabytes()
        if self._done == self._runs:
            self._tell()

    def _is_read(self, data: bytes) -> bool:
        try:
            to_tensor(open_image(data).decode())
            segment(open_image(data).decode(FIELD_SIZE))
        except ImageError:
            return False
        return True

    def _tell(self) -> None:
        growth = resident_megabytes() - self._early_megabytes
        print(
            f"{self._done:,} inputs, {self._read:,} read, slowest {self._slowest:.2f} s, "
            f"{growth:+.1f} MB since the first tenth, at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB",
            flush=True,
        )
        if growth > MOST_GROWTH_MEGABYTES:
            raise MemoryError(f"{growth:.1f} MB more than after the first tenth")


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    runs, seed = (int(argument) for argument in [*sys.argv[1:], "1"][:2])
    with tempfile.TemporaryDirectory() as corpus:
        for name, data in seeds().items():
            Path(corpus, name).write_bytes(data)
        options = [
            f"-atheris_runs={runs}",
            f"-seed={seed}",
            f"-max_len={LONGEST_INPUT}",
            "-rss_limit_mb=2048",
            "-print_final_stats=0",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], Fuzzer(runs))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
