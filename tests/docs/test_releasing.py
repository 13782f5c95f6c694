"""The commands of docs/releasing.md: the steps by hand are run one after the other, the others are understood."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hcr import canary, comparison
from hcr.comparison import Series
from hcr.main import cli
from tfserving.repository import Repository

_TEXT = (Path(__file__).parents[2] / "docs" / "releasing.md").read_text()


def commands(text: str) -> list[list[str]]:
    """The arguments of each `hcr` line in a block of shell."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines() if line.startswith("hcr ")]


_BY_HAND = commands(_TEXT.partition("## Each step by hand")[2])


@pytest.mark.parametrize("arguments", commands(_TEXT), ids=" ".join)
def test_each_command_is_one_that_hcr_understands(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-runes").mkdir()
    (tmp_path / "runes.toml").touch()
    command = cli.commands[arguments[0]]

    context = command.make_context(arguments[0], arguments[1:], parent=click.Context(cli))

    assert context.params


def test_the_steps_by_hand_lead_from_a_candidate_to_a_release_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "saved_model.pb").write_bytes(b"graph")
    repository = Repository(tmp_path / "models")
    repository.open()
    for _ in range(2):
        repository.publish("digits", source)
    monkeypatch.setenv("HCR_REPOSITORY", str(repository.root))
    readings = iter([_answers(0)])
    monkeypatch.setattr(comparison, "scrape", lambda _: next(readings, _answers(1000)))
    monkeypatch.setattr(canary, "_SETTLE_SECONDS", 0.0)
    seen = []

    for arguments in _BY_HAND:
        if arguments[0] == "end-canary":  # the other way to end: after the promotion there is no canary
            repository.publish("digits", source)
            repository.promote("digits", 3, "canary")
        shorter = ["1s" if argument == "30s" else argument for argument in arguments]
        offline = ["--offline"] if arguments[0] in ("promote", "rollback") else []
        done = CliRunner().invoke(cli, [*shorter, *offline], catch_exceptions=False)
        assert done.exit_code == 0, (arguments, done.output)
        seen.append((arguments[0], repository.labels("digits")))

    assert seen[0] == ("promote", {"stable": 1, "canary": 2})
    assert ("promote", {"stable": 2, "previous": 1}) in seen
    assert seen[-2] == ("rollback", {"stable": 1})


def _answers(count: float) -> Series:
    """As many answers, and images on which both agreed, for each side."""

    def told(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        return name, tuple(sorted({"model": "digits", **labels}.items()))

    return {
        told("gateway_answers_total", role="canary", version="2", outcome="ok"): count,
        told("gateway_answers_total", role="stable", version="1", outcome="ok"): count,
        told("gateway_shadow_total", version="2", outcome="agrees"): count,
    }
