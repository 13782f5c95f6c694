"""How a version does on a user's own pictures, as one HTML file: measures by source, and what it saw where it was wrong."""

import html
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from handwriting.errors import ImageError
from handwriting.image import decode
from pipelines.data.pictures import Picture, Unread
from pipelines.evaluation import PictureEvaluation, by_source, mean, pooled, worst_errors
from pipelines.metrics import Evaluation, risk_coverage
from pipelines.metrics import evaluate as measure
from pipelines.page import (
    IMAGE_SIDE,
    classes_table,
    confusion_plot,
    page,
    percent,
    picture,
    reliability_plot,
    risk_coverage_plot,
    section,
    sheet,
    table,
    tensor_picture,
)
from pipelines.report import CALIBRATION, CONFUSION, RISK

_MAX_ERRORS = 160
"""On the contact sheet, of all sources together; each one has an equal part of it."""
_MAX_UNREAD = 60
_MAX_CLASSES = 60
_THUMBNAIL = 2 * IMAGE_SIDE  # for screens of twice the density
_KEPT = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


def write_picture_report(path: Path, title: str, evaluation: PictureEvaluation) -> None:
    """Writes the report to `path`."""
    measures = measure(evaluation.scores, evaluation.labels)
    (head, *rows), left_out = source_rows(evaluation), left_out_rows(evaluation)
    sections = [
        section("Sources", "", table(head, rows, sums=len(rows) - len(by_source(evaluation)))),
        *([section("Left out", "Not in the figures above.", table(["", ""], left_out))] if left_out else []),
        section("Worst errors", "", _contact_sheets(evaluation)),
        *(
            [section("Not read", _unread_text(evaluation.unread), _unread_sheet(evaluation.unread))]
            if evaluation.unread
            else []
        ),
        _confusion(evaluation.classes, measures),
        _calibration(evaluation, measures),
        section("Classes", "Of the pictures that were read.", classes_table(evaluation.classes, measures)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, verdict(evaluation), "#27c", sections), encoding="utf-8")


def verdict(evaluation: PictureEvaluation) -> str:
    """The whole in a sentence."""
    figures, sources = pooled(evaluation), by_source(evaluation)
    average = f"; the mean over {len(sources)} sources is {percent(mean(sources).accuracy, 2)}" if len(sources) > 1 else ""
    return f"{figures.right:,} of {figures.images:,} pictures are right: {percent(figures.accuracy, 2)}{average}."


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


def left_out_rows(evaluation: PictureEvaluation) -> list[list[str]]:
    """What is not in the measures, and how many of it."""
    unknown = [
        [f"pictures of {label!r}, which is none of the model's classes", f"{count:,}"]
        for label, count in evaluation.unknown.items()
    ]
    return unknown + [[description, f"{count:,}"] for description, count in evaluation.left_out.items()]


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
    pair = thumbnail(evaluation.pictures[index]) + tensor_picture(evaluation.images[index])
    return _captioned(pair, f"{caption}{'; rejected' if is_rejected else ''}<br><small>{name}</small>")


def thumbnail(item: Picture) -> str:
    """The picture, small, upright and in its colours; nothing where it cannot be decoded."""
    try:
        data = item.path.read_bytes()
        grey = decode(data)  # refuses what is too large or broken
        with Image.open(io.BytesIO(data)) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip more than 8 bits
                small = Image.fromarray(grey)
            else:
                image.draft("RGB", (_THUMBNAIL, _THUMBNAIL))
                small = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
    except (OSError, ImageError):
        return ""
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return picture(small)


def _unread_text(unread: Sequence[Unread]) -> str:
    more = f"; the first {_MAX_UNREAD} of {len(unread):,}" if len(unread) > _MAX_UNREAD else ""
    return f"No character was found in these, and they count as wrong{more}."


def _unread_sheet(unread: Sequence[Unread]) -> str:
    return sheet(_unread_figure(item.picture, item.reason) for item in unread[:_MAX_UNREAD])


def _unread_figure(item: Picture, reason: str) -> str:
    caption = f"<b>{html.escape(item.label)}</b>: {html.escape(reason)}<br><small>{html.escape(item.name)}</small>"
    return _captioned(thumbnail(item), caption)


def _captioned(pictures: str, caption: str) -> str:
    return f'<figure><div class="pair">{pictures}</div><figcaption>{caption}</figcaption></figure>'


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
