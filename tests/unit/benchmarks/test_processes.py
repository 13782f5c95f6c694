import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.processes import Process, cpu_seconds, family, memory_mb, send_signal

CHILD = """
import time
begun = time.process_time()
while time.process_time() < begun + 0.1:
    pass
print(flush=True)
input()
"""
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {CHILD!r}], stdin=sys.stdin, start_new_session=True)
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose child has taken 0.1 s of processor time and waits."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_the_family_holds_children_in_sessions_of_their_own(parent: subprocess.Popen[bytes]) -> None:
    pids = [process.pid for process in family([parent.pid])]

    assert parent.pid in pids
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_the_processor_time_of_children_counts(parent: subprocess.Popen[bytes]) -> None:
    assert 0.1 <= cpu_seconds([parent.pid]) < 20


def test_memory_is_that_of_all(parent: subprocess.Popen[bytes]) -> None:
    assert 1 < memory_mb([parent.pid]) < 500


def test_a_signal_reaches_each_process(parent: subprocess.Popen[bytes]) -> None:
    send_signal(family([parent.pid]), signal.SIGKILL)

    assert parent.wait(10) == -signal.SIGKILL
    assert family([parent.pid]) == []


def test_a_process_that_took_over_the_number_of_another_gets_no_signal(parent: subprocess.Popen[bytes]) -> None:
    (found,) = [process for process in family([parent.pid]) if process.pid == parent.pid]
    send_signal([Process(found.pid, found.started - 1)], signal.SIGKILL)

    assert parent.poll() is None
