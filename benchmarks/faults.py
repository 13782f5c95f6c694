"""How soon the gateway refuses what header or syntax condemn, and recovers when its model server was away.

.venv/bin/python -m benchmarks.faults        (needs a published version: make run or make train)

Starts a model server and a gateway of its own on free ports, sends traffic to 127.0.0.1 only, and ends both.
"""

import http.client
import io
import os
import sys
import time
from contextlib import ExitStack

from PIL import Image

from benchmarks.systems import running_gateway, running_model_server, wait_until
from hcr import examples_folder
from hcr.model_server import find, free_port
from tfserving.repository import Repository

MODEL = "digits"


def main() -> int:
    repository = Repository(os.environ.get("HCR_REPOSITORY", "model_repo"))
    if not repository.labels(MODEL).get("stable"):
        print(f"there is no stable version of {MODEL}: run `make train` first", file=sys.stderr)
        return 1
    found = find(repository.config_path, free_port(0))
    if found.command is None:
        print("MODEL_SERVER names a server that runs already; this benchmark starts its own", file=sys.stderr)
        return 1
    print(f"{found.name}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(running_model_server(found.command, found.address, MODEL))
        gateway, port, _ = stack.enter_context(running_gateway(found.address))
        refusals(port)
        first.close()
        row("without a model server, answers are", ", ".join(sorted({str(predict(port)) for _ in range(20)})), "goal 503")
        with running_model_server(found.command, found.address, MODEL):
            begun = time.perf_counter()
            wait_until(lambda: predict(port) == 200, gateway, "gateway")
            row("first right answer after its return", f"{time.perf_counter() - begun:.2f} s", "goal 2 s")
    return 0


def row(what: str, value: str, note: str) -> None:
    print(f"{what:<50} {value:>14}   {note}", flush=True)


def predict(port: int) -> int:
    """The status of an answer to a good request."""
    return send(port, (examples_folder() / "seven.png").read_bytes(), "image/png")


def send(port: int, body: bytes, content_type: str) -> int:
    """The status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/predict", body, {"Content-Type": content_type})
    return connection.getresponse().status


def refusals(port: int) -> None:
    """The slowest answer to each kind of request that cannot be answered."""
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
            begun = time.perf_counter()
            answered = send(port, body, content_type)
            worst = max(worst, time.perf_counter() - begun)
            if answered != status:
                raise RuntimeError(f"{name}: answered {answered}, not {status}")
        row(f"refused: {name}, slowest of 5", f"{1e3 * worst:.1f} ms", "goal 50 ms")


if __name__ == "__main__":
    sys.exit(main())
