"""What a request may use: time, memory and the processor."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock, local
from time import monotonic

from tfserving.errors import DeadlineExceeded

_LARGE_PIXELS = 200_000


class Overloaded(Exception):
    """More work is under way than there is memory for: worth trying again."""


class Deadline:
    """The point in time by which a request must be answered."""

    def __init__(self, seconds: float, since: float | None = None) -> None:
        """So many seconds from now, or from the time `since` of monotonic()."""
        self._end = (monotonic() if since is None else since) + seconds
        self._seconds = seconds

    def left(self) -> float:
        """Seconds until then; negative afterwards."""
        return self._end - monotonic()

    def remaining(self) -> float:
        """Seconds that are left.

        Raises:
            DeadlineExceeded: none are.
        """
        left = self.left()
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


class Baton:
    """Held by the one request that computes; passed on by those that wait for the model server, or for a large image.

    Python runs one thread at a time whatever we do. But Pillow and OpenCV let go of the interpreter in every small operation,
    so that threads which compute side by side change places some twenty times a request; with the baton, a few times.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._mine = local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for the baton, and holds it while the block runs."""
        self._lock.acquire()
        self._mine.is_held = True
        try:
            yield
        finally:
            self._mine.is_held = False
            self._lock.release()

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Lets others have the baton while the block runs, if this thread holds it."""
        if not getattr(self._mine, "is_held", False):
            yield
            return
        self._mine.is_held = False
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
            self._mine.is_held = True

    @contextmanager
    def passed_on_for(self, pixels: int) -> Iterator[None]:
        """As `passed_on`, where an image of so many pixels is worked on long enough outside the interpreter."""
        with self.passed_on() if pixels > _LARGE_PIXELS else nullcontext():
            yield
