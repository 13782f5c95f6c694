"""SIGKILL at every system call with which a change of the repository, or of kept feedback, changes files.

strace counts the calls of an undisturbed run, then ends one run at each of them. Here at some, spread over all changes; at all,
which takes minutes, by `make drill-kill`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest

from hcr.feedback import sweep
from tests.drills import changes
from tests.drills import repository_state as it
from tests.drills.changes import CHANGES
from tfserving.repository import Repository

ROOT = Path(__file__).parents[2]
CHANGING = [
    "openat", "creat", "write", "writev", "pwrite64", "sendfile", "copy_file_range", "rename", "renameat", "renameat2",
    "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "truncate",
    "ftruncate", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat", "fsync", "fdatasync",
    "fallocate",
]  # fmt: skip
IS_WHOLE = os.environ.get("HCR_DRILLS") == "all"
KILL_EVERY, REFUSE_EVERY = (1, 5) if IS_WHOLE else (16, 40)
AT_LEAST = 300
ERRORS = {"ENOSPC": "has no space left", "EROFS": "read-only", "ENOENT": "volume mounted", "EIO": "volume mounted"}

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)")
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")

pytestmark = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not here, or may not trace; `apt install strace` makes this run",
)


@dataclass(frozen=True)
class Undisturbed:
    """A change that nothing disturbed."""

    template: Path
    calls: list[tuple[str, int]]
    """Those that change something: each one's name, and its number among the calls of that name."""
    accepted: list[it.State]
    """The states that a disturbed change may leave: before and after each step, and what lies between two files."""
    numbers: set[int]
    """The versions of digits that lie there in the end."""
    feedback: tuple[dict[str, bytes], dict[str, bytes]]
    """Before and after."""


class Undisturbeds:
    """Each change, run once without disturbance when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        it.make(folder / "template")

    @cache  # noqa: B019  # lives as long as the module
    def of(self, name: str) -> Undisturbed:
        template = self._folder / name / "template"
        CHANGES[name].prepare(copy(self._folder / "template", template))
        tried = copy(template, self._folder / name / "tried")
        accepted = it.states(tried, CHANGES[name].steps)
        repository = copy(template, self._folder / name / "run")
        before = it.feedback(changes.feedback_folder(repository))
        log = self._folder / name / "strace.log"
        done = run(name, repository, log, f"--trace={','.join(f'?{call}' for call in CHANGING)}")
        assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stderr
        assert it.state(repository) == accepted[-1]
        calls = changing_calls(log, repository.root.parent)
        after = it.feedback(changes.feedback_folder(repository))
        return Undisturbed(template, calls, accepted, numbers_of(repository), (before, after))


@pytest.fixture(scope="module")
def undisturbeds(tmp_path_factory: pytest.TempPathFactory) -> Undisturbeds:
    return Undisturbeds(tmp_path_factory.mktemp("drills"))


@pytest.fixture(scope="module")
def killed() -> Iterator[Counter[str]]:
    """How often each change was killed; told at the end."""
    counted: Counter[str] = Counter()
    yield counted
    if IS_WHOLE:
        print(f"\nkilled {counted.total()} times:", ", ".join(f"{name} {count}" for name, count in counted.items()))


def run(name: str, repository: Repository, log: Path, *strace: str) -> subprocess.CompletedProcess[str]:
    """Makes the change under strace."""
    program = [sys.executable, "-B", "-m", "tests.drills.change", name, str(repository.root)]
    command = ["strace", "-f", "-y", "-o", str(log), *strace, *program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def changing_calls(log: Path, folder: Path) -> list[tuple[str, int]]:
    """The calls of the main thread that change something in the folder."""
    found = [match.groups() for match in map(_CALL.match, log.read_text().splitlines()) if match]
    seen: Counter[str] = Counter()
    calls = []
    for _, name, arguments in (one for one in found if one[0] == found[0][0]):
        seen[name] += 1
        if str(folder) in arguments and (name != "openat" or _WRITING.search(arguments)):
            calls.append((name, seen[name]))
    return calls


def copy(template: Path, folder: Path) -> Repository:
    """All that lies in the template, and its repository."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return Repository(folder / "repository")


def numbers_of(repository: Repository) -> set[int]:
    return {version.number for version in repository.versions("digits")}


def sample(name: str, calls: list[tuple[str, int]], every: int) -> list[tuple[str, int]]:
    """Each so many-th of the calls, beginning with another one for each change."""
    return calls[list(CHANGES).index(name) * 5 % every :: every]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_killed_at_any_call_leaves_the_state_before_or_after(
    name: str, undisturbeds: Undisturbeds, killed: Counter[str], tmp_path: Path
) -> None:
    undisturbed = undisturbeds.of(name)
    for call, number in sample(name, undisturbed.calls, KILL_EVERY):
        repository = copy(undisturbed.template, tmp_path / "run")
        done = run(name, repository, tmp_path / "log", f"--trace={call}", f"--inject={call}:signal=KILL:when={number}")
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{call} {number}: {done}"
        killed[name] += 1
        assert it.state(repository) in undisturbed.accepted, f"{name}, killed at {call} {number}"
        check_what_is_left(name, repository, undisturbed)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", CHANGES)
def test_what_the_disk_refuses_at_any_call_is_told_and_leaves_the_state_before_or_after(
    name: str, undisturbeds: Undisturbeds, tmp_path: Path
) -> None:
    undisturbed = undisturbeds.of(name)
    for (call, number), (error, complaint) in zip(sample(name, undisturbed.calls, REFUSE_EVERY), cycle(ERRORS.items())):
        repository = copy(undisturbed.template, tmp_path / "run")
        injected = f"--inject={call}:error={error}:when={number}"
        refused = run(name, repository, tmp_path / "log", f"--trace={call}", injected)
        assert it.state(repository) in undisturbed.accepted, f"{name}, refused {call} {number}"
        if refused.returncode:
            last = refused.stderr.splitlines()[-1]
            assert complaint in last or CHANGES[name].is_feedback, last
        else:
            assert it.state(repository) == undisturbed.accepted[-1], f"{name}, acknowledged though refused {call} {number}"
        check_what_is_left(name, repository, undisturbed)


def test_there_are_enough_calls_to_be_killed_at(undisturbeds: Undisturbeds, killed: Counter[str]) -> None:
    every = {name: len(undisturbeds.of(name).calls) for name in CHANGES}

    assert all(every.values()), every
    assert sum(every.values()) >= AT_LEAST, every
    assert killed.total() >= sum(every.values()) // KILL_EVERY - len(CHANGES)
    assert killed.total() >= AT_LEAST or not IS_WHOLE


def check_what_is_left(name: str, repository: Repository, undisturbed: Undisturbed) -> None:
    """Raises AssertionError unless all is whole, the same change goes through now, and the next publish puts all in order."""
    change = CHANGES[name]
    it.check(repository)
    folder = changes.feedback_folder(repository)
    it.check_feedback(folder, *undisturbed.feedback)
    if change.is_feedback:
        sweep(folder, timedelta(0))
        change.steps[0](repository)
        assert it.feedback(folder) == undisturbed.feedback[1]
    elif it.state(repository) != undisturbed.accepted[-1] or name.startswith("prune"):
        for step in change.steps:
            step(repository)
        assert it.state(repository) == undisturbed.accepted[-1] or name.startswith("publish")
        assert numbers_of(repository) == undisturbed.numbers or name.startswith("publish")
    repository.open()
    assert repository.publish("digits", changes.source(repository)) > max(numbers_of(repository) - {0}, default=0) - 1
    it.check(repository)
    it.check_log(repository, torn=1 if name.endswith("after a crash") else 0)
    assert not list(repository.root.glob("digits/.incoming-*"))
    assert not list(repository.root.glob(".*.*-*"))
