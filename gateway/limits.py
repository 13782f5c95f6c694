"""How often one client may ask: by key, or by address where there is none.

flask-limiter counts, in this process or in Redis. It is loaded only where a limit is set.
"""

import logging
import time
from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask, Response
    from flask_limiter import RequestLimit

    from gateway.budget import Baton
    from gateway.metrics import Metrics

_STORAGE_SECONDS = 0.1  # Redis is near, or it is of no use here
_STRATEGY = "fixed-window"  # the only one whose `t` is exactly when the quota is there again


class LimitsError(ValueError):
    """The limit or its storage cannot be used."""


def check_limit(text: str) -> None:
    """
    Raises:
        LimitsError: the text is no limit.
    """
    from limits import parse_many

    try:
        parse_many(text)
    except ValueError:
        raise LimitsError(f"it is {text[:80]!r}; limits such as 100/second;5000/hour are accepted") from None


def check_storage(uri: str) -> None:
    """
    Raises:
        LimitsError: the storage is of no kind that is known; whether it answers is not looked at.
    """
    _storage_options(uri)


def limit_requests(
    app: "Flask",
    limit: str,
    storage: str,
    whose: Callable[[], str],
    is_exempt: Callable[[], bool],
    baton: "Baton",
    metrics: "Metrics",
) -> None:
    """Refuses what `whose()` asks more often than the limit says, and tells the others how much is left."""
    from flask_limiter import Limiter

    class ConsiderateLimiter(Limiter):
        """Lets others compute while the storage is asked."""

        def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
            with baton.passed_on():
                super()._check_request_limit(callable_name, in_middleware)

    logging.getLogger("flask-limiter").setLevel(logging.WARNING)  # that the storage has gone; not each request that is refused
    limiter = ConsiderateLimiter(
        whose,
        application_limits=[limit],
        storage_uri=storage,
        storage_options=_storage_options(storage),
        strategy=_STRATEGY,
        in_memory_fallback_enabled=True,
        key_prefix="gateway",
    )
    limiter.request_filter(is_exempt)
    limiter.init_app(app)

    @app.after_request
    def tell(response: "Response") -> "Response":
        if limits := limiter.current_limits:
            if limiter.limiter.storage is not limiter.storage:
                metrics.limit_fallback.inc()
            with baton.passed_on():
                _tell(response, limits)
        return response


def _tell(response: "Response", limits: "list[RequestLimit]") -> None:
    """The headers of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After where a limit is exceeded."""
    from limits.errors import StorageError

    now = time.time()
    policies, left, waits = [], [], []
    try:
        for item in limits:
            amount, window = item.limit.amount, item.limit.get_expiry()
            seconds = max(1, ceil(item.window.reset_time - now))
            policies.append(f'"{amount}/{window}s";q={amount};w={window}')
            left.append(f'"{amount}/{window}s";r={item.remaining};t={seconds}')
            waits += [seconds] if item.breached else []
    except StorageError:
        return  # it has gone since it counted the request: the next one finds out, and falls back
    response.headers["RateLimit-Policy"] = ", ".join(policies)
    response.headers["RateLimit"] = ", ".join(left)
    if waits:
        response.headers["Retry-After"] = str(max(waits))


def _storage_options(uri: str) -> dict[str, Any]:
    scheme = uri.partition("://")[0]
    if scheme == "memory":
        return {}
    if scheme not in ("redis", "rediss", "redis+unix"):
        raise LimitsError(f"it is of the kind {scheme[:20]!r}; memory://, redis://, rediss:// and redis+unix:// are accepted")
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": _STORAGE_SECONDS,
        "socket_connect_timeout": _STORAGE_SECONDS,
        "retry": Retry(NoBackoff(), 1),  # a connection that was open when Redis started anew
        "wrap_exceptions": True,
    }
