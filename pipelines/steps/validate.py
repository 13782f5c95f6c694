"""Blessed version → the same in a real model server: whether it loads, answers as it was trained to, and in time."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines import infra_validation
from pipelines.gates import Blessing
from pipelines.progress import say
from pipelines.recipe import Recipe
from pipelines.steps.evaluate import BLESSING, read_blessing

VALIDATION = "validation.json"


def validate(recipe: Recipe, challenger_dir: Path, evaluation_dir: Path, validation_dir: Path) -> Blessing:
    """The verdict that `publish` heeds: that of `evaluate`, and where that is a blessing, that of a model server.

    Writes it as blessing.json to `validation_dir`, and beside it validation.json: the model server, what was measured there,
    and the digest of the version that was tried.

    Raises:
        PipelineError: no model server can be started here.
    """
    validation_dir.mkdir(parents=True, exist_ok=True)
    blessing, found = read_blessing(evaluation_dir), None
    if blessing.is_blessed:
        found = infra_validation.validate(recipe.name, challenger_dir, recipe.gates)
        blessing = Blessing(found.is_blessed, found.reasons)
        say(describe(found) if found.is_blessed else f"refused: {'; '.join(found.reasons)}")
    else:
        say("not tried in a model server: it is not blessed")
    (validation_dir / BLESSING).write_text(json.dumps(asdict(blessing), ensure_ascii=False) + "\n", encoding="utf-8")
    content = json.dumps(asdict(found) if found else None, ensure_ascii=False, indent=2, allow_nan=False)
    (validation_dir / VALIDATION).write_text(content + "\n", encoding="utf-8")
    return blessing


def read_validation(validation_dir: Path) -> dict[str, Any] | None:
    """What a model server made of the version; None where it was not tried."""
    found: dict[str, Any] | None = json.loads((validation_dir / VALIDATION).read_text(encoding="utf-8"))
    return found


def describe(found: infra_validation.Validation) -> str:
    """What was seen, in one line."""
    seen = found.metrics
    return (
        f"{found.server} loads it in {seen['load_seconds']:.1f} s; {seen['golden_inputs']:.0f} golden inputs within "
        f"{seen['golden_difference']:.1e} of the trainer's scores; "
        f"one image within {seen['served_p99_ms']:.2g} ms (99th percentile)"
    )
