"""Releases in a row under traffic, some of them bad: `make drill-release`.

A repository of its own with a small model, the development model server and the gateway; 100 requests a second; each version
is published and released with `hcr release --auto`. No request may fail, the bad versions must be taken back by themselves, and
the audit log must say why. In the end `hcr rollback`, timed until every answer comes from the version before.
"""

import argparse
import http.client
import io
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks import made_versions
from benchmarks.made_versions import GOOD
from benchmarks.processes import memory_mb
from benchmarks.systems import running_gateway, running_model_server
from handwriting.preprocess import to_tensor
from hcr.model_server import find, free_port
from tfserving.repository import STABLE, Repository

MODEL = "digits"
RATE = 100.0
_THREADS = 8
ROLLBACK_CEILING_SECONDS = 10.0

MIXED = (
    GOOD, "slow", GOOD, GOOD, "failing", GOOD, GOOD, GOOD, "wrong", GOOD,
    GOOD, GOOD, "uncalibrated", GOOD, GOOD, GOOD, "unloadable", GOOD, GOOD, GOOD,
)  # fmt: skip
"""Twenty versions, five of them bad."""


@dataclass
class Result:
    """What became of the drill."""

    answers: Counter[str] = field(default_factory=Counter)
    """Status, or what was wrong, → how many."""
    released: list[tuple[int, str, bool, str]] = field(default_factory=list)
    """Version, kind, whether it became stable, and what the audit log says of it."""
    megabytes: list[float] = field(default_factory=list)
    """Memory of the gateway before each release and at the end."""
    rollback_seconds: list[float] = field(default_factory=list)
    """From the start of the command to the last answer of the version that was undone."""
    following_seconds: list[float] = field(default_factory=list)
    """The same from the change of models.config on: what the model server takes to follow."""

    @property
    def failed_requests(self) -> int:
        return sum(count for what, count in self.answers.items() if what != "200")

    @property
    def surprises(self) -> list[str]:
        """Releases that ended otherwise than they should."""
        return [
            f"version {number} ({kind}) {'became' if is_stable else 'did not become'} stable: {why}"
            for number, kind, is_stable, why in self.released
            if is_stable != (kind == GOOD)
        ]


def main() -> int:
    """0 where nothing failed and every bad version was taken back."""
    parser = argparse.ArgumentParser(description="Release versions in a row under traffic, some of them bad.")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each canary is watched (8)")
    parser.add_argument("--rollbacks", type=int, default=5, help="rollbacks to time in the end (5)")
    options = parser.parse_args()
    result = drill(MIXED, options.seconds, options.rollbacks)
    for number, kind, is_stable, why in result.released:
        print(f"version {number:2}  {kind:12}  {'promoted' if is_stable else 'taken back':10}  {why}")
    print("answers:", ", ".join(f"{count} × {what}" for what, count in result.answers.most_common()))
    print("gateway, MB:", " ".join(f"{value:.0f}" for value in result.megabytes))
    print("rollback, s until the last answer of the version undone:", " ".join(f"{one:.1f}" for one in result.rollback_seconds))
    print("of that, after models.config had changed:", " ".join(f"{one:.1f}" for one in result.following_seconds))
    for surprise in result.surprises:
        print("NOT AS IT SHOULD BE:", surprise)
    return 1 if result.failed_requests or result.surprises or _grows(result.megabytes) else 0


def drill(kinds: Sequence[str], seconds: float, rollbacks: int) -> Result:
    """Releases a version of each kind, under traffic, and then rolls back so many times."""
    result = Result()
    images = _images()
    tensors = [to_tensor(image) for image in images]
    wrong_class = made_versions.most_frequent(tensors)
    bodies = [_png(image) for image in images]
    with TemporaryDirectory() as name:
        folder = Path(name)
        repository = Repository(folder / "models")
        repository.open()
        sources = _make(folder / "made", (GOOD, *kinds), wrong_class)
        repository.publish(MODEL, sources[0], "made for the drill")
        found = find(repository.config_path, free_port(0))
        assert found.command is not None
        with running_model_server(found.command, found.address, MODEL, "release_model_server"):
            with running_gateway(
                found.address, "release_gateway", GATEWAY_MODELS_CONFIG=str(repository.config_path), GATEWAY_DEFAULT_MODEL=MODEL
            ) as (process, port, _):
                url = f"http://127.0.0.1:{port}/metrics"
                with traffic(port, bodies, result) as versions:
                    for source, kind in zip(sources[1:], kinds, strict=True):
                        result.megabytes.append(memory_mb([process.pid]))
                        number = repository.publish(MODEL, source, f"made for the drill: {kind}")
                        _release(repository, number, url, found.address, seconds)
                        is_stable = repository.labels(MODEL)[STABLE] == number
                        result.released.append((number, kind, is_stable, _why(repository, number)))
                        repository.prune(MODEL, keep=4)
                    result.megabytes.append(memory_mb([process.pid]))
                    for _ in range(rollbacks):
                        _time_rollback(repository, found.address, versions, result)
    return result


@contextmanager
def traffic(port: int, bodies: Sequence[bytes], result: Result) -> Iterator["Seen"]:
    """RATE requests a second while the block runs, each with an image of its own; gives what versions were seen when."""
    end, seen = threading.Event(), Seen()
    threads = [
        threading.Thread(target=_ask_for_ever, args=(port, bodies[first::_THREADS], end, seen, result))
        for first in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        end.set()
        for thread in threads:
            thread.join()


class Seen:
    """When each version last answered."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.lock = threading.Lock()

    def note(self, version: str) -> None:
        with self.lock:
            self.last[version] = time.monotonic()


def _ask_for_ever(port: int, bodies: Sequence[bytes], end: threading.Event, seen: Seen, result: Result) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    due = time.monotonic()
    index = 0
    while not end.wait(max(0.0, due - time.monotonic())):
        due = max(due + _THREADS / RATE, time.monotonic() - 1)
        index += 1
        try:
            connection.request("POST", "/v1/predict", bodies[index % len(bodies)], {"Content-Type": "image/png"})
            answer = connection.getresponse()
            answer.read()
            what = str(answer.status)
            seen.note(str(answer.headers["X-Model-Version"]))
        except (OSError, http.client.HTTPException) as error:
            what = type(error).__name__
            connection.close()
        with seen.lock:
            result.answers[what] += 1
    connection.close()


def _release(repository: Repository, number: int, url: str, address: str, seconds: float) -> None:
    watched = ["--for", f"{seconds:g}s", "--canary", "25%", "--shadow", "40%", "--requests", "40", "--timeout", "20"]
    _hcr("release", str(number), "--model", MODEL, "--auto", *watched, "--metrics", url, repository=repository, address=address)


def _time_rollback(repository: Repository, address: str, seen: Seen, result: Result) -> None:
    undone = str(repository.labels(MODEL)[STABLE])
    begun = time.monotonic()
    _hcr("rollback", MODEL, repository=repository, address=address)
    while time.monotonic() - seen.last.get(undone, 0.0) < 1.0:
        if time.monotonic() - begun > ROLLBACK_CEILING_SECONDS:
            break
        time.sleep(0.02)
    changed = repository.config_path.stat().st_mtime + time.monotonic() - time.time()
    result.rollback_seconds.append(seen.last[undone] - begun)
    result.following_seconds.append(seen.last[undone] - changed)
    _hcr("promote", MODEL, undone, repository=repository, address=address)
    time.sleep(1.5)


def _hcr(*arguments: str, repository: Repository, address: str) -> None:
    command = [sys.executable, "-m", "hcr.main", *arguments, "--model-server", address, "--repository", str(repository.root)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def _make(folder: Path, kinds: Sequence[str], wrong_class: int) -> list[Path]:
    """The versions' folders. In a process of its own: TensorFlow's memory goes with it."""
    folders = [folder / str(number) for number in range(1, len(kinds) + 1)]
    script = (
        "import sys; from pathlib import Path; from benchmarks.made_versions import write\n"
        "for number, kind in enumerate(sys.argv[3:], 1): write(Path(sys.argv[1]) / str(number), number, kind, int(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", script, str(folder), str(wrong_class), *kinds], check=True, capture_output=True)
    return folders


def _why(repository: Repository, number: int) -> str:
    """What the log says last of the version."""
    entries = [entry for entry in repository.events(MODEL) if entry.get("version") == number]
    return f"{entries[-1]['action']}: {entries[-1].get('why', '')}" if entries else "nothing"


def _images() -> list[np.ndarray]:
    """Two hundred strokes on paper, each another."""
    random = np.random.default_rng(7)
    images = []
    for _ in range(200):
        pixels = np.full((48, 48), 255, np.uint8)
        for _ in range(3):
            y, x = random.integers(4, 34, 2)
            if random.random() < 0.5:
                pixels[y : y + 10, x : x + 3] = 0
            else:
                pixels[y : y + 3, x : x + 10] = 0
        images.append(pixels)
    return images


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _grows(megabytes: Sequence[float]) -> bool:
    """Whether the last quarter takes a tenth more than the second: the first is still filling its caches."""
    quarter = len(megabytes) // 4
    return quarter > 1 and np.mean(megabytes[-quarter:]) > 1.1 * np.mean(megabytes[quarter : 2 * quarter])


if __name__ == "__main__":
    sys.exit(main())
