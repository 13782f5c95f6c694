"""From the rounds of all systems to medians, verdicts, tables, results.json and the plot."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

GATEWAY, TFSERVING, DIRECT = "gateway", "gateway-tfserving", "direct"
"""The systems that are no peers; TFSERVING is the gateway in front of a real TensorFlow Serving."""


@dataclass(frozen=True, order=True)
class Cell:
    """What is measured of each system: a payload over so many connections, or at a rate, where `connections` is 0."""

    payload: str
    connections: int
    rate: float = 0.0


@dataclass(frozen=True)
class Round:
    """What one run of load said of a system; processor time and memory are not known of what runs elsewhere."""

    system: str
    cell: Cell
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms_per_request: float | None = None
    rss_mb: float | None = None


@dataclass(frozen=True)
class Result:
    """The medians of a system's rounds, the slowest and the fastest of them, and all their errors."""

    system: str
    cell: Cell
    rounds: int
    requests_per_second: float
    slowest: float
    fastest: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_request: float | None
    rss_mb: float | None
    errors: int


@dataclass(frozen=True)
class Start:
    """How long a system took to its first answer, and its memory then and at the end, in megabytes."""

    seconds: float
    fresh_mb: float
    last_mb: float


@dataclass(frozen=True)
class Verdict:
    """A demand, what was measured against it, and whether it is met."""

    demand: str
    measured: str
    is_met: bool


Results = Mapping[tuple[str, Cell], Result]


def summarise(rounds: Iterable[Round]) -> dict[tuple[str, Cell], Result]:
    """The result of each system in each cell, in the order in which they were first measured."""
    grouped: dict[tuple[str, Cell], list[Round]] = {}
    for one in rounds:
        grouped.setdefault((one.system, one.cell), []).append(one)
    return {key: _summary(own) for key, own in grouped.items()}


def best_peer(results: Results, cell: Cell) -> Result | None:
    """The peer with the most requests per second in the cell."""
    peers = [one for one in results.values() if one.cell == cell and one.system not in (GATEWAY, TFSERVING, DIRECT)]
    return max(peers, key=lambda one: one.requests_per_second, default=None)


def to_json(results: Results) -> str:
    """results.json: closed loops of the gateway and the peers, one line each."""
    rows = [
        {
            "system": one.system,
            "payload": one.cell.payload,
            "connections": one.cell.connections,
            "requests_per_second": round(one.requests_per_second, 1),
            "p50_ms": round(one.p50_ms, 2),
            "p99_ms": round(one.p99_ms, 2),
            "cpu_ms_per_request": _rounded(one.cpu_ms_per_request, 3),
            "rss_mb": _rounded(one.rss_mb, 0),
            "errors": one.errors,
        }
        for one in results.values()
        if one.system != DIRECT and one.cell.connections
    ]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def verdicts(results: Results, ready_seconds: float, gateway_mb: float) -> list[Verdict]:
    """The demands on the gateway, as far as what they are about was measured."""
    found = [
        *_against_best_peer(results, Cell("png28", 16), goal=2.5),
        *_against_best_peer(results, Cell("png28", 64), goal=2.5),
        *_against_best_peer(results, Cell("canvas280", 16)),
    ]
    ours, direct = results.get((GATEWAY, Cell("png28", 1))), results.get((DIRECT, Cell("png28", 1)))
    if ours and direct:
        ratio = ours.p50_ms / direct.p50_ms
        measured = f"{ours.p50_ms:.2f} / {direct.p50_ms:.2f} ms = {ratio:.2f}"
        found.append(Verdict("28 × 28, 1 connection: p50 ≤ 1.25 × preprocessing and direct gRPC", measured, ratio <= 1.25))
    ours, direct = results.get((GATEWAY, Cell("batch64", 1))), results.get((DIRECT, Cell("batch64", 1)))
    if ours and direct:
        ratio = ours.requests_per_second / direct.requests_per_second
        measured = f"{ours.requests_per_second:.1f} / {direct.requests_per_second:.1f} = {ratio:.0%}"
        found.append(Verdict("batch of 64: ≥ 90 % of preprocessing and direct gRPC", measured, ratio >= 0.9))
    if ours := results.get((GATEWAY, Cell("photo12mp", 1))):
        found.append(Verdict("12 megapixel photo, 1 connection: p50 ≤ 60 ms", f"{ours.p50_ms:.1f} ms", ours.p50_ms <= 60))
    found.append(Verdict("gateway ready in ≤ 1.5 s", f"{ready_seconds:.2f} s", ready_seconds <= 1.5))
    found.append(Verdict("gateway, fresh: ≤ 110 MB", f"{gateway_mb:.0f} MB", gateway_mb <= 110))
    return found


def to_markdown(
    facts: Sequence[str], titles: Mapping[str, str], results: Results, starts: Mapping[str, Start], judged: Sequence[Verdict]
) -> str:
    """All that was measured, for people; `titles` names systems and payloads."""
    parts = ["# Benchmark results", "\n".join(f"- {fact}" for fact in facts), "## Demands"]
    parts.append(_table(("demand", "measured", "verdict"), [(v.demand, v.measured, _word(v.is_met)) for v in judged], "ll"))
    parts.append("## Start and memory")
    rows = [(titles[name], f"{s.seconds:.1f}", f"{s.fresh_mb:.0f}", f"{s.last_mb:.0f}") for name, s in starts.items()]
    parts.append(_table(("system", "first answer after s", "MB then", "MB at the end"), rows))
    for cell in dict.fromkeys(cell for _, cell in results):
        parts.append(f"## {_heading(cell, titles)}")
        parts.append(_cell_table(cell, titles, results))
    return "\n\n".join(parts) + "\n"


def to_svg(titles: Mapping[str, str], results: Results) -> str:
    """The plot: requests per second of each system, a panel for each closed loop."""
    cells = [cell for cell in dict.fromkeys(cell for _, cell in results) if cell.connections]
    panels, top = [], 10
    for cell in cells:
        rows = [one for one in results.values() if one.cell == cell]
        panels.append(_panel(_heading(cell, titles), [(titles[one.system], one) for one in rows], top))
        top += 30 + _BAR * len(rows) + 14
    style = (
        "text{font:13px sans-serif;fill:#222}.h{font-weight:bold}.n{fill:#555}rect{fill:#9db4c9}.g{fill:#2f6f4f}.d{fill:#ddd}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
    return "\n".join(
        [head, f"<style>{style}</style>", '<rect class="b" width="100%" height="100%" style="fill:#fff"/>', *panels, "</svg>\n"]
    )


_WIDTH, _BAR, _LEFT, _LONGEST = 860, 22, 190, 400


def _panel(heading: str, rows: Sequence[tuple[str, Result]], top: int) -> str:
    longest = max(one.requests_per_second for _, one in rows) or 1.0
    lines = [f'<text class="h" x="10" y="{top + 16}">{escape(heading)}: requests per second</text>']
    for number, (title, one) in enumerate(rows):
        y = top + 26 + number * _BAR
        length = one.requests_per_second / longest * _LONGEST
        kind = {GATEWAY: "g", DIRECT: "d"}.get(one.system, "p")
        note = f"{_number(one.requests_per_second)}   p50 {_number(one.p50_ms)} ms, p99 {_number(one.p99_ms)} ms"
        lines.append(f'<text x="20" y="{y + 14}">{escape(title)}</text>')
        lines.append(f'<rect class="{kind}" x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="{_BAR - 5}"/>')
        lines.append(f'<text class="n" x="{_LEFT + length + 8:.1f}" y="{y + 14}">{note}</text>')
    return "\n".join(lines)


def _summary(rounds: Sequence[Round]) -> Result:
    rates = [one.requests_per_second for one in rounds]
    return Result(
        rounds[0].system,
        rounds[0].cell,
        len(rounds),
        statistics.median(rates),
        min(rates),
        max(rates),
        statistics.median(one.p50_ms for one in rounds),
        statistics.median(one.p99_ms for one in rounds),
        _median_of_known(one.cpu_ms_per_request for one in rounds),
        _median_of_known(one.rss_mb for one in rounds),
        sum(one.errors for one in rounds),
    )


def _against_best_peer(results: Results, cell: Cell, goal: float | None = None) -> list[Verdict]:
    ours, peer = results.get((GATEWAY, cell)), best_peer(results, cell)
    if not ours or not peer:
        return []
    ratio = ours.requests_per_second / peer.requests_per_second
    what = f"{cell.payload}, {cell.connections} connections"
    note = f" (goal {goal:g})" if goal else ""
    measured = f"{ours.requests_per_second:.0f} / {peer.requests_per_second:.0f} ({peer.system}) = {ratio:.2f}"
    found = [Verdict(f"{what}: requests/s ≥ 1.5 × the best peer's{note}", measured, ratio >= 1.5)]
    if goal:
        measured = f"{ours.p99_ms:.1f} against {peer.p99_ms:.1f} ms"
        found.append(Verdict(f"{what}: p99 no worse than the best peer's", measured, ours.p99_ms <= peer.p99_ms))
    return found


def _cell_table(cell: Cell, titles: Mapping[str, str], results: Results) -> str:
    peer = best_peer(results, cell)
    rows = []
    for one in (one for one in results.values() if one.cell == cell):
        ratio = f"{one.requests_per_second / peer.requests_per_second:.2f}" if peer and peer.requests_per_second else "-"
        rows.append(
            (
                titles[one.system],
                _number(one.requests_per_second),
                f"{_number(one.slowest)}–{_number(one.fastest)}",
                ratio,
                _number(one.p50_ms),
                _number(one.p99_ms),
                "-" if one.cpu_ms_per_request is None else f"{one.cpu_ms_per_request:.2f}",
                "-" if one.rss_mb is None else f"{one.rss_mb:.0f}",
                str(one.errors),
            )
        )
    head = ("system", "requests/s", "of rounds", "× best peer", "p50 ms", "p99 ms", "CPU ms/request", "MB", "errors")
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: str = "l") -> str:
    """Markdown; the first columns are set to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    aligned: list[Callable[[str, int], str]] = [str.ljust if i < len(left) else str.rjust for i in range(len(head))]
    rule = ["-" * width if i < len(left) else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(aligned[i](row[i], widths[i]) for i in range(len(head))) + " |" for row in lines)


def _heading(cell: Cell, titles: Mapping[str, str]) -> str:
    if not cell.connections:
        return f"{titles[cell.payload]}, {cell.rate:.0f} requests a second"
    return f"{titles[cell.payload]}, {cell.connections} connection{'s' if cell.connections > 1 else ''}"


def _median_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _word(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"
