"""SIGKILL at every system call with which a change of the repository, or a piece of feedback, changes files.

strace counts the calls of an undisturbed run, then ends one run at each of them. Here at every twenty-fifth; at all of them,
which takes some minutes, with HCR_DRILLS=all in the environment.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from tests.drills import repository_state as it
from tfserving.repository import Repository

ROOT = Path(__file__).parents[2]
CHANGING = [
    "openat", "creat", "write", "pwrite64", "sendfile", "copy_file_range", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "link", "linkat", "symlink", "unlink", "unlinkat", "rmdir", "truncate", "ftruncate", "chmod", "fchmod",
    "fchmodat", "utimensat", "fsync", "fdatasync", "fallocate",
]  # fmt: skip
CHANGES = ("publish", "promote", "rollback", "prune", "split", "end-canary", "feedback")
EVERY = 1 if os.environ.get("HCR_DRILLS") == "all" else 25
ERRORS = {"ENOSPC": "has no space left", "EROFS": "read-only", "ENOENT": "volume mounted", "EIO": "volume mounted"}

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")

pytestmark = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not here, or may not trace; `apt install strace` makes this run",
)


def run(change: str, repository: Repository, log: Path, *strace: str) -> subprocess.CompletedProcess[str]:
    """Makes the change under strace."""
    program = [sys.executable, "-B", "-m", "tests.drills.change", change]
    source = repository.root.with_name("source")
    command = ["strace", "-f", "-y", "-o", str(log), *strace, *program, str(repository.root), str(source)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True)
class Undisturbed:
    """A change that nothing disturbed."""

    template: Path
    calls: list[tuple[str, int]]
    """Those that change something in the repository: each one's name, and its number among the calls of that name."""
    accepted: list[it.State]
    """The states that a disturbed change may leave: before, after, and what lies between the two files that some write."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    it.make(folder)
    return folder


@pytest.fixture(scope="module", params=CHANGES)
def change(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def undisturbed(change: str, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    repository = copy(template, folder)
    before = it.state(repository)
    log = folder / "strace.log"
    done = run(change, repository, log, f"--trace={','.join(f'?{name}' for name in CHANGING)}")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    after = it.state(repository)
    between = {
        "promote": it.State(before.labels, before.splits, before.served | {4}),
        "end-canary": it.State(before.labels, {}, before.served),
    }
    return Undisturbed(template, changing_calls(log, repository.root), [before, after, between.get(change, after)])


def changing_calls(log: Path, root: Path) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    calls = []
    for name, arguments in (match.groups() for match in map(_CALL.match, log.read_text().splitlines()) if match):
        seen[name] += 1
        if str(root) in arguments and (name != "openat" or _WRITING.search(arguments)):
            calls.append((name, seen[name]))
    return calls


def copy(template: Path, folder: Path) -> Repository:
    """The repository as it was, with its own base paths."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return Repository(folder / "repository")


def test_what_is_killed_at_any_call_leaves_the_state_before_or_after(
    change: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    assert len(undisturbed.calls) >= 4
    for name, number in undisturbed.calls[::EVERY]:
        repository = copy(undisturbed.template, tmp_path / "run")
        killed = run(change, repository, tmp_path / "log", f"--trace={name}", f"--inject={name}:signal=KILL:when={number}")
        assert killed.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), f"{name} {number}: {killed}"
        assert it.state(repository) in undisturbed.accepted, f"{change} killed at {name} {number}"
        check_what_is_left(repository, tmp_path / "run" / "source", is_acknowledged="done" in killed.stdout)


def test_what_the_disk_refuses_at_any_call_is_told_and_leaves_the_state_before_or_after(
    change: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for (name, number), (error, complaint) in zip(undisturbed.calls[EVERY // 2 :: EVERY], cycle(ERRORS.items())):
        repository = copy(undisturbed.template, tmp_path / "run")
        injected = f"--inject={name}:error={error}:when={number}"
        refused = run(change, repository, tmp_path / "log", f"--trace={name}", injected)
        assert it.state(repository) in undisturbed.accepted, f"{change} refused {name} {number}"
        if refused.returncode:
            last = refused.stderr.splitlines()[-1]
            assert last.startswith(("tfserving.errors.RepositoryError: ", "gateway.feedback.FeedbackUnavailable: ")), last
            assert complaint in last or change == "feedback", last
        check_what_is_left(repository, tmp_path / "run" / "source", is_acknowledged=refused.returncode == 0)


def check_what_is_left(repository: Repository, source: Path, is_acknowledged: bool) -> None:
    """Raises AssertionError unless all is whole, and the next publish puts in order what was left."""
    it.check(repository)
    if (repository.root / "feedback").exists():
        check_feedback(repository.root / "feedback", is_acknowledged)
    numbers = {version.number for version in repository.versions("digits")}
    assert repository.publish("digits", source) > max(numbers)
    it.check(repository)
    it.check_log(repository)
    assert not list(repository.root.glob("digits/.incoming-*"))
    assert not list(repository.root.glob(".*.*-*"))


def check_feedback(folder: Path, is_acknowledged: bool) -> None:
    """Raises AssertionError unless each image is whole and has its note, and one that was acknowledged is there."""
    images = list(folder.glob("digits/7/[!.]*.png"))
    for image in images:
        assert image.read_bytes() == b"an image"
        assert image.with_suffix(".json").read_text() == '{"label": "7"}\n'
    assert len(images) == 1 or not is_acknowledged
