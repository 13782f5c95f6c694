"""What the page of `hcr evaluate` tells about fields: figures by source, the worst errors with what was read where, lengths."""

import html
from collections import defaultdict

import numpy as np

from pipelines.field_evaluation import (
    FieldAnswer,
    FieldEvaluation,
    FieldFigures,
    by_source,
    lengths,
    mean,
    pooled,
    worst_errors,
)
from pipelines.metrics import binned, risk_by_coverage
from pipelines.page import (
    captioned,
    field_picture,
    percent,
    reliability_plot,
    risk_coverage_plot,
    section,
    sheet,
    table,
    thumbnail,
)

_MAX_ERRORS = 90
"""On the contact sheet, of all sources together; each one has an equal part of it."""
_MAX_UNREAD = 60
_MAX_LENGTHS = 12


def field_verdict(evaluation: FieldEvaluation) -> str:
    """The whole in a sentence."""
    figures, sources = pooled(evaluation), by_source(evaluation)
    average = f"; the mean over {len(sources)} sources is {percent(mean(sources).exact_share, 2)}" if len(sources) > 1 else ""
    return f"{figures.exact:,} of {figures.images:,} fields are read exactly: {percent(figures.exact_share, 2)}{average}."


def field_rows(evaluation: FieldEvaluation) -> list[list[str]]:
    """The measures of each source, of all fields, and their mean over the sources, as texts; the first row names them."""
    head = ["fields", "images", "not read", "exact", "95 % interval", "in five", "CER", "short", "long",
            "probability", "ECE", "rejected", "of those wrong"]  # fmt: skip
    sources = by_source(evaluation)
    rows = [_row(item) for item in (*sources, pooled(evaluation))]
    if len(sources) > 1:
        means = mean(sources)
        shares = [percent(share) for share in (means.exact_share, means.among_candidates, means.character_error_rate)]
        probable = [percent(share) for share in (means.probability, means.ece, means.rejected_share)]
        rows.append(["mean over the sources", "", "", shares[0], "", *shares[1:], "", "", *probable, ""])
    return [head, *rows]


def field_sections(evaluation: FieldEvaluation) -> list[str]:
    """Lengths, worst errors, fields that were not read, and how much the probabilities can be trusted."""
    sections = [section("Fields: worst errors", "", _contact_sheets(evaluation))]
    if evaluation.unread:
        figures = (
            captioned(thumbnail(item.picture.path), _unread_caption(item.picture.label, item.reason, item.picture.name))
            for item in evaluation.unread[:_MAX_UNREAD]
        )
        more = f"; the first {_MAX_UNREAD} of {len(evaluation.unread):,}" if len(evaluation.unread) > _MAX_UNREAD else ""
        sections.append(section("Fields: not read", f"They count as wrong{more}.", sheet(figures)))
    if found := lengths(evaluation):
        rows = [[str(right), str(read), f"{count:,}"] for right, read, count in found[:_MAX_LENGTHS]]
        wrong = sum(not answer.is_right for answer in evaluation.answers)
        text = f"{sum(count for *_, count in found):,} of {wrong:,} wrong texts have another length than what is written."
        sections.append(section("Fields: length", text, table(["characters", "read", "fields"], rows)))
    if evaluation.answers:
        sections.append(_calibration(evaluation))
    return sections


def _row(item: FieldFigures) -> list[str]:
    return [
        item.name,
        f"{item.images:,}",
        str(item.unread or ""),
        percent(item.exact_share),
        f"{100 * item.low:.1f} – {100 * item.high:.1f}",
        percent(item.among_candidates),
        percent(item.character_error_rate),
        str(item.too_short or ""),
        str(item.too_long or ""),
        percent(item.probability),
        percent(item.ece),
        percent(item.rejected_share),
        f"{item.rejected_wrong} of {item.rejected}" if item.rejected else "",
    ]


def _contact_sheets(evaluation: FieldEvaluation) -> str:
    """For each source, its most probable wrong readings: the picture, boxes around what was read, the texts."""
    wrong: defaultdict[str, list[FieldAnswer]] = defaultdict(list)
    for answer in worst_errors(evaluation):
        wrong[answer.picture.source].append(answer)
    if not wrong:
        return "<p>None: every field that was read is right.</p>"
    most = max(1, _MAX_ERRORS // len(wrong))
    parts = ["<p>What was read, and in the boxes the characters that it was read from; the most probable first.</p>"]
    for source, answers in sorted(wrong.items()):
        shown = f", the {most} most probable" if len(answers) > most else ""
        parts.append(f"<h3>{html.escape(source)}: {len(answers):,} wrong{shown}</h3>")
        parts.append(sheet((_figure(answer) for answer in answers[:most]), "field"))
    return "".join(parts)


def _figure(answer: FieldAnswer) -> str:
    right, read = (html.escape(text.replace("\n", " ⏎ ")) for text in (answer.picture.label, answer.text))
    caption = f"<b>{right}</b> read as <b>{read}</b>, {percent(answer.probability)}"
    if answer.is_among_candidates:
        place = next(n for n, reading in enumerate(answer.candidates, 1) if reading.text == answer.picture.label)
        caption += f"; candidate {place}"
    if answer.is_rejected:
        caption += "; rejected"
    return captioned(
        field_picture(answer.picture.path, answer.boxes, answer.size),
        f"{caption}<br><small>{html.escape(answer.picture.name)}</small>",
    )


def _unread_caption(label: str, reason: str, name: str) -> str:
    return f"<b>{html.escape(label)}</b>: {html.escape(reason)}<br><small>{html.escape(name)}</small>"


def _calibration(evaluation: FieldEvaluation) -> str:
    probabilities = np.array([answer.probability for answer in evaluation.answers])
    is_right = np.array([answer.is_right for answer in evaluation.answers])
    return section(
        "Fields: calibration, risk and coverage",
        "",
        '<div class="plots"><div><p>Of the texts with a given probability (across), how many are right (up). On the line is '
        f"honest.</p>{reliability_plot(binned(probabilities, is_right))}</div>"
        "<div><p>If only the most probable texts are kept (across), how many of them are wrong (up).</p>"
        f"{risk_coverage_plot(risk_by_coverage(probabilities, is_right))}</div></div>",
    )
