"""What the gateway does when things go wrong: model servers that die, hang and return; overload; SIGTERM; hours of work.

make drill            each once, in a few minutes
make drill-full       more often and for longer, with half an hour of work at half of what it can do

Needs a published version (make run or make train). Starts model servers and gateways of its own on free ports, and sends
traffic to 127.0.0.1 only. Prints a row for each demand, and ends with status 1 where one was not met.
"""

import argparse
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from benchmarks.load import Outcome, ask, closed_loop, http_request, open_loop
from benchmarks.processes import family, memory_mb
from benchmarks.systems import running_gateway, running_model_server
from handwriting.image import to_base64
from hcr import examples_folder
from hcr.model_server import find, free_port
from hcr.release import wait_until_available
from tfserving.errors import RepositoryError
from tfserving.repository import Repository

MODEL = "digits"
RATE = 200.0
"""Requests a second while model servers come and go."""
_ROLL_EVERY_SECONDS = 20.0
_EXAMPLES = {"seven": "7", "two": "2", "six": "6"}


@dataclass
class Report:
    """The rows so far, printed as they come."""

    failed: int = 0

    def row(self, drill: str, demand: str, found: str, is_met: bool) -> None:
        self.failed += not is_met
        print(f"{drill:<38} {demand:<46} {found:<34} {'met' if is_met else 'NOT MET'}", flush=True)


@dataclass
class Serving:
    """A model server that can be killed and started again at the same address."""

    address: str
    command: list[str]
    name: str
    stack: ExitStack = field(default_factory=ExitStack)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.process = self.stack.enter_context(running_model_server(self.command, self.address, MODEL, self.name))

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="how often each signal is sent [default: 5]")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each load lasts [default: 6]")
    parser.add_argument("--soak", type=float, default=0.0, help="seconds of work at half of what it can do [default: none]")
    arguments = parser.parse_args()
    if not Repository(_repository()).labels(MODEL).get("stable"):
        print(f"there is no stable version of {MODEL}: run `make train` first", file=sys.stderr)
        return 1
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    report = Report()
    with model_servers(2) as (one, other):
        with running_gateway(f"{one.address},{other.address}", GATEWAY_WORKERS="1") as (_, port, _):
            one_of_two_dies(report, port, one, arguments.seconds)
            one_of_two_hangs(report, port, one, arguments.seconds)
        with running_gateway(one.address, GATEWAY_WORKERS="1") as (_, port, _):
            the_only_one_dies(report, port, one)
        with running_gateway(one.address, GATEWAY_WORKERS="1", GATEWAY_MAX_REQUESTS="32") as (_, port, _):
            overload(report, port, arguments.seconds)
        terminations(report, one.address, arguments.times)
        if arguments.soak:
            with rolling_versions(report) as address, running_gateway(address) as (process, port, _):
                soak(report, port, process.pid, arguments.soak)
    print(f"{report.failed} demands not met" if report.failed else "all demands met")
    return 1 if report.failed else 0


@contextmanager
def model_servers(count: int) -> Iterator[list[Serving]]:
    """So many model servers, each with the same repository."""
    servers = []
    with ExitStack() as stack:
        for number in range(count):
            found = find(Repository(_repository()).config_path, free_port(0))
            if found.command is None:
                raise SystemExit("MODEL_SERVER names a server that runs already; the drills kill those that they have started")
            server = stack.enter_context(ExitStack())
            servers.append(Serving(found.address, found.command, f"model_server_{number}", server))
            servers[-1].start()
        yield servers


def one_of_two_dies(report: Report, port: int, server: Serving, seconds: float) -> None:
    """Kills one of two under requests, and starts it again."""
    with later(seconds / 3, lambda: server.signal(signal.SIGKILL)):
        outcome = open_loop(port, requests(), RATE, 0.5, seconds)
    server.start()
    report.row("one of two model servers is killed", f"no request of {RATE:.0f}/s fails", told(outcome), is_clean(outcome))
    outcome = open_loop(port, requests(), RATE, 0.5, seconds)
    report.row("it returns", "no request fails", told(outcome), is_clean(outcome))


def one_of_two_hangs(report: Report, port: int, server: Serving, seconds: float) -> None:
    """Halts one of two under requests, so that it takes calls and never answers, and lets it go on."""
    with later(seconds / 3, lambda: server.signal(signal.SIGSTOP)), later(seconds, lambda: server.signal(signal.SIGCONT)):
        outcome = open_loop(port, requests(), RATE, 0.5, seconds + 2)
    slowest = f", slowest {outcome.latencies.max():.1f} s" if len(outcome.latencies) else ""
    report.row("one of two model servers hangs", "no request fails, none takes 5 s", told(outcome) + slowest, is_clean(outcome))


def the_only_one_dies(report: Report, port: int, server: Serving) -> None:
    """Kills the only model server, looks at the answers without it, and times the first right one after its return."""
    server.signal(signal.SIGKILL)
    statuses = Counter(status(port) for _ in range(50))
    report.row("the only model server is killed", "only 503s", str(dict(statuses)), set(statuses) == {503})
    server.start()
    begun = time.monotonic()
    while status(port) != 200 and time.monotonic() - begun < 30:
        time.sleep(0.01)
    seconds = time.monotonic() - begun
    report.row("it returns", "a right answer within 2 s", f"{seconds:.2f} s", seconds < 2)


def overload(report: Report, port: int, seconds: float) -> None:
    """Four times the requests that it can answer."""
    capacity = closed_loop(port, requests(), 16, 1.0, seconds).requests_per_second
    probes = Probes(port)
    with probes:
        outcome = open_loop(port, requests(), 4 * capacity, 1.0, seconds)
    goodput = outcome.requests_per_second / capacity
    refusal = np.percentile(outcome.refusals, 50) * 1e3 if len(outcome.refusals) else float("nan")
    health = float(np.percentile(probes.seconds, 99)) * 1e3
    offered = f"four times {capacity:.0f}/s are asked for"
    others = {name: count for name, count in outcome.errors.items() if name not in ("status 503", "not sent in time")}
    report.row(offered, "90 % of that is answered", f"{goodput:.0%}", goodput >= 0.9)
    report.row("", "the others are refused, and nothing else", told(outcome), not others and len(outcome.refusals) > 0)
    report.row("", "a refusal takes less than 10 ms (median)", f"{refusal:.1f} ms", refusal < 10)
    report.row("", "/healthz answers within 100 ms (99 of 100)", f"{health:.0f} ms of {len(probes.seconds)}", health < 100)


def terminations(report: Report, address: str, times: int) -> None:
    """SIGTERM at full load: every request that was taken is answered, and no connection breaks."""
    lost: Counter[str] = Counter()
    answered, codes = 0, set()
    for _ in range(times):
        with running_gateway(address, GATEWAY_WORKERS="1", GATEWAY_DRAIN_SECONDS="1") as (process, port, _):
            clients = [Client(port) for _ in range(16)]
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            codes.add(process.wait(30))
            for client in clients:
                client.thread.join(30)
                answered += client.answered
                lost += client.lost
    found = f"{dict(lost)}" if lost else f"{answered} answered, none lost"
    report.row(f"SIGTERM at full load, {times} times", "no answer lost, no connection reset", found, not lost)
    report.row("", "exits with 0", str(codes), codes == {0})


@contextmanager
def rolling_versions(report: Report) -> Iterator[str]:
    """A model server at the address that is given, with a repository of its own, into which a version is published, promoted
    and an old one pruned again and again."""
    end, rolled, troubles = threading.Event(), itertools.count(), []
    stable = Repository(_repository()).find(MODEL)
    with TemporaryDirectory() as folder:
        repository = Repository(Path(folder))
        repository.open()
        repository.publish(MODEL, stable.path)
        found = find(repository.config_path, free_port(0))
        assert found.command is not None

        def roll() -> None:
            while not end.wait(_ROLL_EVERY_SECONDS):
                try:
                    number = repository.publish(MODEL, stable.path)
                    wait = partial(wait_until_available, found.address, MODEL, number, 60)
                    repository.promote(MODEL, number, wait=wait)
                    repository.prune(MODEL, keep=2)
                    next(rolled)
                except RepositoryError as error:
                    troubles.append(str(error))

        with running_model_server(found.command, found.address, MODEL, "rolling_model_server"):
            thread = threading.Thread(target=roll)
            thread.start()
            try:
                yield found.address
            finally:
                end.set()
                thread.join()
    report.row("versions are released meanwhile", "every one", f"{next(rolled)}, {troubles or 'no trouble'}", not troubles)


def soak(report: Report, port: int, pid: int, seconds: float) -> None:
    """Half of what it can do, for long, while versions come and go: memory and open files must not grow."""
    rate = closed_loop(port, requests(), 16, 1.0, 10.0).requests_per_second / 2
    open_loop(port, requests(), rate, 0, min(120.0, seconds / 3))
    begun, samples = time.monotonic(), []
    errors: Counter[str] = Counter()
    while time.monotonic() - begun < seconds:
        errors += open_loop(port, requests(), rate, 0, 10.0).errors
        samples.append((time.monotonic() - begun, memory_mb([pid]), open_files(pid)))
    times, memory, files = np.array(samples).T
    slope = float(np.polyfit(times, memory, 1)[0]) * 3600
    name = f"{rate:.0f}/s for {seconds / 60:.0f} minutes"
    report.row(
        name, "memory grows by less than 1 MB/h", f"{slope:+.2f} MB/h, {memory[0]:.0f} to {memory[-1]:.0f} MB", slope < 1
    )
    report.row("", "open files stay the same", f"{files[0]:.0f} to {files[-1]:.0f}", files[-1] <= files[0] + 5)
    report.row("", "no error", str(dict(errors)) if errors else "none", not errors)


class Client:
    """Sends requests on one kept connection, as fast as they are answered, until the gateway says that one was the last."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.lost: Counter[str] = Counter()
        self._port = port
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            self._ask_until_the_last(connection)

    def _ask_until_the_last(self, connection: http.client.HTTPConnection) -> None:
        for body in itertools.cycle(bodies()):
            try:
                connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost[type(error).__name__] += 1
                return
            self.answered += response.status == 200
            self.lost += Counter({f"status {response.status}": response.status != 200})
            if response.headers.get("Connection", "").lower() == "close":
                return


class Probes:
    """Asks /healthz every 20 ms while the block runs."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self._port = port
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            begun = time.perf_counter()
            with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                alive = connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
            self.seconds.append(time.perf_counter() - begun if alive else float("inf"))


@contextmanager
def later(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Does it so many seconds after the block began."""
    timer = threading.Timer(seconds, do)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def status(port: int) -> int:
    """The status of one answer."""
    return ask(port, requests()[0])[0]


def bodies() -> list[bytes]:
    return [msgspec.json.encode({"image": to_base64((examples_folder() / f"{name}.png").read_bytes())}) for name in _EXAMPLES]


def requests() -> list[bytes]:
    return [http_request("/v1/predict", body) for body in bodies()]


def is_clean(outcome: Outcome) -> bool:
    """Whether every request was answered, and rightly as far as was looked at."""
    right = list(_EXAMPLES.values())
    return not outcome.errors and all(msgspec.json.decode(body)["prediction"] == right[index] for index, body in outcome.sample)


def told(outcome: Outcome) -> str:
    errors = ", ".join(f"{count} {name}" for name, count in outcome.errors.items())
    return f"{len(outcome.latencies)} answered, {errors or 'no error'}"


def open_files(pid: int) -> int:
    """Open files of the process and all that descend from it."""
    return sum(len(list(Path(f"/proc/{process.pid}/fd").iterdir())) for process in family([pid]))


def _repository() -> str:
    return os.environ.get("HCR_REPOSITORY", "model_repo")


if __name__ == "__main__":
    sys.exit(main())
