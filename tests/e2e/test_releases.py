"""Releases under traffic, in short: `make drill-release` has twenty in a row."""

import pytest

from benchmarks import release_drill
from benchmarks.made_versions import FAILING, GOOD, WRONG


def test_good_versions_are_promoted_bad_ones_taken_back_and_no_request_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_drill, "RATE", 60.0)

    result = release_drill.drill((WRONG, FAILING, GOOD), seconds=6, rollbacks=1)

    assert result.surprises == []
    assert result.failed_requests == 0
    assert result.answers["200"] > 100
    assert [why.partition(":")[0] for *_, why in result.released] == ["end canary", "end canary", "promote"]
    assert result.rollback_seconds[0] < release_drill.ROLLBACK_CEILING_SECONDS
