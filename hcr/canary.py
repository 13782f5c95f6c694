"""`hcr release`: a version becomes the canary, is watched beside the stable one, and is promoted or taken back."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import NoReturn

import click

from hcr.comparison import Comparison, Limits, Series, Tally, Unreadable, compare
from hcr.drawing import columns
from hcr.release import wait_until_available, wait_until_labelled
from tfserving.errors import RepositoryError
from tfserving.release import CANARY, Split
from tfserving.repository import STABLE, Repository

_SETTLE_SECONDS = 1.5
"""After the shares are set the gateways have read them; what was counted before says nothing of them."""
_PATIENCE_SECONDS = 15.0
"""So long the metrics may be unreadable before a canary that nobody watches is taken back."""


class Interrupted(Exception):
    """The user, or the system, wants an end."""


@dataclass(frozen=True)
class Plan:
    """A release: which version, what share, how long, and what decides."""

    model: str
    version: int
    split: Split
    seconds: float
    limits: Limits
    metrics: Sequence[str]
    """URLs of the gateways' metrics."""
    model_server: str
    timeout_seconds: float = 60.0
    every_seconds: float = 2.0
    is_automatic: bool = False
    why: str = ""


def release(repository: Repository, plan: Plan) -> bool:
    """Whether the version is good: with `is_automatic` it is stable then, else taken back, and the audit log says why.

    Raises:
        RepositoryError: there is no such version, none is stable, or the version cannot be loaded.
        Unreadable: the gateways' metrics cannot be read before anything was changed.
    """
    stable = repository.find(plan.model).number
    repository.find(plan.model, plan.version)
    if plan.split == Split():
        raise RepositoryError("neither a share of the requests nor of mirrored ones: nothing would tell how the version does")
    if stable == plan.version:
        raise RepositoryError(f"version {stable} of {plan.model} is stable already")
    Tally(plan.metrics)
    try:
        with _interruptible():
            _make_canary(repository, plan)
            comparison, problems = _watch(repository, plan, stable)
    except Interrupted:
        if plan.is_automatic:
            _take_back_if_left(repository, plan, "interrupted: it was not watched to the end")
        else:
            click.echo(f"interrupted: version {plan.version} stays the canary", err=True)
        return False
    except Exception as error:
        _take_back_if_left(repository, plan, str(error))
        raise
    told = "; ".join(problems) if problems else _summary(comparison)
    click.echo(f"{'bad' if problems else 'good'}: {told}")
    if not plan.is_automatic:
        _tell_how_to_go_on(plan)
    elif problems:
        _take_back(repository, plan, told)
    else:
        try:
            _promote(repository, plan, told)
        except RepositoryError as error:
            _take_back_if_left(repository, plan, str(error))
            raise
    return not problems


def watch(repository: Repository, model: str, metrics: Sequence[str], seconds: float, limits: Limits) -> bool:
    """Whether the canary is good by what is counted from now on; changes nothing.

    Raises:
        RepositoryError: the model has no canary.
    """
    labels = repository.labels(model)
    if CANARY not in labels or STABLE not in labels:
        raise RepositoryError(f"model {model} has no version with the label {CANARY} beside a stable one")
    split = repository.splits().get(model, Split())
    plan = Plan(model, labels[CANARY], split, seconds, limits, metrics, "")
    with _interruptible():
        comparison, problems = _watch(repository, plan, labels[STABLE])
    click.echo(f"bad: {'; '.join(problems)}" if problems else f"good: {_summary(comparison)}")
    return not problems


def _make_canary(repository: Repository, plan: Plan) -> None:
    def wait() -> None:
        wait_until_available(plan.model_server, plan.model, plan.version, plan.timeout_seconds)

    try:
        repository.promote(plan.model, plan.version, CANARY, wait, plan.why)
        wait_until_labelled(plan.model_server, plan.model, plan.version, CANARY, plan.timeout_seconds)
    except RepositoryError as error:
        if plan.is_automatic:
            repository.refuse(plan.model, plan.version, str(error))
        raise
    split = plan.split
    if plan.is_automatic:  # should this process be killed, the canary's share ends by itself
        split = replace(split, until=time.time() + plan.seconds + plan.timeout_seconds + 2 * _PATIENCE_SECONDS)
    repository.split(plan.model, split, plan.why)
    shares = f"{plan.split.canary:.1%} of the requests, {plan.split.shadow:.1%} of the others mirrored"
    click.echo(f"{CANARY} of {plan.model} is version {plan.version}: {shares}")


def _watch(repository: Repository, plan: Plan, stable: int) -> tuple[Comparison, list[str]]:
    """The comparison at the end of the time, or as soon as there is a problem, and the problems.

    Raises:
        Interrupted: somebody wants an end.
    """
    time.sleep(min(_SETTLE_SECONDS, plan.seconds))
    tally, read_at = _first(plan), time.monotonic()
    end = read_at + plan.seconds
    counted: Series = {}
    table = _Table()
    while True:
        time.sleep(max(0.0, min(plan.every_seconds, end - time.monotonic())))
        try:
            counted, read_at = tally.read(), time.monotonic()
        except Unreadable as error:
            if time.monotonic() - read_at > _PATIENCE_SECONDS:
                return compare(counted, plan.model, plan.version, stable), [f"nobody can watch it: {error.message}"]
        comparison = compare(counted, plan.model, plan.version, stable)
        left = max(0.0, end - time.monotonic())
        table.show(comparison, plan.version, stable, left)
        labels = repository.labels(plan.model)
        if (labels.get(CANARY), labels.get(STABLE)) != (plan.version, stable):
            raise RepositoryError(f"somebody else moved the labels of {plan.model}: {labels}; nothing more is done here")
        if problems := comparison.problems(plan.limits):
            return comparison, problems
        if not left:
            missing = comparison.missing(plan.limits, plan.split.canary > 0, plan.split.shadow > 0)
            return comparison, [missing] if missing else []


def _first(plan: Plan) -> Tally:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return Tally(plan.metrics)
        except Unreadable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _take_back(repository: Repository, plan: Plan, why: str) -> None:
    repository.end_canary(plan.model, f"rolled back: {why}")
    click.echo(f"version {plan.version} of {plan.model} is taken back; {STABLE} stays as it was")


def _take_back_if_left(repository: Repository, plan: Plan, why: str) -> None:
    """Leaves no canary that nobody watches, where an automatic release cannot go on."""
    if plan.is_automatic and repository.labels(plan.model).get(CANARY) == plan.version:
        _take_back(repository, plan, why)


def _promote(repository: Repository, plan: Plan, why: str) -> None:
    def wait() -> None:
        wait_until_available(plan.model_server, plan.model, plan.version, plan.timeout_seconds)

    repository.promote(plan.model, plan.version, STABLE, wait, f"good as a canary: {why}")
    wait_until_labelled(plan.model_server, plan.model, plan.version, STABLE, plan.timeout_seconds)
    click.echo(f"{STABLE} of {plan.model} is version {plan.version} now")


def _tell_how_to_go_on(plan: Plan) -> None:
    click.echo(f"it stays the canary: hcr promote {plan.model} {plan.version}, or hcr end-canary {plan.model}")


def _summary(comparison: Comparison) -> str:
    canary = comparison.canary
    mirrored = f", agrees on {comparison.agreement:.1%} of {comparison.compared:.0f} mirrored" if comparison.compared else ""
    return f"{canary.requests:.0f} requests, errors {canary.error_rate:.1%}{mirrored}"


class _Table:
    """Both sides in a terminal, in place; elsewhere a line each time."""

    def __init__(self) -> None:
        self._is_live = sys.stdout.isatty()
        self._lines = 0

    def show(self, comparison: Comparison, canary: int, stable: int, seconds_left: float) -> None:
        if not self._is_live:
            click.echo(
                f"{seconds_left:5.0f} s left  " + "  ".join(" ".join(row) for row in _rows(comparison, canary, stable)[1:])
            )
            return
        text = f"{columns(_rows(comparison, canary, stable), 1)}\n{seconds_left:.0f} s left"
        if self._lines:
            click.echo(f"\033[{self._lines}A\033[J", nl=False)
        click.echo(text)
        self._lines = text.count("\n") + 1


def _rows(comparison: Comparison, canary: int, stable: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "REQUESTS", "ERRORS", "P50", "P90", "REJECTED", "AGREES")]
    sides = ((f"canary {canary}", comparison.canary), (f"stable {stable}", comparison.stable))
    for name, side in sides:
        agreement = f"{comparison.agreement:.1%}" if side is comparison.canary and comparison.compared else "-"
        rows.append(
            (
                name,
                f"{side.requests:.0f}",
                f"{side.error_rate:.1%}",
                f"{1e3 * side.quantile(0.5):.1f} ms",
                f"{1e3 * side.quantile(0.9):.1f} ms",
                f"{side.rejected_rate:.1%}",
                agreement,
            )
        )
    return rows


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turns SIGINT, SIGTERM and SIGHUP into Interrupted while the block runs."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: list[Callable[[int, FrameType | None], object] | int | signal.Handlers | None] = [
        signal.signal(number, _interrupt) for number in numbers
    ]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)  # type: ignore[arg-type]


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise Interrupted
