"""What was found in a data set, as one HTML file that needs nothing else."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.data.feedback import Contradiction
from pipelines.data.images import OUTLIER, Lot
from pipelines.drift import EDGES, Histograms
from pipelines.page import page, percent, section, sheet, table, tensor_picture
from pipelines.validation import Finding, Validation

_MOST_SHOWN = 24  # pictures of one finding
_MOST_NAMED = 500
_MOST_DRIFTS = 40
_WIDTH, _HEIGHT = 150, 34  # of a histogram, in pixels


def write_report(
    path: Path,
    title: str,
    lots: Sequence[Lot],
    labels: Sequence[str],
    found: Validation,
    contradictions: Sequence[Contradiction] = (),
    left_out: Sequence[str] = (),
) -> None:
    """Writes the report on the data set to `path`, with the feedback that a human should look at, and what was left out."""
    anomalies = found.anomalies
    verdict = "Fit to train on." if not anomalies else "Refused: " + "; ".join(finding.what for finding in anomalies) + "."
    rows = [[finding.check, "too much" if finding.is_anomaly else "accepted", finding.what] for finding in found.findings]
    text = page(
        title,
        verdict,
        "#c33" if anomalies else "#2a7",
        [
            section("Checks", "", table(["check", "", "found"], rows)),
            *(_details(finding) for finding in found.findings if finding.names),
            *_feedback(contradictions, left_out),
            *([section("Images", _COUNTS, _counts(lots, labels))] if found.summary else []),
            section("Drift", f"Compared with: {found.reference}.", _drifts(found)),
            *([section("Distributions", _MEASURES, _histograms(found.summary))] if found.summary else []),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


_CONTRADICTIONS = (
    "The stable version is sure that these images show something else than the label that they were sent with, so they are "
    "left out. Those whose label is right join the next run after `hcr feedback confirm FILE…`; the others go with `rm`."
)
_COUNTS = "By part and origin; the last column counts what shows none of the classes."
_MEASURES = (
    "Of the images of each class that are trained on: the share of the image that is ink (left: none, right: half of it "
    "and more), and how dark the ink is (left: as paper, right: as ink)."
)


def _details(finding: Finding) -> str:
    """The images of one finding, by picture and by name."""
    pictures = sheet(
        f'<figure><div class="pair">{"".join(tensor_picture(lot.data.images[index]) for lot, index in group[:2])}</div>'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, group in zip(finding.names[:_MOST_SHOWN], finding.places, strict=False)
    )
    return section(finding.check.capitalize(), f"{finding.what}.", (pictures if finding.places else "") + _list(finding.names))


def _list(names: Sequence[str]) -> str:
    """The names, folded up."""
    items = "".join(f"<li>{html.escape(name)}</li>" for name in names[:_MOST_NAMED])
    more = f"<p>… and {len(names) - _MOST_NAMED:,} more.</p>" if len(names) > _MOST_NAMED else ""
    return f"<details><summary>{len(names):,} names</summary><ul>{items}</ul>{more}</details>"


def _feedback(contradictions: Sequence[Contradiction], left_out: Sequence[str]) -> list[str]:
    """The sections on feedback, where there is something to tell."""
    sections = []
    if contradictions:
        sections.append(section("Feedback to be looked at", _CONTRADICTIONS, _contradictions(contradictions)))
    if left_out:
        sections.append(section("Feedback left out", "", _list(left_out)))
    return sections


def _contradictions(found: Sequence[Contradiction]) -> str:
    """Pictures of some, the surest contradiction first, and the files of all."""
    ordered = sorted(found, key=lambda one: -one.confidence)
    pictures = sheet(
        f"<figure>{tensor_picture(one.image)}<figcaption>sent as {html.escape(one.label)}<br>"
        f"taken for {html.escape(one.taken_for)}, {percent(one.confidence)}</figcaption></figure>"
        for one in ordered[:_MOST_SHOWN]
    )
    return pictures + _list([one.told() for one in ordered])


def _counts(lots: Sequence[Lot], labels: Sequence[str]) -> str:
    rows = []
    for lot in lots:
        known = lot.data.labels[lot.data.labels != OUTLIER]
        counts = np.bincount(known, minlength=len(labels)).tolist()
        rows.append(
            [lot.part, lot.origin, f"{len(lot.data):,}", *(str(count) for count in counts), f"{len(lot.data) - len(known):,}"]
        )
    return table(["part", "origin", "images", *labels, "none"], rows)


def _drifts(found: Validation) -> str:
    rows = [
        [one.origin, one.label or "all", one.measure, f"{one.psi:.3f}", f"{one.by_chance:.3f}"]
        for one in found.drifts[:_MOST_DRIFTS]
    ]
    return table(["origin", "class", "measure", "stability index", "by chance at most"], rows) if rows else ""


def _histograms(summary: Histograms) -> str:
    """A row for each origin and class, with a small histogram of each measure."""
    rows = []
    for origin, classes in summary.items():
        for label, measures in classes.items():
            plots = "".join(f"<td>{_bars(measures[name].tolist())}</td>" for name in EDGES)
            rows.append(f"<tr><td>{html.escape(origin)}</td><td>{html.escape(label)}</td>{plots}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("origin", "class", *EDGES))
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _bars(counts: Sequence[int]) -> str:
    width, most = _WIDTH / len(counts), max(1, *counts)
    bars = "".join(
        f'<rect x="{index * width:.1f}" y="{_HEIGHT * (1 - count / most):.1f}" width="{width - 1:.1f}" '
        f'height="{_HEIGHT * count / most:.1f}" fill="#27c"><title>{count:,}</title></rect>'
        for index, count in enumerate(counts)
    )
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="histogram">{bars}</svg>'
