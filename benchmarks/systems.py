"""The systems that are compared: the gateway with its model server, and the peers. Started, halted, resumed and ended."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes, protocols
from benchmarks.load import ask
from benchmarks.protocols import Protocol
from hcr.model_server import free_port
from tfserving.client import ModelClient
from tfserving.errors import ServingError

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".bench"
START_SECONDS = 240.0
_END_SECONDS = 20.0
_POLL_SECONDS = 0.01
_RESUME_SECONDS = 0.05  # for what was asked before a halt to be answered before anybody looks at the clock again


class SystemFailed(Exception):
    """A system did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Peer:
    """A server that the gateway is compared with. Its configuration and lock lie in benchmarks/peers/NAME."""

    name: str
    title: str
    package: str
    protocol: Protocol
    program: str
    """In its environment's folder of programs."""
    arguments: tuple[str, ...]
    """{port} stands for the port to listen on, {other_1} and {other_2} for further free ones."""
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        return ROOT / "benchmarks" / "peers" / self.name

    @property
    def version(self) -> str:
        """The version of its package that its lock has."""
        lock = (self.folder / "requirements.txt").read_text()
        found = re.search(rf"^{re.escape(self.package)}==(\S+)", lock, re.MULTILINE)
        if not found:
            raise LookupError(f"{self.folder / 'requirements.txt'} has no {self.package}")
        return found[1]

    @property
    def programs(self) -> Path:
        return ENVIRONMENTS / self.name / "bin"


def _module(name: str) -> tuple[str, ...]:
    return ("-m", f"benchmarks.peers.{name}.server")


PEERS = (
    Peer("litserve", "LitServe", "litserve", protocols.LITSERVE, "python", _module("litserve")),
    Peer(
        "bentoml",
        "BentoML",
        "bentoml",
        protocols.BENTOML,
        "bentoml",
        ("serve", "benchmarks.peers.bentoml.server:Recognition", "--host=127.0.0.1", "--port={port}"),
        (("BENTOML_DO_NOT_TRACK", "true"), ("BENTOML_HOME", str(ENVIRONMENTS / "bentoml_home"))),
    ),
    Peer(
        "mlserver",
        "MLServer",
        "mlserver",
        protocols.OPEN_INFERENCE,
        "mlserver",
        ("start", "benchmarks/peers/mlserver"),
        (
            ("MLSERVER_HTTP_PORT", "{port}"),
            ("MLSERVER_GRPC_PORT", "{other_1}"),
            ("MLSERVER_METRICS_PORT", "{other_2}"),
            ("MLSERVER_METRICS_DIR", str(ENVIRONMENTS / "mlserver_metrics")),
        ),
    ),
    Peer("ray_serve", "Ray Serve", "ray", protocols.RAY_SERVE, "python", _module("ray_serve")),
    Peer("kserve", "KServe", "kserve", protocols.OPEN_INFERENCE, "python", _module("kserve")),
)


@dataclass
class System:
    """A system that runs: its processes are `roots` and all that descend from them."""

    name: str
    title: str
    protocol: Protocol
    port: int
    roots: tuple[int, ...]
    start_seconds: float
    """From the start of its first program to its first answer."""
    fresh_mb: float
    """Its memory then."""

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.roots)

    def memory_mb(self) -> float:
        return processes.memory_mb(self.roots)

    def halt(self) -> None:
        """Takes no processor time any more until `working`. Who watches others is halted before them and resumed after them."""
        processes.send_signal(processes.family(self.roots), signal.SIGSTOP)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Inside it runs, and is halted again after it."""
        *others, first = reversed(processes.family(self.roots))
        processes.send_signal(others, signal.SIGCONT)
        time.sleep(_RESUME_SECONDS)
        processes.send_signal([first], signal.SIGCONT)
        try:
            yield
        finally:
            self.halt()


@contextmanager
def program(name: str, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs in a session of its own, and writes to .bench/logs/NAME.log; ended with all that it started."""
    log = _log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | variables,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


@contextmanager
def running_peer(peer: Peer, model: Path, request: bytes) -> Iterator[System]:
    """The peer, serving the model's version in the folder `model`; it has answered `request`.

    Raises:
        SystemFailed: it has not, in START_SECONDS.
    """
    port = free_port(0)
    ports = {"port": port, "other_1": free_port(0), "other_2": free_port(0)}
    command = [str(peer.programs / peer.program), *(argument.format(**ports) for argument in peer.arguments)]
    variables = {
        "BENCH_MODEL": str(model),
        "BENCH_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{peer.programs}:{os.environ.get('PATH', '')}",
        **{name: value.format(**ports) for name, value in peer.variables},
    }
    begun = time.perf_counter()
    with program(peer.name, command, variables) as process:
        wait_until(lambda: ask(port, request)[0] == 200, process, peer.name)
        seconds = time.perf_counter() - begun
        roots = (process.pid,)
        yield System(peer.name, peer.title, peer.protocol, port, roots, seconds, processes.memory_mb(roots))


@contextmanager
def running_model_server(
    command: Sequence[str], address: str, model: str, name: str = "model_server"
) -> Iterator[subprocess.Popen[bytes]]:
    """The model server, with the stable version of the model loaded."""
    variables = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # as the peers and TensorFlow Serving have it
    with program(name, command, variables) as process, ModelClient(address) as client:
        wait_until(lambda: client.metadata(model, "stable", timeout_seconds=1).version > 0, process, name)
        yield process


@contextmanager
def running_gateway(
    address: str, name: str = "gateway", **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """The gateway in front of the model server at `address`, its port, and the seconds until it said that it is ready."""
    port = free_port(0)
    variables = {"GATEWAY_PORT": str(port), "GATEWAY_MODEL_SERVER": address, "GATEWAY_WORKERS": "2", **settings}
    begun = time.perf_counter()
    with program(name, [sys.executable, "-m", "gateway.wsgi"], variables) as process:
        ready = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        wait_until(lambda: ask(port, ready)[0] == 200, process, name)
        yield process, port, time.perf_counter() - begun


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], name: str) -> None:
    """Returns once the condition holds.

    Raises:
        SystemFailed: the process ended before, or START_SECONDS passed.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException, ServingError):
            pass  # not there yet
        time.sleep(_POLL_SECONDS)
    why = "did not answer in time" if process.poll() is None else f"ended with status {process.returncode}"
    end = _log(name).read_text(errors="replace")[-3000:]
    raise SystemFailed(f"{name} {why}; the end of {_log(name).relative_to(ROOT)}:\n{end}")


def _log(name: str) -> Path:
    return ENVIRONMENTS / "logs" / f"{name}.log"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks the program to end, and ends what is left of it."""
    members = processes.family([process.pid])
    processes.send_signal(members, signal.SIGCONT)
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    processes.send_signal(members, signal.SIGKILL)
