"""What Prometheus scrapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CONFIDENCES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1)


class Metrics:
    """The gateway's metrics in a registry of their own, so that two applications in one process do not collide."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
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
        self.in_flight = Gauge("gateway_requests_in_flight", "Requests being worked on", registry=registry)
        self.shed = Counter("gateway_shed", "Requests turned away for lack of capacity", ["reason"], registry=registry)
        self.predictions = Counter(
            "gateway_predictions", "Characters recognised", ["model", "version", "label"], registry=registry
        )
        self.confidence = Histogram(
            "gateway_confidence", "Confidence of predictions", ["model", "version"], buckets=_CONFIDENCES, registry=registry
        )
        self.rejected = Counter(
            "gateway_rejected", "Predictions below their threshold", ["model", "version"], registry=registry
        )
        self.model_calls = Counter(
            "gateway_model_call", "Calls of the model server, by gRPC status", ["code"], registry=registry
        )
        self.version_info = Gauge(
            "gateway_model_version_info", "1 for the version that a label last meant", ["model", "version", "label"],
            registry=registry,
        )  # fmt: skip


class Stages:
    """The seconds that one request has spent in each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start
