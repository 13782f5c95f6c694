"""What reports tell about pictures of no character: how many are accepted by source, and the most confident of them."""

import html
from collections import defaultdict

from pipelines.page import captioned, percent, section, sheet, tensor_picture, thumbnail
from pipelines.rejection import KEEP, OutlierEvaluation, RejectionFigures, by_source, most_confident, pooled

_MAX_ACCEPTED = 120
"""On the contact sheet, of all sources together; each one has an equal part of it."""


def outlier_rows(evaluation: OutlierEvaluation) -> list[list[str]]:
    """The measures of each source and of all pictures, as texts; the first row names them."""
    head = ["none of the characters", "images", "no ink", "accepted", "95 % interval", f"keeping {percent(KEEP, 0)}"]
    return [head, *(_row(item) for item in (*by_source(evaluation), pooled(evaluation)))]


def outlier_text(evaluation: OutlierEvaluation) -> str:
    """What the measures mean here."""
    own = "Accepted: with a confidence that reaches the version's threshold for the class"
    if evaluation.kept is None:
        return f"{own}. No picture of a character is read rightly here, so there is nothing to keep."
    return (
        f"{own}; these thresholds keep {percent(evaluation.kept)} of the right answers for the pictures of characters here. "
        f"Keeping {percent(KEEP, 0)}: the same with thresholds that keep that share of them, for comparing versions."
    )


def outlier_section(evaluation: OutlierEvaluation) -> str:
    """For each source the accepted pictures, the most confident first."""
    chosen: defaultdict[str, list[int]] = defaultdict(list)
    for index in most_confident(evaluation):
        chosen[evaluation.pictures[index].source].append(index)
    heading = "None of the characters: wrongly accepted"
    if not chosen:
        return section(heading, "None.", "")
    most = max(1, _MAX_ACCEPTED // len(chosen))
    parts = []
    for source, indices in sorted(chosen.items()):
        shown = f", the {most} most confident" if len(indices) > most else ""
        parts.append(f"<h3>{html.escape(source)}: {len(indices):,} accepted{shown}</h3>")
        parts.append(sheet(_figure(evaluation, index) for index in indices[:most]))
    return section(heading, "The picture, and the 28 × 28 that the model saw of it; the most confident first.", "".join(parts))


def _row(item: RejectionFigures) -> list[str]:
    comparing = item.accepted_share_comparing
    return [
        item.name,
        f"{item.images:,}",
        str(item.no_ink or ""),
        percent(item.accepted_share),
        f"{100 * item.low:.1f} – {100 * item.high:.1f}",
        "" if comparing is None else percent(comparing),
    ]


def _figure(evaluation: OutlierEvaluation, index: int) -> str:
    taken, confidence = evaluation.classes[int(evaluation.scores[index].argmax())], float(evaluation.scores[index].max())
    pair = thumbnail(evaluation.pictures[index].path) + tensor_picture(evaluation.images[index])
    caption = f"taken for <b>{html.escape(taken)}</b>, {percent(confidence)}"
    return captioned(pair, f"{caption}<br><small>{html.escape(evaluation.pictures[index].name)}</small>")
