"""The gateway as a process of its own, in front of a fake model server."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import HCR, ROOT, children_of, free_port
from tests.fakes import FakeModelServer


@pytest.fixture
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as fake:
        yield fake


@contextmanager
def gateway(server: FakeModelServer, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its URL; ready when the block begins."""
    port = settings.get("GATEWAY_PORT", str(free_port()))
    environment = {**os.environ, "GATEWAY_MODEL_SERVER": server.address, **settings, "GATEWAY_PORT": port}
    command = [sys.executable, "-m", "gateway.wsgi"]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as output:  # a pipe that nobody reads is full after some hundred lines of log
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            deadline = time.monotonic() + 60
            while get(f"{url}/readyz")[0] != 200:
                if process.poll() is not None:
                    output.seek(0)
                    raise AssertionError(output.read())
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield process, url
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def get(url: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON; 0 where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def post(url: str, data: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{url}/v1/predict", data, {"Content-Type": "image/png"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def in_flight(url: str) -> int:
    """Requests being worked on, but for the one that asks."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        return int(float(re.findall(r"^gateway_requests_in_flight (\S+)", response.read().decode(), re.MULTILINE)[0])) - 1


def stroke(width: int = 60, height: int = 60) -> bytes:
    pixels = np.full((height, width), 255, np.uint8)
    pixels[height // 5 : -height // 5, width * 2 // 5 : width // 2] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def test_sigterm_lets_what_is_under_way_end_and_exits_with_0(server: FakeModelServer) -> None:
    with gateway(server) as (process, url):
        post(url, stroke())
        server.delay(1.0)
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(post(url, stroke())[0])) for _ in range(4)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while in_flight(url) < 4:
            assert time.monotonic() < deadline

        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        for thread in threads:
            thread.join()

    assert answers == [200] * 4
    assert code == 0


def test_a_draining_gateway_says_so_and_still_serves(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_DRAIN_SECONDS="2") as (process, url):
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while (ready := get(f"{url}/readyz"))[0] == 200:
            assert time.monotonic() < deadline
        served = post(url, stroke())[0]
        code = process.wait(20)

    assert ready[0] == 503
    assert ready[1]["code"] == "draining"
    assert served == 200
    assert code == 0


def test_several_workers_are_scraped_as_one(server: FakeModelServer) -> None:
    with gateway(server, GATEWAY_WORKERS="2") as (process, url):
        for _ in range(30):  # each on a connection of its own, which any worker may take
            post(url, stroke())
        scrapes = []
        for _ in range(10):
            with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
                scrapes.append(response.read().decode())
        metrics = scrapes[-1]
        workers = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)

    assert code == 0
    assert len(workers) >= 2
    assert 'gateway_requests_total{method="POST",route="/v1/predict",status="200"} 30.0' in metrics
    assert "gateway_requests_in_flight 1.0" in metrics
    assert 'gateway_request_duration_seconds_count{route="/v1/predict"} 30.0' in metrics
    assert 'gateway_model_version_info{label="stable",model="digits",version="1"} 1.0' in metrics
    alerted = r"^gateway_(?:requests_total|request_duration_seconds_bucket|predictions_total|model_versions)\b.*"
    told = [[line for line in re.findall(alerted, scrape, re.MULTILINE) if "/metrics" not in line] for scrape in scrapes]
    assert told == [told[0]] * 10  # whichever worker answers
    assert 'gateway_model_versions{model="digits",state="AVAILABLE"} 1.0' in metrics
    assert "pid=" not in metrics  # else a rule that compares series would see one for each worker


def test_a_port_that_is_taken_is_told(server: FakeModelServer) -> None:
    with gateway(server) as (_, url):
        environment = {**os.environ, "GATEWAY_PORT": url.rpartition(":")[2]}
        command = [sys.executable, "-m", "gateway.wsgi"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert re.fullmatch(r"gateway: cannot listen on 127\.0\.0\.1:\d+: .*GATEWAY_PORT\n", done.stderr)


def test_a_wrong_setting_is_told() -> None:
    environment = {**os.environ, "GATEWAY_MAX_REQUESTS": "many"}
    command = [sys.executable, "-m", "gateway.wsgi"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: GATEWAY_MAX_REQUESTS is 'many'; expected a whole number")


def test_a_body_in_chunks_is_read_and_one_that_is_too_long_is_told_so(server: FakeModelServer) -> None:
    with gateway(server) as (_, url):
        statuses = []
        for body in (stroke(), bytes(20 << 20)):
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
            parts = (body[first : first + 65536] for first in range(0, len(body), 65536))
            headers = {"Content-Type": "image/png", "Transfer-Encoding": "chunked"}
            connection.request("POST", "/v1/predict", parts, headers, encode_chunked=True)
            with connection.getresponse() as response:
                statuses.append((response.status, json.load(response).get("code")))
            connection.close()

    assert statuses == [(200, None), (413, "payload_too_large")]


def test_large_images_at_the_same_time_are_answered_or_turned_away_in_bounded_memory(server: FakeModelServer) -> None:
    large = stroke(6000, 6000)
    with gateway(server, GATEWAY_REQUEST_TIMEOUT_SECONDS="30") as (process, url):
        post(url, stroke())
        before = memory(process)
        answers: list[tuple[int, dict[str, Any]]] = []
        threads = [threading.Thread(target=lambda: answers.append(post(url, large))) for _ in range(12)]
        for thread in threads:
            thread.start()
        peak = 0.0
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, memory(process))
            time.sleep(0.01)

    assert {status for status, _ in answers} <= {200, 503}
    assert any(status == 200 for status, _ in answers)
    assert all(body["code"] == "overloaded" for status, body in answers if status == 503)
    assert peak - before < 400  # MB: two of 36 MP in decoding, and the bodies


def memory(process: subprocess.Popen[str]) -> float:
    """Resident megabytes of the process and its worker."""
    sizes = []
    for pid in (process.pid, *children_of(process.pid)):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        sizes += [int(size) / 1024 for size in re.findall(r"VmRSS:\s+(\d+) kB", status)]
    return sum(sizes)


def test_metrics_on_a_port_of_their_own_are_there_while_the_gateway_drains(server: FakeModelServer) -> None:
    port = free_port()
    with gateway(server, GATEWAY_METRICS_PORT=str(port), GATEWAY_DRAIN_SECONDS="1") as (process, url):
        post(url, stroke())
        process.send_signal(signal.SIGTERM)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
        on_the_other = get(f"{url}/metrics")[0]
        process.wait(20)

    assert 'gateway_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in text
    assert on_the_other == 404


@pytest.mark.parametrize("name", ["GATEWAY_KEYS_FILE", "GATEWAY_RATE_LIMIT"])
def test_protection_that_cannot_be_had_stops_the_start(name: str) -> None:
    command = [sys.executable, "-m", "gateway.wsgi"]
    environment = {**os.environ, name: "/nowhere"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(f"gateway: {name}: ")


def test_keys_are_asked_for_and_replaced_without_a_restart(server: FakeModelServer, tmp_path: Path) -> None:
    made = [subprocess.run([*HCR, "keys", "new", name], cwd=ROOT, capture_output=True, text=True, check=True) for name in "ab"]
    (old, old_line), (new, new_line) = [(lines[1], lines[4]) for lines in (done.stdout.splitlines() for done in made)]
    file = tmp_path / "keys"
    file.write_text(old_line)
    with gateway(server, GATEWAY_KEYS_FILE=str(file)) as (_, url):
        before = [status_with_key(url, key) for key in ("", old, new)]
        file.write_text(new_line)
        deadline = time.monotonic() + 10
        while status_with_key(url, new) != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        after = [status_with_key(url, key) for key in ("", old, new)]

    assert before == [401, 200, 401]
    assert after == [401, 401, 200]


def status_with_key(url: str, key: str) -> int:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
