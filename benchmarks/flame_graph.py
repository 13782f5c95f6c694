"""What holds the gateway's interpreter under load: `python -m benchmarks.flame_graph PY_SPY` writes docs/flame-graph.svg.

PY_SPY is the program of the package py-spy. The gateway has one worker, in front of the development model server, and answers
28 × 28 PNGs on 16 connections. Seen is who holds the interpreter; not what gRPC and granian do in threads of their own. The
worker is not halted for a look: it has hundreds of threads, and with halts it answered a small part of the requests.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import protocols
from benchmarks.load import closed_loop
from benchmarks.payloads import payloads
from benchmarks.processes import family
from benchmarks.systems import ROOT, running_gateway, running_model_server
from hcr.model_server import find, free_port
from tfserving.repository import Repository

CONNECTIONS = 16
SECONDS = 20
SAMPLES_PER_SECOND = 250


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.flame_graph", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("py_spy", type=Path, help="the program py-spy")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "flame-graph.svg", help="default: docs/flame-graph.svg")
    options = parser.parse_args()
    found = find(Repository(ROOT / "model_repo").config_path, free_port(0))
    if found.command is None:
        print("MODEL_SERVER names a server that runs already; this starts its own", file=sys.stderr)
        return 2
    requests = protocols.GATEWAY.requests(payloads()["png28"])
    with running_model_server(found.command, found.address, "digits"), running_gateway(found.address, GATEWAY_WORKERS="1") as (
        process, port, _,
    ):  # fmt: skip
        worker = family([process.pid])[-1].pid  # forked last
        closed_loop(port, requests, CONNECTIONS, 0.0, 2.0)
        command = [
            options.py_spy, "record", "--pid", str(worker), "--output", options.output, "--duration", str(SECONDS),
            "--rate", str(SAMPLES_PER_SECOND), "--function", "--nonblocking", "--gil",
        ]  # fmt: skip
        recording = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        outcome = closed_loop(port, requests, CONNECTIONS, 1.0, SECONDS - 1.0)
        code = recording.wait(60)
    title = f"What holds the gateway's interpreter: one worker, {CONNECTIONS} connections, 28 × 28 PNG"
    svg = re.sub(r"(<text id=\"title\"[^>]*>)[^<]*", rf"\g<1>{title}", options.output.read_text())
    options.output.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))
    errors = sum(outcome.errors.values())
    print(f"{outcome.requests_per_second:,.0f} requests/s while it was recorded, {errors} errors\n{options.output}")
    return code


if __name__ == "__main__":
    sys.exit(main())
