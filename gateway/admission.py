"""How many requests are let in."""

from collections.abc import Callable, Iterable
from threading import Lock
from time import monotonic
from typing import Any

import msgspec

from gateway.budget import Baton, Overloaded
from gateway.errors import PROBLEM_TYPE, to_problem
from gateway.metrics import Metrics
from gateway.observation import STARTED, request_id

_Environment = dict[str, Any]
_StartResponse = Callable[..., Any]
_Application = Callable[[_Environment, _StartResponse], Iterable[bytes]]


class Admission:
    """A WSGI application around another: turns away what is more than `limit` requests at once, in microseconds.

    The paths in `always` are let in whatever the load, and wait for no baton: what watches over the gateway must not find it
    deaf. Those in `paths` are counted under their own name, all others under "none".
    """

    def __init__(
        self, application: _Application, baton: Baton, metrics: Metrics, limit: int, always: Iterable[str], paths: Iterable[str]
    ) -> None:
        self._application = application
        self._baton = baton
        self._metrics = metrics
        self._limit = limit
        self._always = frozenset(always)
        self._paths = frozenset(paths)
        self._inside = 0
        self._lock = Lock()
        problem = to_problem(Overloaded(f"{limit} requests are being worked on already, as many as may be"))
        self._problem, self._headers = problem.as_json(), [*problem.headers.items(), ("Content-Type", PROBLEM_TYPE)]

    def __call__(self, environment: _Environment, start_response: _StartResponse) -> Iterable[bytes]:
        environment[STARTED] = monotonic()
        if environment["PATH_INFO"] in self._always:
            return self._application(environment, start_response)
        with self._lock:
            is_full = self._inside >= self._limit
            self._inside += not is_full
        if is_full:
            return self._refuse(environment, start_response)
        try:
            with self._baton.held():
                return self._application(environment, start_response)
        finally:
            with self._lock:
                self._inside -= 1

    def _refuse(self, environment: _Environment, start_response: _StartResponse) -> list[bytes]:
        """The answer `overloaded`, without a line in the log: there will be many."""
        path = environment["PATH_INFO"]
        self._metrics.shed.labels("requests").inc()
        self._metrics.requests_of(path if path in self._paths else "none", environment["REQUEST_METHOD"], "503").inc()
        name = request_id(environment)
        body = msgspec.json.encode({**self._problem, "id": name})
        start_response("503 SERVICE UNAVAILABLE", [*self._headers, ("Content-Length", str(len(body))), ("X-Request-ID", name)])
        return [body]
