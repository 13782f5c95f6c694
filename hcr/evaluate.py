"""`hcr evaluate`: what a version does on the user's own pictures, told in the terminal, as JSON and as a page."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hcr.drawing import columns
from pipelines.evaluation import PictureEvaluation, by_source, confusions, evaluate_pictures, mean, pooled, worst_errors
from pipelines.picture_report import left_out_rows, source_rows, verdict, write_picture_report
from pipelines.progress import bar, draw
from tfserving.repository import Version

_MOST_CONFUSIONS = 10
_MOST_UNREAD = 5


def run(version: Version, data: Path, page: Path, as_json: bool) -> str:
    """Measures the version on the pictures below `data`, writes the page, and gives what is to be printed.

    Raises:
        DataError: there is nothing to measure on.
        VersionError: the version cannot be run.
    """
    try:
        evaluation = evaluate_pictures(version.path, version.card, data, _silent if as_json else _progress)
    finally:
        if not as_json:
            draw("")
    labels = f" ({', '.join(version.labels)})" if version.labels else ""
    title = f"{version.model} version {version.number}{labels} on {data}"
    try:
        write_picture_report(page, title, evaluation)
    except OSError as error:
        raise click.ClickException(f"report {page} cannot be written: {error.strerror}") from None
    if as_json:
        head = {"model": version.model, "version": version.number, "data": str(data), "report": str(page)}
        return json.dumps(head | _as_json(evaluation), ensure_ascii=False, allow_nan=False)
    return f"{title}\n{verdict(evaluation)}\n\n{_told(evaluation)}\nreport   {os.path.relpath(page)}"


def _told(evaluation: PictureEvaluation) -> str:
    head, *rows = source_rows(evaluation)
    parts = [columns([[cell.upper() for cell in head], *rows], numbers_from=1)]
    if found := confusions(evaluation):
        parts.append("most frequent confusions" if len(found) > _MOST_CONFUSIONS else "confusions")
        rows = [[str(count), f"{right} taken for {taken}"] for right, taken, count in found[:_MOST_CONFUSIONS]]
        parts[-1] += "\n" + _indented(columns(rows))
    if unread := evaluation.unread:
        lines = [f"{item.picture.name}: {item.reason}" for item in unread[:_MOST_UNREAD]]
        more = [f"… and {len(unread) - _MOST_UNREAD:,} more: see the report"] if len(unread) > _MOST_UNREAD else []
        parts.append("not read, counted as wrong\n" + _indented("\n".join(lines + more)))
    if left_out := left_out_rows(evaluation):
        parts.append("left out\n" + _indented(columns([[count, what] for what, count in left_out])))
    return "\n\n".join(parts) + "\n"


def _as_json(evaluation: PictureEvaluation) -> dict[str, Any]:
    sources, scores = by_source(evaluation), evaluation.scores
    errors = [
        {
            "path": evaluation.pictures[index].name,
            "source": evaluation.pictures[index].source,
            "label": evaluation.pictures[index].label,
            "prediction": evaluation.classes[evaluation.predicted[index]],
            "confidence": round(float(scores[index].max()), 6),
            "rejected": bool(evaluation.is_rejected[index]),
        }
        for index in worst_errors(evaluation)
    ]
    unread = [
        {"path": item.picture.name, "source": item.picture.source, "label": item.picture.label, "reason": item.reason}
        for item in evaluation.unread
    ]
    return {
        "sources": [asdict(item) for item in sources],
        "pooled": asdict(pooled(evaluation)),
        "mean": asdict(mean(sources)),
        "confusions": [{"label": right, "prediction": taken, "count": count} for right, taken, count in confusions(evaluation)],
        "errors": errors,
        "unread": unread,
        "unknown_labels": evaluation.unknown,
        "left_out": evaluation.left_out,
    }


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _progress(done: int, total: int) -> None:
    draw(f"{bar(done, total)} {done:,} of {total:,} pictures{'; asking the model' if done == total else ''}")


def _silent(done: int, total: int) -> None:
    pass
