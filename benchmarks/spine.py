"""What the gateway takes and gives on this machine: start, memory, latency, refusals, recovery.

    make bench        (needs a published version: make run or make train)

Starts a model server and a gateway of its own on free ports, sends traffic to 127.0.0.1 only, and ends both.
"""

import http.client
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from handwriting.image import to_base64
from hcr import examples_folder
from hcr.model_server import find, free_port
from tfserving.client import ModelClient
from tfserving.errors import ServingError
from tfserving.repository import Repository

SECONDS = 5.0
CONNECTIONS = (1, 4, 16)


def main() -> int:
    repository = Repository(os.environ.get("HCR_REPOSITORY", "model_repo"))
    if not repository.labels("digits").get("stable"):
        print("there is no stable version of digits: run `make train` first", file=sys.stderr)
        return 1
    server_port = free_port(0)
    model_server = find(repository.config_path, server_port)
    if model_server.command is None:
        print("MODEL_SERVER names a server that runs already; this benchmark starts its own", file=sys.stderr)
        return 1
    print(f"{model_server.name}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with Path(os.devnull).open("w") as nowhere:
        server = start_model_server(model_server.command, model_server.address, nowhere)
        gateway, port, ready_seconds = start_gateway(model_server.address, nowhere)
        try:
            row("gateway ready after its start", f"{ready_seconds:.2f} s", "goal 1.5 s")
            row("gateway's resident memory, fresh", f"{resident(gateway.pid):.0f} MB", "goal 110 MB")
            answers(port, model_server.address)
            refusals(port)
            server = recovery(port, server, model_server.command, model_server.address, nowhere)
            row("gateway's resident memory, at the end", f"{resident(gateway.pid):.0f} MB")
        finally:
            for process in (gateway, server):
                process.terminate()
                process.wait()
    return 0


def row(what: str, value: str, note: str = "") -> None:
    print(f"{what:<62} {value:>14}{'   ' + note if note else ''}", flush=True)


def start_model_server(command: list[str], address: str, output: io.TextIOBase) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=output, stderr=output)
    with ModelClient(address) as client:
        wait(lambda: client.metadata("digits", "stable", timeout_seconds=1).version > 0)
    return process


def start_gateway(address: str, output: io.TextIOBase) -> tuple[subprocess.Popen[bytes], int, float]:
    port = free_port(0)
    environment = {**os.environ, "GATEWAY_PORT": str(port), "GATEWAY_MODEL_SERVER": address}
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "gateway.wsgi"], env=environment, stdout=output, stderr=output)
    wait(lambda: get(port, "/readyz") == 200)
    return process, port, time.perf_counter() - begun


def wait(condition: Callable[[], bool], timeout_seconds: float = 60) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, ServingError):
            pass
        time.sleep(0.005)
    raise TimeoutError("it did not happen in time")


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().status


def resident(pid: int) -> float:
    """Megabytes of the process and its children, shared pages shared out (PSS)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    rollups = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in (pid, *children)]
    return sum(int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) for text in rollups) / 1024


def answers(port: int, address: str) -> None:
    """Latency and throughput of single images, and a direct gRPC call for comparison."""
    drawing = (examples_folder() / "seven.png").read_bytes()
    small = io.BytesIO()
    Image.open(io.BytesIO(drawing)).resize((28, 28)).save(small, "PNG")
    tensor = np.zeros((1, 28, 28), np.uint8)
    with ModelClient(address) as client:
        direct = timed(lambda: client.predict("digits", {"images": tensor}, signature="characters_v1", version="stable"), 300)
    row("direct gRPC Predict of one tensor, p50", f"{1e3 * statistics.median(direct):.2f} ms")
    for name, image in (("28 × 28 PNG", small.getvalue()), ("280 × 280 PNG", drawing)):
        body = json.dumps({"image": to_base64(image)}).encode()
        for connections in CONNECTIONS:
            seconds = load(port, body, connections)
            rate, p50, p99 = len(seconds) / SECONDS, *np.percentile(seconds, [50, 99])
            row(
                f"{name} over JSON, {connections} connections",
                f"{rate:.0f}/s",
                f"-; p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f} ms",
            )


def timed(call: Callable[[], object], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return seconds


def load(port: int, body: bytes, connections: int) -> list[float]:
    """The seconds of every answer that `connections` clients got in SECONDS, each on one connection."""
    seconds: list[float] = []
    end = time.monotonic() + SECONDS

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.monotonic() < end:
            begun = time.perf_counter()
            connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise RuntimeError(f"answered {response.status}")
            seconds.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


def refusals(port: int) -> None:
    """The slowest of what header or syntax condemn."""
    bomb = io.BytesIO()
    Image.new("1", (30000, 3000)).save(bomb, "PNG")
    hostile = {
        "bomb of 90 megapixels": (bomb.getvalue(), "image/png", 413),
        "16 MB of body": (bytes(16 << 20), "image/png", 413),
        "text": (b"hello", "image/png", 415),
        "no JSON": (b"{", "application/json", 400),
        "deep JSON": (b"[" * 100_000, "application/json", 400),
        "no base64": (b'{"image": "%%%"}', "application/json", 400),
    }
    for name, (body, content_type, status) in hostile.items():
        worst = 0.0
        for _ in range(5):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            begun = time.perf_counter()
            connection.request("POST", "/v1/predict", body, {"Content-Type": content_type})
            answered = connection.getresponse().status
            worst = max(worst, time.perf_counter() - begun)
            if answered != status:
                raise RuntimeError(f"{name}: answered {answered}, not {status}")
        row(f"refused: {name}, slowest of 5", f"{1e3 * worst:.1f} ms", "goal 50 ms")


def recovery(
    port: int, server: subprocess.Popen[bytes], command: list[str], address: str, output: io.TextIOBase
) -> subprocess.Popen[bytes]:
    """Kills the model server under requests, and times the first answer after another one can answer."""
    body = (examples_folder() / "seven.png").read_bytes()

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/v1/predict", body, {"Content-Type": "image/png"})
        return connection.getresponse().status

    server.kill()
    server.wait()
    statuses = {ask() for _ in range(20)}
    other = start_model_server(command, address, output)
    begun = time.perf_counter()
    wait(lambda: ask() == 200)
    row("without a model server, answers are", ", ".join(map(str, sorted(statuses))), "goal 503")
    row("first right answer after its return", f"{time.perf_counter() - begun:.2f} s", "goal 2 s")
    return other


if __name__ == "__main__":
    sys.exit(main())
