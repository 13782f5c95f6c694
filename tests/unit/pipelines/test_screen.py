"""What the user sees of a run, and what goes to its log."""

import io
from pathlib import Path

import pytest

from pipelines.progress import VARIABLE, bar
from pipelines.screen import Screen


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


def test_marked_lines_are_shown_and_all_others_logged(tmp_path: Path, shown: io.StringIO) -> None:
    with Screen(shown, tmp_path / "log.txt") as screen:
        for part in ("20:01 INFO chatter\n    @@st", "ep train\n", "    @@say epoch 1", "\n    more chatter\n"):
            screen.write(part)

    assert shown.getvalue() == "train\n  epoch 1\n"
    assert (tmp_path / "log.txt").read_text() == "20:01 INFO chatter\ntrain\nepoch 1\n    more chatter\n"


def test_a_bar_is_left_out_where_there_is_no_terminal(tmp_path: Path, shown: io.StringIO) -> None:
    with Screen(shown, tmp_path / "log.txt") as screen:
        screen.write("@@bar 10 %\n@@say done\n")

    assert shown.getvalue() == "  done\n"


def test_a_bar_is_drawn_in_place(tmp_path: Path, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "bar")
    with Screen(shown, tmp_path / "log.txt") as screen:
        screen.write("@@bar 10 %\n@@bar 20 %\n@@say done\n@@bar 30 %\n")

    assert shown.getvalue() == "\r\x1b[K  10 %\r\x1b[K  20 %\r\x1b[K  done\n\r\x1b[K  30 %\n"


def test_a_failing_step_leaves_its_name_and_its_last_lines(tmp_path: Path, shown: io.StringIO) -> None:
    with Screen(shown, tmp_path / "log.txt") as screen:
        screen.write("@@step prepare\nold\n@@step train\nTraceback\nValueError: no\n@@error disk full\n")

    assert (screen.step, list(screen.last_lines), screen.problems) == ("train", ["Traceback", "ValueError: no"], ["disk full"])


def test_steps_are_timed_in_order(tmp_path: Path, shown: io.StringIO) -> None:
    with Screen(shown, tmp_path / "log.txt") as screen:
        screen.write("@@step prepare\n@@step train\n")

    assert list(screen.seconds()) == ["prepare", "train"]


@pytest.mark.parametrize(("done", "filled"), [(0, 0), (5, 7), (10, 14)])
def test_a_bar_fills_with_what_is_done(done: int, filled: int) -> None:
    assert bar(done, 10) == "━" * filled + "─" * (14 - filled)
