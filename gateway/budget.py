"""What a request may use: time and memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from tfserving.errors import DeadlineExceeded


class Overloaded(Exception):
    """More work is under way than there is memory for: worth trying again."""


class Deadline:
    """The point in time by which a request must be answered."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds
        self._seconds = seconds

    def remaining(self) -> float:
        """Seconds that are left.

        Raises:
            DeadlineExceeded: none are.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"the request was not answered within its {self._seconds:g} seconds")
        return left


class PixelBudget:
    """Bounds the memory of all decoding under way: so many pixels together, and no more."""

    def __init__(self, pixels: int) -> None:
        self._limit = pixels
        self._left = pixels
        self._lock = Lock()

    @contextmanager
    def reserved(self, pixels: int) -> Iterator[None]:
        """Holds the pixels while the block runs.

        Raises:
            Overloaded: others hold too many.
        """
        with self._lock:
            if pixels > self._left:
                raise Overloaded(
                    f"images of {self._limit - self._left:,} pixels are being decoded; with this one's {pixels:,} that would "
                    f"be more than the {self._limit:,} that there is memory for"
                )
            self._left -= pixels
        try:
            yield
        finally:
            with self._lock:
                self._left += pixels
