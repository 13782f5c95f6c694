"""The gateway as a program: `python -m gateway.wsgi`. Reads the settings, serves them, and drains on SIGTERM."""

import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.synchronize import Event
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from gateway.settings import Settings, SettingsError, variable

_PR_SET_PDEATHSIG = 1  # prctl(2)
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # mallopt(3)
_SPARE_THREADS = 600  # for bodies that come slowly, and refusals and probes when as many requests as may be are inside


def main() -> int:
    """Serves until SIGTERM or SIGINT; 0 after all that was under way has been answered."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    for name in ("port", "metrics_port"):
        if problem := _why_not_to_listen(settings.host, getattr(settings, name), variable(name)):
            print(f"gateway: {problem}", file=sys.stderr)
            return 1
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices here are small; its threads would spin beside the requests
    with _metrics_of_several(settings.workers):
        _serve(settings)
    return 0


def _serve(settings: Settings) -> None:
    import gateway.app  # noqa: F401  # here, so that the workers share its memory

    gc.collect()
    gc.freeze()  # the collector of a worker would write to what it shares with the others, and so copy it
    multiprocessing.set_start_method("fork", force=True)
    draining = multiprocessing.Event()
    server = DrainingServer(
        "gateway.wsgi:load",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=settings.workers,
        blocking_threads=settings.max_requests + _SPARE_THREADS,
        log_level=LogLevels.error,
        workers_kill_timeout=int(settings.max_request_timeout_seconds) + 1,
    )
    server.configure_drain(draining, settings.drain_seconds)
    server.serve(target_loader=partial(load, settings, draining), wrap_loader=False)


@contextmanager
def _metrics_of_several(workers: int) -> Iterator[None]:
    """A folder, in memory where that can be, in which several workers keep what they count; see gateway/metrics.py."""
    if workers == 1:
        yield
        return
    memory = "/dev/shm"  # noqa: S108  # a new folder of our own in it
    with TemporaryDirectory(prefix="gateway-metrics-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


class DrainingServer(MPServer):  # type: ignore[misc]  # granian has no types for it
    """Granian, which on SIGTERM first says on /readyz that it is going, and stops listening only after a while."""

    def configure_drain(self, draining: Event, seconds: float) -> None:
        self._draining = draining
        self._drain_seconds = seconds

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        stop = super().signal_handler_interrupt
        if self._draining.is_set() or not self._drain_seconds:
            self._draining.set()
            stop()
            return
        self._draining.set()
        Timer(self._drain_seconds, stop).start()


def load(settings: Settings, draining: Event) -> Callable[..., Any]:
    """The application, made in the worker: gRPC channels do not survive a fork."""
    _end_with_parent()
    _give_memory_back()
    _let_threads_finish()
    from prometheus_client import start_http_server

    from gateway.app import create_app
    from gateway.logs import configure

    configure(settings.log_format)
    app = create_app(settings, is_draining=draining.is_set)
    app.extensions["bodies"].watch(settings.port)
    if settings.metrics_port:
        with suppress(OSError):  # another worker has it, and answers for all
            start_http_server(settings.metrics_port, settings.host, app.extensions["metrics"].registry)
    return app


def _why_not_to_listen(host: str, port: int, name: str) -> str | None:
    """Granian shares its port with whoever else does, so that two gateways would answer in turn: refuse to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"cannot listen on {host}:{port}: {error.strerror}; choose another with {name}"
    return None


def _end_with_parent() -> None:
    """A worker whose server is killed goes too, instead of keeping the port."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _let_threads_finish() -> None:
    """A thread that another wakes waits for its turn on the processor, instead of pushing away the one that woke it.

    That one holds the interpreter, so the woken thread could only go to sleep again (sched(7), SCHED_BATCH).
    """
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _give_memory_back() -> None:
    """Large images' memory goes back to the system when they are done: glibc would keep up to 32 MB of each thread's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:  # glibc's; others give it back by themselves
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        mallopt(_M_ARENA_MAX, 2)


if __name__ == "__main__":
    sys.exit(main())
