"""The gateway against other servers: the same model, preprocessing, images and load, in turn on the same two cores.

    make bench         ≤ 15 minutes: what matters most
    make bench-full    about an hour: all payloads and numbers of connections

Prints tables, and writes results.json, results.md and results.svg into this folder. Ends with 1 where a system answered
wrongly or not at all. Sends traffic to 127.0.0.1 only. docs/performance.md tells what is compared and how.
"""

import argparse
import datetime
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import processes, protocols, report
from benchmarks.direct import Direct
from benchmarks.load import LoadError, Outcome, ask, closed_loop, open_loop
from benchmarks.payloads import Payload, payloads
from benchmarks.protocols import Protocol, Said
from benchmarks.report import DIRECT, GATEWAY, TFSERVING, Cell, Round, Start
from benchmarks.systems import PEERS, ROOT, Peer, System, SystemFailed, running_gateway, running_model_server, running_peer
from hcr.model_server import find, free_port
from tfserving.client import ModelClient
from tfserving.repository import Repository

MODEL = "digits"
CORES = 2
MOST_APART = 0.01
"""How far the probability that an answer gives may be from the expected one; TensorFlow's builds differ in the last digits."""

QUICK = (Cell("png28", 1), Cell("png28", 16), Cell("png28", 64), Cell("canvas280", 16), Cell("photo12mp", 1),
         Cell("batch64", 1), Cell("field5", 4))  # fmt: skip
FULL = (*(Cell(payload, connections) for payload in ("png28", "canvas280") for connections in (1, 4, 16, 64)),
        *(Cell("photo12mp", connections) for connections in (1, 4)),
        *(Cell(payload, connections) for payload in ("batch64", "field5") for connections in (1, 4, 16)))  # fmt: skip
DIRECT_CELLS = (Cell("png28", 1), Cell("batch64", 1))
OPEN_LOOP = "png28"
_STARTS = 3  # of the gateway, for the time until it is ready
_MOST_ATTEMPTS = 20


@dataclass(frozen=True)
class Length:
    """How many rounds, and the seconds of each measurement and of the warm-up before it."""

    rounds: int
    seconds: float
    warm_up: float = 0.5


class Bench:
    """All systems at once, of which one at a time works."""

    def __init__(
        self,
        systems: Sequence[System],
        direct: Direct,
        kinds: Mapping[str, Payload],
        expected: Mapping[str, list[Said]],
        length: Length,
    ) -> None:
        self._systems = systems
        self._direct = direct
        self._kinds = kinds
        self._expected = expected
        self._length = length
        self._requests = {(s.name, name): s.protocol.requests(kind) for s in systems for name, kind in kinds.items()}
        self._generator_seconds = self._seconds = 0.0
        self.rounds: list[Round] = []

    @property
    def generator_share(self) -> float:
        """How much of one core the load generator took, on average."""
        return self._generator_seconds / max(self._seconds, 1e-9)

    def warm_up(self, cells: Sequence[Cell]) -> None:
        """Each system does once, unmeasured, what it will be measured at."""
        for system in self._systems:
            for cell in cells:
                self._run(system, cell, seconds=0.0)

    def measure(self, cells: Sequence[Cell]) -> None:
        """All rounds of all cells."""
        rate = 0.0
        for number in range(self._length.rounds):
            order = [*self._systems[number % len(self._systems) :], *self._systems[: number % len(self._systems)]]
            for cell in cells:
                self._measure_all(order, cell)
            rate = rate or self._half_of_the_slowest()
            if rate:
                self._measure_all(order, Cell(OPEN_LOOP, 0, rate))
            print(f"round {number + 1} of {self._length.rounds} is done", file=sys.stderr, flush=True)

    def _measure_all(self, order: Sequence[System], cell: Cell) -> None:
        for system in order:
            self.rounds.append(self._measured(system, cell))
            if system.name == GATEWAY and cell in DIRECT_CELLS:
                with system.working():
                    self._direct.settle()
                    outcome = self._direct.closed_loop(
                        self._kinds[cell.payload], cell.connections, self._length.warm_up, self._length.seconds
                    )
                self.rounds.append(Round(DIRECT, cell, *_speeds(outcome), errors=0))

    def _measured(self, system: System, cell: Cell) -> Round:
        outcome, memory = self._run(system, cell, self._length.seconds)
        self._generator_seconds += outcome.generator_seconds
        self._seconds += outcome.seconds
        errors = sum(outcome.errors.values()) + self._count_wrong(system, cell.payload, outcome)
        for what, count in outcome.errors.items():
            print(f"{system.title}, {cell.payload}, {cell.connections} connections: {count} × {what}", file=sys.stderr)
        cpu = 1000 * outcome.metered / max(len(outcome.latencies), 1)
        return Round(system.name, cell, *_speeds(outcome), errors, cpu, memory)

    def _run(self, system: System, cell: Cell, seconds: float) -> tuple[Outcome, float]:
        requests = self._requests[system.name, cell.payload]
        with system.working():
            self._settle(system, cell.payload)
            if cell.connections:
                load = partial(closed_loop, system.port, requests, cell.connections)
            else:
                load = partial(open_loop, system.port, requests, cell.rate)
            return load(self._length.warm_up, seconds, system.cpu_seconds), system.memory_mb()

    def _settle(self, system: System, payload: str) -> None:
        """Waits until a system that was halted answers again: connections inside it may have to be made anew."""
        for attempt in range(_MOST_ATTEMPTS):
            status, body = ask(system.port, self._requests[system.name, payload][0])
            if status == 200:
                return
            time.sleep(0.1 * attempt)
        raise SystemFailed(f"{system.title} answers {status} to {payload}: {body[:500]!r}")

    def _count_wrong(self, system: System, payload: str, outcome: Outcome) -> int:
        kind, wrong = self._kinds[payload], 0
        for index, body in outcome.sample:
            expected = self._expected[payload][index]
            if not is_right(system.protocol, kind, body, expected):
                wrong += 1
                print(f"{system.title} answered {payload} wrongly: {body[:300]!r} instead of {expected}", file=sys.stderr)
        return wrong

    def _half_of_the_slowest(self) -> float:
        """A rate for the open loop that all can keep up with; 0 where it was not measured."""
        rates = [one.requests_per_second for one in self.rounds if one.cell == Cell(OPEN_LOOP, 16) and one.system != DIRECT]
        return float(round(min(rates) / 2)) if rates else 0.0


def is_right(protocol: Protocol, payload: Payload, body: bytes, expected: Said) -> bool:
    """Whether the answer says what is expected of it."""
    try:
        said = protocol.said(payload, body)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    return len(said) == len(expected) and all(
        label == wanted and abs(probability - likely) <= MOST_APART
        for (label, probability), (wanted, likely) in zip(said, expected, strict=True)
    )


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all that was started is ended
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    load_before = os.getloadavg()[0]
    repository = _repository()
    kinds = payloads()
    cells = FULL if options.full else QUICK
    try:
        with ExitStack() as stack:
            gateway = stack.enter_context(_gateway(repository, kinds))
            systems = [gateway.system, *_others(stack, options.peers, gateway, repository, kinds["png28"])]
            bench = Bench(systems, gateway.direct, kinds, gateway.expected, Length(options.rounds, options.seconds))
            bench.warm_up(cells)
            bench.measure(cells)
            starts = {s.name: Start(s.start_seconds, s.fresh_mb, s.memory_mb()) for s in systems}
    except (SystemFailed, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results = report.summarise(bench.rounds)
    facts = [
        *_machine(),
        f"load of the machine before the run: {load_before:.1f}",
        f"{options.rounds} rounds of {options.seconds:g} s for each system in turn; medians of the rounds",
        f"the load generator took {bench.generator_share:.0%} of a core, on average",
        f"model {MODEL}, version {_stable(repository)}; behind the gateway: {gateway.model_server}",
        f"peers: {', '.join(f'{peer.title} {peer.version}' for peer in options.peers)}",
    ]
    judged = report.verdicts(results, gateway.ready_seconds, gateway.own_mb)
    titles = {system.name: system.title for system in systems} | {name: kind.title for name, kind in kinds.items()}
    titles[DIRECT] = "(direct gRPC)"
    text = report.to_markdown(facts, titles, results, starts, judged)
    print(text)
    (options.output / "results.md").write_text(text)
    (options.output / "results.json").write_text(report.to_json(results))
    (options.output / "results.svg").write_text(report.to_svg(titles, results))
    return 1 if any(result.errors for result in results.values()) else 0


@dataclass(frozen=True)
class RunningGateway:
    """The gateway with a model server of its own, and what is known of it before any load."""

    system: System
    direct: Direct
    expected: Mapping[str, list[Said]]
    """What the answers to each payload's requests must say."""
    model_server: str
    ready_seconds: float
    own_mb: float
    """Memory of the gateway's processes alone, without the model server."""


@contextmanager
def _gateway(repository: Repository, kinds: Mapping[str, Payload]) -> Iterator[RunningGateway]:
    found = find(repository.config_path, free_port(0))
    if found.command is None:
        raise SystemFailed("MODEL_SERVER names a server that runs already; the benchmarks start their own")
    begun = time.perf_counter()
    with running_model_server(found.command, found.address, MODEL) as server:
        server_seconds = time.perf_counter() - begun
        seconds = [_seconds_until_ready(found.address) for _ in range(_STARTS - 1)]
        with running_gateway(found.address) as (process, port, ready), ModelClient(found.address) as client:
            own_mb = processes.memory_mb([process.pid])
            begun = time.perf_counter()
            ask(port, protocols.GATEWAY.requests(kinds["png28"])[0])
            start_seconds = server_seconds + ready + time.perf_counter() - begun
            roots = (process.pid, server.pid)
            system = System(GATEWAY, "gateway", protocols.GATEWAY, port, roots, start_seconds, processes.memory_mb(roots))
            direct = Direct(client, MODEL)
            expected = {name: direct.expected(kind) for name, kind in kinds.items()}
            yield RunningGateway(system, direct, expected, found.name, statistics.median([*seconds, ready]), own_mb)


def _seconds_until_ready(address: str) -> float:
    with running_gateway(address) as (_, _, seconds):
        return seconds


def _others(
    stack: ExitStack, peers: Sequence[Peer], gateway: RunningGateway, repository: Repository, first: Payload
) -> Iterator[System]:
    """The systems beside the gateway, started one after the other while the others are halted."""
    gateway.system.halt()
    if address := os.environ.get("TFSERVING_ADDRESS"):
        process, port, seconds = stack.enter_context(running_gateway(address, TFSERVING))
        roots = (process.pid,)
        system = System(TFSERVING, "gateway, TF Serving", protocols.GATEWAY, port, roots, seconds, processes.memory_mb(roots))
        system.halt()
        yield system
    model = repository.root / MODEL / str(_stable(repository))
    for peer in peers:
        system = stack.enter_context(running_peer(peer, model, peer.protocol.requests(first)[0]))
        print(f"{peer.title} answers, {system.start_seconds:.1f} s after its start", file=sys.stderr, flush=True)
        system.halt()
        yield system


def _repository() -> Repository:
    """The repository, with a stable version of the model in it: a quick one is trained where there is none."""
    repository = Repository(os.environ.get("HCR_REPOSITORY", "model_repo"))
    if not repository.labels(MODEL).get("stable"):
        print(f"there is no stable version of {MODEL} yet: training a quick one", file=sys.stderr, flush=True)
        subprocess.run([Path(sys.executable).parent / "hcr", "train", "--quick"], check=True, stdout=sys.stderr)
    return repository


def _stable(repository: Repository) -> int:
    return repository.labels(MODEL)["stable"]


def _machine() -> list[str]:
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, revision {revision.stdout.strip() or 'unknown'}",
        f"{len(os.sched_getaffinity(0))} cores for systems and load generator together: "
        f"{processor[1] if processor else platform.machine()}; Python {platform.python_version()}",
    ]


def _speeds(outcome: Outcome) -> tuple[float, float, float]:
    """Requests per second, p50 and p99 in milliseconds; without any answer the time that was waited for one."""
    latencies = outcome.latencies if len(outcome.latencies) else np.array([outcome.seconds])
    p50, p99 = np.percentile(latencies, [50, 99])
    return outcome.requests_per_second, 1000 * float(p50), 1000 * float(p99)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.suite", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="all payloads and numbers of connections")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement, beside its warm-up (default: 1.5)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for results.* (default: this one)")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peers", nargs="*", choices=names, default=names, help="those to compare with (default: all)")
    options = parser.parse_args()
    options.peers = [peer for peer in PEERS if peer.name in options.peers]
    return options


if __name__ == "__main__":
    sys.exit(main())
