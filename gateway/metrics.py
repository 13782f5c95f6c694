"""What Prometheus scrapes.

Where several workers serve, prometheus_client keeps the values of each in files, in the folder that its own variable
PROMETHEUS_MULTIPROC_DIR names (gateway/wsgi.py sets it), and whichever worker is scraped answers for all.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CONFIDENCES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1)

_FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR") if values.ValueClass is not values.MutexValue else None


class Metrics:
    """The gateway's metrics in a registry of their own, so that two applications in one process do not collide."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        """What a scrape tells."""
        if _FOLDER:
            _forget_the_dead(Path(_FOLDER))
            self.registry = CollectorRegistry(support_collectors_without_names=True)
            MultiProcessCollector(self.registry, _FOLDER)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self.requests = Counter("gateway_requests", "Requests answered", ["route", "method", "status"], registry=registry)
        self.request_seconds = Histogram(
            "gateway_request_duration_seconds", "Time from a request's arrival to its answer", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "gateway_stage_duration_seconds", "Time that a request spent in a stage", ["stage"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_size = Histogram("gateway_batch_size", "Images in a model call", buckets=_SIZES, registry=registry)
        self.in_flight = Gauge(
            "gateway_requests_in_flight", "Requests being worked on", registry=registry, multiprocess_mode="livesum"
        )
        self.shed = Counter("gateway_shed", "Requests turned away for lack of capacity", ["reason"], registry=registry)
        self.limit_fallback = Counter(
            "gateway_rate_limit_fallback", "Requests counted in memory, for the rate limit's storage did not answer",
            registry=registry,
        )  # fmt: skip
        self.predictions = Counter(
            "gateway_predictions", "Characters recognised", ["model", "version", "label"], registry=registry
        )
        self.confidence = Histogram(
            "gateway_confidence", "Confidence of predictions", ["model", "version"], buckets=_CONFIDENCES, registry=registry
        )
        self.rejected = Counter(
            "gateway_rejected", "Predictions below their threshold", ["model", "version"], registry=registry
        )
        self.answers = Counter(
            "gateway_answers", "Requests asked of a version while a release is under way, by what the version is in it",
            ["model", "version", "role", "outcome"], registry=registry,
        )  # fmt: skip
        self.model_seconds = Histogram(
            "gateway_model_seconds", "Time that they waited for the version's scores", ["model", "version", "role"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.shadow = Counter(
            "gateway_shadow", "Images that the canary was asked beside the stable version, by whether they agree",
            ["model", "version", "outcome"], registry=registry,
        )  # fmt: skip
        self.model_calls = Counter(
            "gateway_model_call", "Calls of the model server, by gRPC status", ["code"], registry=registry
        )
        self.version_info = Gauge(
            "gateway_model_version_info", "1 for the version that a label means, 0 for one that it meant before",
            ["model", "version", "label"], registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.versions = Gauge(
            "gateway_model_versions", "Versions by state, as a model server last told the readiness probe", ["model", "state"],
            registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

        # What every request needs, without the library's look-up by label.
        self.requests_of = cache(self.requests.labels)
        self.request_seconds_of = cache(self.request_seconds.labels)
        self.stage_seconds_of = cache(self.stage_seconds.labels)
        self.predictions_of = cache(self.predictions.labels)
        self.confidence_of = cache(self.confidence.labels)


def _forget_the_dead(folder: Path) -> None:
    """Takes away what workers that have ended were doing just then; what they have counted stays."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("*.db")}:
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class Stages:
    """Where a request's time goes. It is always in one stage, the first being `decode`, so they add up to the whole.

    `request_id` is the name under which logs know the request; empty where it has none.
    """

    afterwards: Callable[[], None] | None = None
    """What is done once the answer has been sent, and costs the client nothing."""

    def __init__(self, started: float, request_id: str = "") -> None:
        self.started = started
        self.request_id = request_id
        self.seconds: dict[str, float] = {}
        self._stage = "decode"
        self._since = started

    def enter(self, stage: str, at: float | None = None) -> None:
        """Ends the present stage and begins another, now or at the time `at` of monotonic()."""
        now = monotonic() if at is None else at
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage = stage
        self._since = now

    def stop(self) -> float:
        """Ends the last stage; the seconds since the request's start."""
        self.enter(self._stage)
        return self._since - self.started

    @property
    def are_several(self) -> bool:
        """Whether the request came further than to its first stage."""
        return len(self.seconds) > 1

    def as_header(self) -> str:
        """The stages so far as Server-Timing has them, in milliseconds (W3C Server Timing)."""
        return ", ".join(f"{stage};dur={1e3 * spent:.3f}" for stage, spent in self.seconds.items())
