"""What reports are made of: one HTML page that needs no other file, with tables, plots (SVG) and pictures in it."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from handwriting.errors import ImageError
from handwriting.image import decode
from handwriting.preprocess import Tensor
from handwriting.segment import Box
from pipelines.metrics import Evaluation

IMAGE_SIDE = 84
"""What pictures take on the page, in pixels."""
_FIELD_WIDTH, _FIELD_HEIGHT = 250, 150  # what a field takes at most
_CELL = 34  # pixels
_PLOT = 240  # pixels
_MARGIN = 36  # pixels, for the scales of a plot
_BOX_COLOURS = ("#d22", "#27c")  # neighbouring boxes overlap

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.15rem; margin-top: 2rem }} h3 {{ font-size: 1rem; margin: 1.2rem 0 .5rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
td, th {{ padding: .15rem .8rem .15rem 0; text-align: right; vertical-align: baseline; white-space: nowrap }}
td:first-child, th:first-child {{ text-align: left }}
.sum td {{ border-top: 1px solid #bbb; font-weight: bold }} .sum ~ .sum td {{ border: 0 }}
.verdict {{ padding: .5rem .8rem; border-left: 4px solid {colour}; background: #f6f6f6 }}
.plots {{ display: flex; flex-wrap: wrap; gap: 0 2rem }} .plots > div {{ max-width: 25rem }} .wide {{ overflow-x: auto }}
.wide + .wide {{ margin-top: 1.5rem }}
.errors {{ display: flex; flex-wrap: wrap; gap: 1rem .9rem }}
figure {{ margin: 0; font-size: 12px; line-height: 1.35; text-align: center }}
.pair {{ display: flex; gap: 3px; justify-content: center }} .pair + figcaption {{ max-width: 175px; overflow-wrap: anywhere }}
img {{ width: {side}px; height: {side}px; object-fit: contain; image-rendering: pixelated; display: block; margin: auto;
  border: 1px solid #ddd; background: #f0f0f0 }}
img.clear {{ background: repeating-conic-gradient(#ddd 0 25%, #aaa 0 50%) 0 0 / 14px 14px }}
img.smooth {{ image-rendering: auto }}
.field figure {{ width: {field}px }} .field .pair + figcaption {{ max-width: none }}
.field img {{ width: auto; height: auto; max-width: {field}px; max-height: {height}px }} small {{ color: #777 }}
svg text {{ font-family: system-ui, sans-serif; font-size: 11px }}
</style></head><body>
<h1>{title}</h1>
<p class="verdict">{verdict}</p>
{body}
</body></html>
"""


def page(title: str, verdict: str, colour: str, body: Iterable[str]) -> str:
    """The whole page; `body` is HTML already, title and verdict are text."""
    return _PAGE.format(
        title=html.escape(title),
        verdict=html.escape(verdict),
        colour=colour,
        side=IMAGE_SIDE,
        field=_FIELD_WIDTH,
        height=_FIELD_HEIGHT,
        body="\n".join(body),
    )


def section(heading: str, text: str, content: str) -> str:
    """A heading, a paragraph of text where there is something to say, and content that is HTML already."""
    paragraph = f"<p>{html.escape(text)}</p>" if text else ""
    return f"<h2>{html.escape(heading)}</h2>{paragraph}{content}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], sums: int = 0) -> str:
    """A table of texts, of which the last `sums` rows sum the others up."""
    parts = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
    for index, row in enumerate(rows):
        opening = '<tr class="sum">' if index >= len(rows) - sums else "<tr>"
        parts.append(opening + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
    return f'<div class="wide"><table>{"".join(parts)}</table></div>'


def percent(share: float, digits: int = 1) -> str:
    """The share as a text: `97.3 %`."""
    return f"{100 * share:.{digits}f} %"


def classes_table(labels: Sequence[str], evaluation: Evaluation, thresholds: Sequence[float]) -> str:
    """Images, precision and recall of each class, and the confidence below which its answers are rejected."""
    rows = [
        [label, str(sum(row)), percent(precision, 2), percent(recall, 2), percent(threshold)]
        for label, row, precision, recall, threshold in zip(
            labels, evaluation.confusion, evaluation.precision, evaluation.recall, thresholds, strict=True
        )
    ]
    return table(["class", "images", "precision", "recall", "threshold"], rows)


def confusion_plot(labels: Sequence[str], confusion: NDArray[np.int64]) -> str:
    """The confusion matrix; errors are shaded by their share of the row."""
    side = _CELL * (len(labels) + 1)
    parts = [f'<div class="wide"><svg width="{side}" height="{side}" role="img" aria-label="confusion matrix">']
    for index, label in enumerate(labels):
        place = _CELL * (index + 1.5)
        parts.append(_text(place, _CELL * 0.65, label, is_bold=True) + _text(_CELL / 2, place + 4, label, is_bold=True))
    for (row, column), count in np.ndenumerate(confusion):
        share = count / max(1, confusion[row].sum())
        shade = 255 - round(235 * min(1, share * 20))
        colour = "#e4efe8" if row == column else f"rgb(255,{shade},{shade})"
        x, y = _CELL * (column + 1), _CELL * (row + 1)
        parts.append(f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}"/>')
        if count:
            parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 4, str(count)))
    return "".join(parts) + "</svg></div>"


def reliability_plot(bins: Sequence[tuple[int, float, float]]) -> str:
    """Accuracy (up) over confidence (across) for each bin; the size of a point tells how many answers it stands for."""
    parts = [f'<path d="M0 {_PLOT}L{_PLOT} 0" fill="none" stroke="#bbb"/>']
    for count, confidence, accuracy in bins:
        if count:
            title = f"<title>{count} answers: confidence {confidence:.3f}, right {accuracy:.3f}</title>"
            x, y = confidence * _PLOT, _PLOT - accuracy * _PLOT
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + np.log10(count) * 1.5:.1f}" fill="#27c">{title}</circle>')
    return _plot("reliability", "confidence", "right", 1.0, "".join(parts))


def risk_coverage_plot(points: Sequence[tuple[float, float]]) -> str:
    """The share of the kept answers that is wrong (up) over the share that is kept (across), the surest first."""
    highest = max((risk for _, risk in points), default=0.0)
    top = next(top for top in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if highest <= top)
    step = max(1, len(points) // 500)  # more than two points for a pixel tell nothing
    chosen = [*points[:-1:step], *points[-1:]]
    path = "L".join(f"{coverage * _PLOT:.1f} {_PLOT - risk / top * _PLOT:.1f}" for coverage, risk in chosen)
    line = f'<path d="M{path}" fill="none" stroke="#27c" stroke-width="1.5"/>' if path else ""
    return _plot("risk and coverage", "answers kept", "wrong", top, line)


def picture(image: Image.Image, encoding: str = "PNG") -> str:
    """The image as part of the page: few pixels are shown as squares, and what is transparent on a checkerboard."""
    buffer = io.BytesIO()
    image.save(buffer, encoding)
    style = " ".join(["smooth"] * (max(image.size) > IMAGE_SIDE) + ["clear"] * (image.mode == "RGBA"))
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" class="{style}" src="data:image/{encoding.lower()};base64,{data}">'


def tensor_picture(tensor: Tensor) -> str:
    """The character as the model saw it, in black on white."""
    return picture(Image.fromarray(255 - tensor))


def thumbnail(path: Path) -> str:
    """The picture in the file, small, upright and in its colours; nothing where it cannot be decoded."""
    small = _small(path, 2 * IMAGE_SIDE)  # for screens of twice the density
    return picture(small) if small else ""


def field_picture(path: Path, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """The picture of a field with boxes around what was read; they are in pixels of a picture of that width and height."""
    width, height = 2 * _FIELD_WIDTH, 2 * _FIELD_HEIGHT  # for screens of twice the density
    small = _small(path, width)
    if small is None:
        return ""
    factor = min(width / small.width, height / small.height)
    drawn = small.convert("RGB").resize((max(1, round(small.width * factor)), max(1, round(small.height * factor))))
    across, down = drawn.width / size[0], drawn.height / size[1]
    pen = ImageDraw.Draw(drawn)
    for number, (x, y, wide, high) in enumerate(boxes):
        left, top = x * across, y * down
        corners = (left, top, max(left, left + wide * across - 1), max(top, top + high * down - 1))
        pen.rectangle(corners, outline=_BOX_COLOURS[number % len(_BOX_COLOURS)], width=2)
    return picture(drawn, "JPEG")


def captioned(pictures: str, caption: str) -> str:
    """Pictures side by side with a caption below; both are HTML already."""
    return f'<figure><div class="pair">{pictures}</div><figcaption>{caption}</figcaption></figure>'


def _small(path: Path, longest: int) -> Image.Image | None:
    """The picture in the file, upright, in its colours, at most so many pixels long; None where it cannot be decoded."""
    try:
        data = path.read_bytes()
        grey = decode(data)  # refuses what is too large or broken
        with Image.open(io.BytesIO(data)) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip more than 8 bits
                small = Image.fromarray(grey)
            else:
                image.draft("RGB", (longest, longest))
                small = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
    except (OSError, ImageError):
        return None
    small.thumbnail((longest, longest))
    return small


def sheet(figures: Iterable[str], kind: str = "") -> str:
    """Figures side by side, as many as fit into a row; those of the kind `field` are wide."""
    return f'<div class="errors{" " + kind if kind else ""}">{"".join(figures)}</div>'


def _plot(name: str, across: str, up: str, top: float, content: str) -> str:
    """A square with scales from 0 to 100 % across and 0 to `top` up around the content."""
    width, height, middle = _PLOT + 2 * _MARGIN, _PLOT + 48, _PLOT / 2
    scales = (
        _text(0, _PLOT + 15, "0") + _text(_PLOT, _PLOT + 15, "100 %") + _text(middle, _PLOT + 28, across)
        + _text(-6, _PLOT + 4, "0", anchor="end") + _text(-6, 8, f"{100 * top:g} %", anchor="end")
        + _text(-6, middle, up, anchor="end")
    )  # fmt: skip
    frame = f'<path d="M0 {_PLOT}H{_PLOT}V0H0Z" fill="none" stroke="#bbb"/>'
    opening = (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{name}"><g transform="translate({_MARGIN + 12} 12)">'
    )
    return f"{opening}{frame}{scales}{content}</g></svg>"


def _text(x: float, y: float, text: str, is_bold: bool = False, anchor: str = "middle") -> str:
    weight = ' font-weight="bold"' if is_bold else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="#222"{weight}>{html.escape(text)}</text>'
