"""How a version does on a user's own pictures, as one HTML file: measures by source, and what it saw where it was wrong."""

import html
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.data.pictures import Picture, Unread
from pipelines.evaluation import FolderEvaluation, PictureEvaluation, by_source, mean, pooled, worst_errors
from pipelines.field_report import field_rows, field_sections, field_verdict
from pipelines.metrics import Evaluation, risk_coverage
from pipelines.metrics import evaluate as measure
from pipelines.outlier_report import outlier_rows, outlier_section, outlier_text
from pipelines.page import (
    captioned,
    classes_table,
    confusion_plot,
    page,
    percent,
    reliability_plot,
    risk_coverage_plot,
    section,
    sheet,
    table,
    tensor_picture,
    thumbnail,
)
from pipelines.rejection import pooled as outliers_pooled
from pipelines.report import CALIBRATION, CONFUSION, RISK

_MAX_ERRORS = 160
"""On the contact sheet, of all sources together; each one has an equal part of it."""
_MAX_UNREAD = 60
_MAX_CLASSES = 60
_KEPT = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


def write_picture_report(path: Path, title: str, evaluation: FolderEvaluation) -> None:
    """Writes the report to `path`: the figures of all kinds of pictures, then each kind by itself."""
    sections = [section("Sources", "", "".join(_summaries(evaluation)))]
    if left_out := left_out_rows(evaluation):
        sections.append(section("Left out", "Not in the figures above.", table(["", ""], left_out)))
    if evaluation.characters:
        sections += _character_sections(evaluation.characters)
    if evaluation.fields:
        sections += field_sections(evaluation.fields)
    if evaluation.outliers:
        sections.append(outlier_section(evaluation.outliers))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, verdict(evaluation), "#27c", sections), encoding="utf-8")


def verdict(evaluation: FolderEvaluation) -> str:
    """The whole in a sentence for each kind of pictures."""
    sentences = []
    if characters := evaluation.characters:
        sentences.append(_character_verdict(characters))
    if fields := evaluation.fields:
        sentences.append(field_verdict(fields))
    if outliers := evaluation.outliers:
        figures = outliers_pooled(outliers)
        share = percent(figures.accepted_share, 2)
        sentences.append(
            f"{figures.accepted:,} of {figures.images:,} pictures of none of the characters are accepted: {share}."
        )
    return " ".join(sentences)


def _character_verdict(evaluation: PictureEvaluation) -> str:
    figures, sources = pooled(evaluation), by_source(evaluation)
    average = f"; the mean over {len(sources)} sources is {percent(mean(sources).accuracy, 2)}" if len(sources) > 1 else ""
    return f"{figures.right:,} of {figures.images:,} pictures are right: {percent(figures.accuracy, 2)}{average}."


def _summaries(evaluation: FolderEvaluation) -> list[str]:
    """A table by source for each kind of pictures."""
    tables = []
    if characters := evaluation.characters:
        head, *rows = source_rows(characters)
        tables.append(table(head, rows, sums=len(rows) - len(by_source(characters))))
    if fields := evaluation.fields:
        head, *rows = field_rows(fields)
        tables.append(table(head, rows, sums=1 + (rows[-1][0] != "all")))
    if outliers := evaluation.outliers:
        head, *rows = outlier_rows(outliers)
        tables.append(table(head, rows, sums=1) + f"<p>{html.escape(outlier_text(outliers))}</p>")
    return tables


def _character_sections(evaluation: PictureEvaluation) -> list[str]:
    """Worst errors, pictures that were not read, confusions, calibration and classes."""
    sections = [section("Worst errors", "", _contact_sheets(evaluation))]
    if unread := evaluation.unread:
        sections.append(section("Not read", _unread_text(unread), _unread_sheet(unread)))
    if evaluation.pictures:
        measures = measure(evaluation.scores, evaluation.labels)
        classes = classes_table(evaluation.classes, measures, evaluation.thresholds.tolist())
        sections += [
            _confusion(evaluation.classes, measures),
            _calibration(evaluation, measures),
            section("Classes", "Of the pictures that were read.", classes),
        ]
    return sections


def source_rows(evaluation: PictureEvaluation) -> list[list[str]]:
    """The measures of each source, of all pictures, and their mean over the sources, as texts; the first row names them."""
    head = ["source", "images", "not read", "right", "95 % interval", "confidence", "ECE", "rejected", "of those wrong"]
    sources = by_source(evaluation)
    rows = [
        [
            item.name,
            f"{item.images:,}",
            str(item.unread or ""),
            percent(item.accuracy),
            f"{100 * item.low:.1f} – {100 * item.high:.1f}",
            percent(item.confidence),
            percent(item.ece),
            percent(item.rejected_share),
            f"{item.rejected_wrong} of {item.rejected}" if item.rejected else "",
        ]
        for item in (*sources, pooled(evaluation))
    ]
    if len(sources) > 1:
        means = mean(sources)
        shares = [percent(share) for share in (means.accuracy, means.confidence, means.ece, means.rejected_share)]
        rows.append(["mean over the sources", "", "", shares[0], "", *shares[1:], ""])
    return [head, *rows]


def left_out_rows(evaluation: FolderEvaluation) -> list[list[str]]:
    """What is not in the measures, and how many of it."""
    rows = [
        *(
            (f"pictures of {label!r}, which is none of the model's classes", count)
            for label, count in evaluation.unknown.items()
        ),
        *(
            (f"fields with {characters!r}, which the model does not know", count)
            for characters, count in evaluation.unknown_in_fields.items()
        ),
        *evaluation.left_out.items(),
    ]
    return [[description, f"{count:,}"] for description, count in rows]


def _contact_sheets(evaluation: PictureEvaluation) -> str:
    """For each source, its most confident wrong answers: the picture, what the model saw, what it took it for."""
    wrong: defaultdict[str, list[int]] = defaultdict(list)
    for index in worst_errors(evaluation):
        wrong[evaluation.pictures[index].source].append(index)
    if not wrong:
        return "<p>None: every picture that was read is right.</p>"
    most = max(1, _MAX_ERRORS // len(wrong))
    parts = ["<p>The picture, and the 28 × 28 that the model saw of it; the most confident first.</p>"]
    for source, indices in sorted(wrong.items()):
        shown = f", the {most} most confident" if len(indices) > most else ""
        parts.append(f"<h3>{html.escape(source)}: {len(indices)} wrong{shown}</h3>")
        parts.append(sheet(_figure(evaluation, index) for index in indices[:most]))
    return "".join(parts)


def _figure(evaluation: PictureEvaluation, index: int) -> str:
    right, taken = evaluation.classes[evaluation.labels[index]], evaluation.classes[evaluation.predicted[index]]
    confidence, is_rejected = evaluation.scores[index].max(), evaluation.is_rejected[index]
    caption = f"<b>{html.escape(right)}</b> taken for <b>{html.escape(taken)}</b>, {percent(confidence)}"
    name = html.escape(evaluation.pictures[index].name)
    pair = thumbnail(evaluation.pictures[index].path) + tensor_picture(evaluation.images[index])
    return captioned(pair, f"{caption}{'; rejected' if is_rejected else ''}<br><small>{name}</small>")


def _unread_text(unread: Sequence[Unread]) -> str:
    more = f"; the first {_MAX_UNREAD} of {len(unread):,}" if len(unread) > _MAX_UNREAD else ""
    return f"No character was found in these, and they count as wrong{more}."


def _unread_sheet(unread: Sequence[Unread]) -> str:
    return sheet(_unread_figure(item.picture, item.reason) for item in unread[:_MAX_UNREAD])


def _unread_figure(item: Picture, reason: str) -> str:
    caption = f"<b>{html.escape(item.label)}</b>: {html.escape(reason)}<br><small>{html.escape(item.name)}</small>"
    return captioned(thumbnail(item.path), caption)


def _confusion(classes: Sequence[str], measures: Evaluation) -> str:
    """The confusion matrix of the classes that occur; of the most confused where they are too many to look at."""
    confusion = np.array(measures.confusion, np.int64)
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    errors = confusion.sum(0) + confusion.sum(1) - 2 * np.diag(confusion)
    chosen = np.sort(occurs[np.argsort(-errors[occurs], kind="stable")][:_MAX_CLASSES])
    text = CONFUSION
    if len(chosen) < len(occurs):
        text += f" The {len(chosen)} most confused of {len(occurs)} classes."
    return section("Confusion", text, confusion_plot([classes[index] for index in chosen], confusion[np.ix_(chosen, chosen)]))


def _calibration(evaluation: PictureEvaluation, measures: Evaluation) -> str:
    points = risk_coverage(evaluation.scores, evaluation.labels)
    kept = [[f"{percent(share, 0)}", percent(_risk_at(points, share), 2)] for share in _KEPT]
    return section(
        "Calibration, risk and coverage",
        "",
        f'<div class="plots"><div><p>{CALIBRATION}</p>{reliability_plot(measures.reliability)}</div>'
        f"<div><p>{RISK}</p>{risk_coverage_plot(points)}</div></div>{table(['answers kept', 'wrong of those'], kept)}",
    )


def _risk_at(points: Sequence[tuple[float, float]], coverage: float) -> float:
    """The share that is wrong where at least that share of the answers is kept."""
    return next(risk for share, risk in points if share >= coverage - 1e-9)
