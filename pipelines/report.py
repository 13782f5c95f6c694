"""The evaluation as one HTML file that needs nothing else: measures, confusion, calibration, the worst errors as pictures."""

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.images import LabelledImages
from pipelines.metrics import Evaluation, Scores

_MAX_ERRORS = 60
_CELL = 34  # pixels
_PLOT = 240  # pixels

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.15rem; margin-top: 2rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
td, th {{ padding: .15rem .8rem .15rem 0; text-align: right }} td:first-child, th:first-child {{ text-align: left }}
.verdict {{ padding: .5rem .8rem; border-left: 4px solid {colour}; background: #f6f6f6 }}
.errors {{ display: flex; flex-wrap: wrap; gap: .8rem }} figure {{ margin: 0; font-size: 12px; text-align: center }}
img {{ width: 84px; height: 84px; image-rendering: pixelated; display: block; border: 1px solid #ddd }}
svg text {{ font: 11px system-ui, sans-serif }}
</style></head><body>
<h1>{title}</h1>
<p class="verdict">{verdict}</p>
<h2>Measures</h2>{measures}
<h2>Classes</h2>{classes}
<h2>Confusion</h2><p>Row: what it is. Column: what it was taken for. Errors are shaded by their share of the row.</p>{confusion}
<h2>Calibration</h2>
<p>Of the answers with a given confidence (across), how many are right (up). On the line is honest.</p>{reliability}
<h2>Worst errors</h2><p>The most confident of {error_count} wrong answers.</p><div class="errors">{errors}</div>
</body></html>
"""


def write_report(path: Path, card: dict[str, Any], evaluation: Evaluation, test: LabelledImages, scores: Scores) -> None:
    """Writes the report on one version to `path`."""
    labels, blessing = card["labels"], card["blessing"]
    wrong = np.flatnonzero(scores.argmax(1) != test.labels)
    verdict = "Blessed." if blessing["is_blessed"] else "Not blessed: " + "; ".join(blessing["reasons"]) + "."
    page = _PAGE.format(
        title=html.escape(f"{card['name']}, preset {card['preset']}, seed {card['seed']}"),
        colour="#2a7" if blessing["is_blessed"] else "#c33",
        verdict=html.escape(verdict),
        measures=_table(["", ""], [[key.replace("_", " "), f"{value:.6g}"] for key, value in card["metrics"].items()]),
        classes=_classes(labels, evaluation),
        confusion=_confusion_svg(labels, np.array(evaluation.confusion)),
        reliability=_reliability_svg(evaluation.reliability),
        error_count=len(wrong),
        errors="".join(
            _figure(test, scores, labels, index) for index in wrong[np.argsort(-scores[wrong].max(1))][:_MAX_ERRORS]
        ),
    )
    path.write_text(page, encoding="utf-8")


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + f"</tr>{cells}</table>"


def _classes(labels: list[str], evaluation: Evaluation) -> str:
    rows = [
        [label, str(sum(row)), f"{100 * precision:.2f} %", f"{100 * recall:.2f} %"]
        for label, row, precision, recall in zip(
            labels, evaluation.confusion, evaluation.precision, evaluation.recall, strict=True
        )
    ]
    return _table(["class", "images", "precision", "recall"], rows)


def _confusion_svg(labels: list[str], confusion: NDArray[np.int64]) -> str:
    side = _CELL * (len(labels) + 1)
    parts = [f'<svg width="{side}" height="{side}" role="img" aria-label="confusion matrix">']
    for index, label in enumerate(labels):
        place = _CELL * (index + 1.5)
        parts.append(
            _text(place, _CELL * 0.65, label, "#222", is_bold=True) + _text(_CELL / 2, place + 4, label, "#222", is_bold=True)
        )
    for (row, column), count in np.ndenumerate(confusion):
        share = count / max(1, confusion[row].sum())
        colour = (
            "#e4efe8"
            if row == column
            else f"rgb(255,{255 - round(235 * min(1, share * 20))},{255 - round(235 * min(1, share * 20))})"
        )
        x, y = _CELL * (column + 1), _CELL * (row + 1)
        parts.append(f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}"/>')
        if count:
            parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 4, str(count), "#222"))
    return "".join(parts) + "</svg>"


def _reliability_svg(bins: list[tuple[int, float, float]]) -> str:
    parts = [
        f'<svg width="{_PLOT + 20}" height="{_PLOT + 20}" role="img" aria-label="reliability"><g transform="translate(10 10)">'
    ]
    parts.append(f'<path d="M0 {_PLOT}H{_PLOT}V0H0Z M0 {_PLOT}L{_PLOT} 0" fill="none" stroke="#bbb"/>')
    for count, confidence, accuracy in bins:
        if count:
            title = f"<title>{count} answers: confidence {confidence:.3f}, right {accuracy:.3f}</title>"
            x, y = confidence * _PLOT, _PLOT - accuracy * _PLOT
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + np.log10(count) * 1.5:.1f}" fill="#27c">{title}</circle>')
    return "".join(parts) + "</g></svg>"


def _text(x: float, y: float, text: str, colour: str, is_bold: bool = False) -> str:
    weight = ' font-weight="bold"' if is_bold else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{colour}"{weight}>{html.escape(text)}</text>'


def _figure(test: LabelledImages, scores: Scores, labels: list[str], index: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(255 - test.images[index]).save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    right, taken = labels[test.labels[index]], labels[int(scores[index].argmax())]
    caption = f"{html.escape(right)} taken for {html.escape(taken)}<br>{100 * scores[index].max():.1f} %, image {index}"
    return f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{caption}</figcaption></figure>'
