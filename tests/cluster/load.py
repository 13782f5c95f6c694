"""Runs in a pod: asks the gateway 50 times a second, each time on a connection of its own, until /tmp/stop is there.

What it prints last: how many answers there were, every failure, how long the slowest took, and how often each version answered.
"""

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hcr

RATE = 50
HOST = "handwriting"
IMAGE = Path(hcr.__file__).with_name("examples").joinpath("seven.png").read_bytes()
lock = threading.Lock()
versions: Counter[int] = Counter()
failures: list[str] = []
slowest = 0.0


def ask() -> None:
    global slowest
    start = time.monotonic()
    try:
        connection = http.client.HTTPConnection(HOST, 80, timeout=10)
        connection.request("POST", "/v1/predict?top_k=1", IMAGE, {"Content-Type": "image/png"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        if response.status != 200 or answer["prediction"] != "7":
            raise RuntimeError(f"{response.status} {answer}")
    except Exception as error:
        with lock:
            failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}"[:300])
        return
    with lock:
        versions[answer["model"]["version"]] += 1
        slowest = max(slowest, time.monotonic() - start)


with ThreadPoolExecutor(100) as pool:
    due = time.monotonic()
    while not Path("/tmp/stop").exists():
        pool.submit(ask)
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))
print(json.dumps({"answers": sum(versions.values()), "failures": failures, "slowest": round(slowest, 3), "versions": versions}))
