import json
from xml.etree import ElementTree

import pytest

from benchmarks.report import (
    DIRECT,
    GATEWAY,
    TFSERVING,
    Cell,
    Round,
    Start,
    best_peer,
    summarise,
    to_json,
    to_markdown,
    to_svg,
    verdicts,
)

CELL = Cell("png28", 16)
TITLES = {GATEWAY: "gateway", "one": "One", "two": "Two & more", DIRECT: "(direct)", TFSERVING: "real", "png28": "28 × 28",
          "canvas280": "canvas", "photo12mp": "photo", "batch64": "batch"}  # fmt: skip


def measured(system: str, rate: float, p99: float = 10.0, cell: Cell = CELL, p50: float = 5.0, errors: int = 0) -> Round:
    return Round(system, cell, rate, p50, p99, errors, cpu_ms_per_request=1.23456, rss_mb=100.6)


def test_results_are_medians_and_all_errors() -> None:
    rounds = [measured(GATEWAY, 100, errors=1), measured(GATEWAY, 900, p99=30), measured(GATEWAY, 120, p99=12, errors=2)]
    result = summarise(rounds)[GATEWAY, CELL]

    assert (result.rounds, result.requests_per_second, result.slowest, result.fastest) == (3, 120, 100, 900)
    assert result.p99_ms == 12
    assert result.errors == 3


def test_the_best_peer_is_none_of_our_own_systems() -> None:
    results = summarise([measured(GATEWAY, 900), measured(DIRECT, 950), measured(TFSERVING, 990), measured("one", 400),
                         measured("two", 500), measured("one", 999, cell=Cell("png28", 64))])  # fmt: skip
    best = best_peer(results, CELL)

    assert best is not None
    assert (best.system, best.requests_per_second) == ("two", 500)
    assert best_peer(results, Cell("field5", 1)) is None


def test_the_json_has_a_row_for_each_closed_loop_of_gateway_and_peers() -> None:
    rounds = [
        measured(GATEWAY, 900),
        measured(DIRECT, 950),
        measured("one", 400.04),
        measured("one", 50, cell=Cell("png28", 0, 50.0)),
    ]
    rows = json.loads(to_json(summarise(rounds)))

    assert [row["system"] for row in rows] == [GATEWAY, "one"]
    assert rows[1] == {
        "system": "one", "payload": "png28", "connections": 16, "requests_per_second": 400.0, "p50_ms": 5.0, "p99_ms": 10.0,
        "cpu_ms_per_request": 1.235, "rss_mb": 101.0, "errors": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "p99", "met"), [(750, 10, [True, True]), (749, 10, [False, True]), (750, 10.1, [True, False])]
)
def test_the_gateway_is_held_to_the_best_peer(rate: float, p99: float, met: list[bool]) -> None:
    results = summarise([measured(GATEWAY, rate, p99), measured("one", 500), measured("two", 100, p99=1)])

    assert [verdict.is_met for verdict in verdicts(results, 1.5, 110)[:2]] == met


@pytest.mark.parametrize(
    ("cell", "ours", "reference", "met"),
    [
        (Cell("png28", 1), (100, 2.5), (100, 2.0), True),
        (Cell("png28", 1), (100, 2.6), (100, 2.0), False),
        (Cell("batch64", 1), (90, 5.0), (100, 5.0), True),
        (Cell("batch64", 1), (89, 5.0), (100, 5.0), False),
    ],
)
def test_the_gateway_is_held_to_direct_calls(
    cell: Cell, ours: tuple[float, float], reference: tuple[float, float], met: bool
) -> None:
    rounds = [measured(GATEWAY, ours[0], cell=cell, p50=ours[1]), measured(DIRECT, reference[0], cell=cell, p50=reference[1])]

    assert verdicts(summarise(rounds), 1.5, 110)[0].is_met is met


def test_start_memory_and_photos_have_limits_of_their_own() -> None:
    results = summarise([measured(GATEWAY, 10, cell=Cell("photo12mp", 1), p50=60.1)])

    assert [verdict.is_met for verdict in verdicts(results, 1.51, 111)] == [False, False, False]
    assert [verdict.is_met for verdict in verdicts({}, 1.5, 110)] == [True, True]


def test_the_tables_tell_ratios_and_what_is_not_known() -> None:
    rounds = [measured(GATEWAY, 1000), measured("one", 400), Round(DIRECT, CELL, 800, 1, 2, 0)]
    results = summarise(rounds)
    text = to_markdown(["a fact"], TITLES, results, {GATEWAY: Start(2.04, 88.4, 95)}, verdicts(results, 9, 99))

    assert "- a fact" in text
    assert "| gateway  |       1000 | 1000–1000 |        2.50 |" in text
    assert "| (direct) |        800 |   800–800 |        2.00 |    1.0 |    2.0 |              - |   - |      0 |" in text
    assert "NOT MET" in text
    assert "| gateway |                  2.0 |      88 |            95 |" in text


def test_the_plot_is_an_image_with_a_bar_for_each_system() -> None:
    results = summarise([measured(GATEWAY, 1000), measured("two", 400), measured("two", 1, cell=Cell("png28", 0, 50.0))])
    image = ElementTree.fromstring(to_svg(TITLES, results))

    bars = [item for item in image.iter("{http://www.w3.org/2000/svg}rect") if item.get("x")]
    assert [float(bar.get("width", "")) for bar in bars] == [400.0, 160.0]
