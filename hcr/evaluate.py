"""`hcr evaluate`: what a version does on the user's own pictures, told in the terminal, as JSON and as a page."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hcr.drawing import columns
from pipelines import evaluation, field_evaluation, rejection
from pipelines.data.pictures import Unread
from pipelines.evaluation import FolderEvaluation, PictureEvaluation, evaluate_folder
from pipelines.field_evaluation import FieldEvaluation
from pipelines.field_report import field_rows
from pipelines.outlier_report import outlier_rows, outlier_text
from pipelines.picture_report import left_out_rows, source_rows, verdict, write_picture_report
from pipelines.progress import bar, draw
from pipelines.rejection import OutlierEvaluation
from tfserving.repository import Version

_MOST_CONFUSIONS = 10
_MOST_UNREAD = 5
_WIDTH = 100


def run(version: Version, data: Path, page: Path, as_json: bool) -> str:
    """Measures the version on the pictures below `data`, writes the page, and gives what is to be printed.

    Raises:
        DataError: there is nothing to measure on.
        VersionError: the version cannot be run.
    """
    try:
        answers = evaluate_folder(version.path, version.card, data, _silent if as_json else _progress)
    finally:
        if not as_json:
            draw("")
    labels = f" ({', '.join(version.labels)})" if version.labels else ""
    title = f"{version.model} version {version.number}{labels} on {data}"
    try:
        write_picture_report(page, title, answers)
    except OSError as error:
        raise click.ClickException(f"report {page} cannot be written: {error.strerror}") from None
    if as_json:
        head = {"model": version.model, "version": version.number, "data": str(data), "report": str(page)}
        return json.dumps(head | _as_json(answers), ensure_ascii=False, allow_nan=False)
    return f"{title}\n{verdict(answers)}\n\n{_told(answers)}\nreport   {os.path.relpath(page)}"


def _told(answers: FolderEvaluation) -> str:
    parts: list[str] = []
    if answers.characters:
        parts += _characters_told(answers.characters)
    if answers.fields:
        parts += _fields_told(answers.fields)
    if answers.outliers:
        parts.append(_table(outlier_rows(answers.outliers)))
        parts.append(click.wrap_text(outlier_text(answers.outliers), _WIDTH, "  ", "  "))
    if left_out := left_out_rows(answers):
        parts.append("left out\n" + _indented(columns([[count, what] for what, count in left_out])))
    return "\n\n".join(parts) + "\n"


def _characters_told(characters: PictureEvaluation) -> list[str]:
    parts = [_table(source_rows(characters))]
    if found := evaluation.confusions(characters):
        rows = [[str(count), f"{right} taken for {taken}"] for right, taken, count in found]
        parts.append(_most_frequent("confusions", rows))
    if characters.unread:
        parts.append(_unread_told("not read, counted as wrong", characters.unread))
    return parts


def _fields_told(answers: FieldEvaluation) -> list[str]:
    parts = [_table(field_rows(answers))]
    if found := field_evaluation.lengths(answers):
        rows = [[str(count), f"{right} read as {read}"] for right, read, count in found]
        parts.append(_most_frequent("confusions of length", rows))
    if answers.unread:
        parts.append(_unread_told("fields not read, counted as wrong", answers.unread))
    return parts


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *others = rows
    return columns([[cell.upper() for cell in head], *others], numbers_from=1)


def _most_frequent(what: str, rows: Sequence[Sequence[str]]) -> str:
    heading = f"most frequent {what}" if len(rows) > _MOST_CONFUSIONS else what
    return f"{heading}\n{_indented(columns(rows[:_MOST_CONFUSIONS]))}"


def _unread_told(heading: str, unread: Sequence[Unread]) -> str:
    lines = [f"{item.picture.name}: {item.reason}" for item in unread[:_MOST_UNREAD]]
    more = [f"… and {len(unread) - _MOST_UNREAD:,} more: see the report"] if len(unread) > _MOST_UNREAD else []
    return f"{heading}\n{_indented(chr(10).join(lines + more))}"


def _as_json(answers: FolderEvaluation) -> dict[str, Any]:
    """The figures of the pictures of characters at the top, those of fields and of no character in keys of their own."""
    return {
        **_characters_as_json(answers.characters),
        "fields": _fields_as_json(answers.fields) if answers.fields else None,
        "none": _outliers_as_json(answers.outliers) if answers.outliers else None,
        "unknown_labels": answers.unknown,
        "unknown_characters": answers.unknown_in_fields,
        "left_out": answers.left_out,
    }


def _characters_as_json(characters: PictureEvaluation | None) -> dict[str, Any]:
    if characters is None:
        return {"sources": [], "pooled": None, "mean": None, "confusions": [], "errors": [], "unread": []}
    sources, scores = evaluation.by_source(characters), characters.scores
    errors = [
        {
            "path": characters.pictures[index].name,
            "source": characters.pictures[index].source,
            "label": characters.pictures[index].label,
            "prediction": characters.classes[characters.predicted[index]],
            "confidence": round(float(scores[index].max()), 6),
            "rejected": bool(characters.is_rejected[index]),
        }
        for index in evaluation.worst_errors(characters)
    ]
    pairs = evaluation.confusions(characters)
    return {
        "sources": [asdict(item) for item in sources],
        "pooled": asdict(evaluation.pooled(characters)),
        "mean": asdict(evaluation.mean(sources)),
        "confusions": [{"label": right, "prediction": taken, "count": count} for right, taken, count in pairs],
        "errors": errors,
        "unread": _unread_as_json(characters.unread),
    }


def _fields_as_json(answers: FieldEvaluation) -> dict[str, Any]:
    sources = field_evaluation.by_source(answers)
    errors = [
        {
            "path": answer.picture.name,
            "source": answer.picture.source,
            "label": answer.picture.label,
            "text": answer.text,
            "rejected": answer.is_rejected,
            "edit_distance": field_evaluation.edit_distance(answer.text, answer.picture.label),
            "candidates": [
                {"text": reading.text, "probability": round(reading.probability, 6)} for reading in answer.candidates
            ],
        }
        for answer in field_evaluation.worst_errors(answers)
    ]
    return {
        "sources": [asdict(item) for item in sources],
        "pooled": asdict(field_evaluation.pooled(answers)),
        "mean": asdict(field_evaluation.mean(sources)),
        "lengths": [
            {"length": right, "read": read, "count": count} for right, read, count in field_evaluation.lengths(answers)
        ],
        "errors": errors,
        "unread": _unread_as_json(answers.unread),
    }


def _outliers_as_json(outliers: OutlierEvaluation) -> dict[str, Any]:
    accepted = [
        {
            "path": outliers.pictures[index].name,
            "source": outliers.pictures[index].source,
            "prediction": outliers.classes[int(outliers.scores[index].argmax())],
            "confidence": round(float(outliers.scores[index].max()), 6),
        }
        for index in rejection.most_confident(outliers)
    ]
    return {
        "sources": [asdict(item) for item in rejection.by_source(outliers)],
        "pooled": asdict(rejection.pooled(outliers)),
        "kept": outliers.kept,
        "keep_comparing": rejection.KEEP,
        "taken_for": dict(rejection.taken_for(outliers)),
        "accepted": accepted,
    }


def _unread_as_json(unread: Sequence[Unread]) -> list[dict[str, str]]:
    return [
        {"path": item.picture.name, "source": item.picture.source, "label": item.picture.label, "reason": item.reason}
        for item in unread
    ]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _progress(done: int, total: int) -> None:
    draw(f"{bar(done, total)} {done:,} of {total:,} pictures")


def _silent(done: int, total: int) -> None:
    pass
