"""Which run can be gone on with."""

from pathlib import Path

import pytest

from pipelines.unfinished import Arguments, newest, recorded

BEGUN = Arguments("name = 'ä'", "best", 7, "/models")


def folder(runs: Path, name: str) -> Path:
    (runs / name).mkdir()
    return runs / name


def stopped(place: Path, begun: Arguments = BEGUN) -> None:
    """A run that a failed step, or a signal, ends."""
    with pytest.raises(KeyboardInterrupt), recorded(place, begun):
        raise KeyboardInterrupt


def test_a_run_that_was_stopped_is_found_as_it_was_started(tmp_path: Path) -> None:
    stopped(folder(tmp_path, "1"), Arguments("", "quick", None, "."))
    stopped(folder(tmp_path, "2"))
    folder(tmp_path, "3")

    assert newest(tmp_path) == (tmp_path / "2", BEGUN)


def test_a_run_that_came_to_its_end_is_not_found(tmp_path: Path) -> None:
    with recorded(folder(tmp_path, "1"), BEGUN):
        pass

    assert newest(tmp_path) is None


def test_a_run_that_is_running_is_not_found(tmp_path: Path) -> None:
    with recorded(folder(tmp_path, "1"), BEGUN):
        assert newest(tmp_path) is None


def test_a_run_is_resumed_once(tmp_path: Path) -> None:
    stopped(folder(tmp_path, "1"))
    with recorded(folder(tmp_path, "2"), BEGUN, instead_of=tmp_path / "1"):
        assert newest(tmp_path) is None

    assert newest(tmp_path) is None


def test_what_a_crash_left_of_a_record_is_passed_over(tmp_path: Path) -> None:
    (folder(tmp_path, "1") / "run.json").write_text("{")

    assert newest(tmp_path) is None
