"""What the processes of a system take, from /proc, with all that descend from them."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_SECONDS_PER_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PARENT, _SESSION, _TIMES, _STARTED = 1, 3, slice(11, 15), 19  # in what follows the name in /proc/PID/stat, see proc(5)


class Process(NamedTuple):
    """A process; its number may be another's later, but not with the same start."""

    pid: int
    started: int


def family(roots: Iterable[int]) -> list[Process]:
    """The processes, all that descend from them, and all of their sessions: a daemon leaves its parent, but not both."""
    stats = _all_stats()
    return [Process(pid, int(stats[pid][_STARTED])) for pid in sorted(_members(set(roots), stats))]


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor time of the family so far, that of children which have ended included."""
    stats = _all_stats()
    ticks = sum(int(number) for pid in _members(set(roots), stats) for number in stats[pid][_TIMES])
    return ticks * _SECONDS_PER_TICK


def memory_mb(roots: Iterable[int]) -> float:
    """Megabytes of the family; a page that several processes share counts once in all (PSS)."""
    kilobytes = 0
    for process in family(roots):
        try:
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        if found := re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE):
            kilobytes += int(found[1])
    return kilobytes / 1024


def send_signal(processes: Iterable[Process], number: int) -> None:
    """The signal to each of the processes that still runs."""
    stats = _all_stats()
    for process in processes:
        if process.pid in stats and int(stats[process.pid][_STARTED]) == process.started:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def _members(wanted: set[int], stats: Mapping[int, list[str]]) -> set[int]:
    members = {pid for pid, stat in stats.items() if pid in wanted or int(stat[_SESSION]) in wanted}
    while grown := {pid for pid, stat in stats.items() if int(stat[_PARENT]) in members} - members:
        members |= grown
    return members


def _all_stats() -> dict[int, list[str]]:
    """Of each process on the machine, what follows its name in /proc/PID/stat."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stats[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
    return stats
