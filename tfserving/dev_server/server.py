"""The composition root: library, threads that poll, gRPC server, and the way down."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc import StatusCode
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tfserving.dev_server import config as configuration
from tfserving.dev_server.config import ConfigFile
from tfserving.dev_server.errors import Refused
from tfserving.dev_server.faults import FaultInterceptor, Faults
from tfserving.dev_server.flags import Flags
from tfserving.dev_server.library import Library, Loaded
from tfserving.dev_server.messages import ModelServerConfig
from tfserving.dev_server.monitoring import CallMetrics, CallObserver, HttpPort, metrics_path, serve_http
from tfserving.dev_server.services import MODEL_SERVICE, PREDICTION_SERVICE, Services

log = logging.getLogger("model server")

GRACE_SECONDS = 2.0
"""For calls under way after SIGTERM; what starts us gives its children three seconds."""

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a second server on the same port fails to start instead of sharing its calls
    ("grpc.keepalive_time_ms", 30_000),  # finds clients that are gone
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # clients may look for us as often
)


def serve(flags: Flags) -> None:
    """Serves until SIGTERM or SIGINT. Raises Refused where it cannot start."""
    library = Library(
        lambda folder: _load(folder, warmup=flags.enable_model_warmup),
        allow_labels_for_unavailable=flags.allow_version_labels_for_unavailable_models,
    )
    file = _configure(library, flags)
    loader = _thread("loader", lambda: _keep_reconciled(library, flags.file_system_poll_wait_seconds))
    if library.model_names():
        loader.start()
        library.wait(1)
    metrics = CallMetrics()
    server, health_servicer = _start_server(library, flags, metrics)
    if not loader.is_alive():
        loader.start()  # nothing to load yet: TensorFlow's import need not keep the port closed
    if file is not None and flags.model_config_file_poll_wait_seconds > 0:
        _thread("config", lambda: _keep_polled(file, flags.model_config_file_poll_wait_seconds)).start()
    _serve_http(library, flags, metrics)
    _wait_for_signal()
    log.info("stopping, calls under way have %g s", GRACE_SECONDS)
    health_servicer.enter_graceful_shutdown()
    server.stop(GRACE_SECONDS).wait()
    log.info("stopped")


def _load(folder: Path, *, warmup: bool) -> Loaded:
    from tfserving.dev_server.servable import Servable  # the session's import takes a second; an empty library needs none
    from tfserving.dev_server.warmup import warm_up

    servable = Servable(folder)
    try:
        if warmup:
            warm_up(servable, folder)
    except Refused:
        servable.close()
        raise
    return servable


def _configure(library: Library, flags: Flags) -> ConfigFile | None:
    """The first configuration in force; the file that it came from, if it came from one. Raises Refused."""

    def apply(config: ModelServerConfig) -> None:
        if config.WhichOneof("config") not in ("model_config_list", None):
            raise Refused(StatusCode.INVALID_ARGUMENT, "only a model_config_list can be served here")
        configuration.check(config)
        library.configure(config)

    if flags.model_config_file is None:
        apply(configuration.single_model(flags.model_name, flags.model_base_path))
        return None
    file = ConfigFile(flags.model_config_file, apply)
    try:
        file.load()
    except Refused as error:
        if error.code is not StatusCode.FAILED_PRECONDITION:
            raise
        hint = "labels in the first configuration need --allow_version_labels_for_unavailable_models=true"
        raise Refused(error.code, f"{error.message}; {hint}") from error
    return file


def _keep_reconciled(library: Library, seconds: float) -> None:
    _import_session()
    while True:
        try:
            library.reconcile()
        except Exception:
            log.exception("a look at the models failed for a reason that nobody foresaw")
            time.sleep(1)
        library.wait_for_work(seconds or None)


def _import_session() -> None:
    """Has TensorFlow's session at hand before the first version comes."""
    from tfserving.dev_server import servable  # noqa: F401


def _keep_polled(file: ConfigFile, seconds: float) -> None:
    while True:
        time.sleep(seconds)
        file.poll()


def _thread(name: str, target: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=target, name=name, daemon=True)


def _serve_http(library: Library, flags: Flags, metrics: CallMetrics) -> None:
    if flags.rest_api_port:
        path = metrics_path(flags.monitoring_config_file) if flags.monitoring_config_file else None
        serve_http(flags.host, flags.rest_api_port, HttpPort(library, metrics, path))


def _start_server(library: Library, flags: Flags, metrics: CallMetrics) -> tuple[grpc.Server, health.HealthServicer]:
    """The server, listening and SERVING. Raises Refused where the port is taken."""
    faults = Faults(flags.fault_delay_ms / 1000, flags.fault_error_rate, flags.fault_refuse)
    interceptors: list[Any] = [CallObserver(metrics), *([FaultInterceptor(faults)] if faults else [])]
    pool = ThreadPoolExecutor(flags.grpc_max_threads, thread_name_prefix="call")
    server = grpc.server(pool, interceptors=interceptors, options=[*_OPTIONS, *flags.grpc_channel_arguments])
    health_servicer = health.HealthServicer(experimental_non_blocking=True)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    server.add_generic_rpc_handlers((Services(library),))
    address = f"{flags.host}:{flags.port}"
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise Refused(StatusCode.UNAVAILABLE, f"cannot listen on {address}: is the port taken?") from error
    for name in ("", PREDICTION_SERVICE, MODEL_SERVICE):
        health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    server.start()
    if faults:
        log.warning("%s", faults)
    if flags.enable_batching:
        log.warning("--enable_batching has no effect here: each call is computed by itself")
    log.info("listening on %s:%d", flags.host, port)
    return server, health_servicer


def _wait_for_signal() -> None:
    """Returns at the first SIGTERM or SIGINT; a second one ends the process as it would any other."""
    told = threading.Event()

    def tell(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    told.wait()
