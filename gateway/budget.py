"""What a request may use: time, memory and the processor."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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

    First come, first served: whoever gives it away wakes the next in line, who then holds it already.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_free = True
        self._line: deque[Lock] = deque()  # each is what a thread sleeps on, or will
        self._mine = local()

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        return getattr(self._mine, "is_held", False)

    def take(self) -> None:
        """Waits for the baton."""
        with self._lock:
            if is_free := self._is_free:
                self._is_free = False
            else:
                turn = asleep()
                self._line.append(turn)
        if not is_free:
            turn.acquire()
        self._mine.is_held = True

    def give_away(self) -> None:
        """Ends holding it."""
        self._mine.is_held = False
        with self._lock:
            self._wake_next()

    def step_back(self) -> None:
        """Lets all who wait have it first."""
        with self._lock:
            if not self._line:
                return
            turn = asleep()
            self._line.append(turn)
            self._wake_next()
        turn.acquire()

    def promise(self, turns: Iterable[Lock]) -> None:
        """Puts others into the line, who each sleep on one of these locks (or will), and call `receive` when they wake."""
        with self._lock:
            self._line.extend(turns)
            if self._is_free:
                self._wake_next()

    def receive(self) -> None:
        """Says that this thread was woken as the one that holds it now."""
        self._mine.is_held = True

    def _wake_next(self) -> None:
        self._is_free = not self._line
        if self._line:
            self._line.popleft().release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the baton while the block runs, waiting for it first unless this thread has it already."""
        if self.is_mine:
            yield
            return
        self.take()
        try:
            yield
        finally:
            self.give_away()

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Lets others have the baton while the block runs, if this thread holds it."""
        if not self.is_mine:
            yield
            return
        self.give_away()
        try:
            yield
        finally:
            self.take()

    def passed_on_for(self, pixels: int) -> AbstractContextManager[None]:
        """As `passed_on`, where an image of so many pixels is worked on long enough outside the interpreter."""
        return self.passed_on() if is_large(pixels) else nullcontext()


def is_large(pixels: int) -> bool:
    """Whether an image of so many is worked on long enough outside the interpreter for others to compute meanwhile."""
    return pixels > _LARGE_PIXELS


def asleep() -> Lock:
    """A lock on which a thread can sleep until another releases it."""
    lock = Lock()
    lock.acquire()
    return lock
