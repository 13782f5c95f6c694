"""Tables, a character and its probabilities, drawn in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handwriting.preprocess import Tensor

_SHADES = " ░▒▓█"
_BAR = 24


def drawn(tensor: Tensor) -> list[str]:
    """The tensor as 14 lines of 28 characters: each stands for two pixels, one above the other."""
    pairs = tensor.reshape(tensor.shape[0] // 2, 2, tensor.shape[1])
    return ["".join(_cell(int(top), int(bottom)) for top, bottom in zip(*pair, strict=True)) for pair in pairs]


def bars(probabilities: Mapping[str, float], best: str) -> list[str]:
    """A line for each class: its label, a bar, its probability."""
    width = max(map(_width, probabilities))
    return [
        f"{'→' if label == best else ' '} {_padded(label, width, True)} {'█' * round(share * _BAR):<{_BAR}} {share:7.2%}"
        for label, share in probabilities.items()
    ]


def side_by_side(left: list[str], right: list[str]) -> str:
    """Two blocks of lines beside each other."""
    height = max(len(left), len(right))
    width = max((len(line) for line in left), default=0)
    left, right = left + [""] * (height - len(left)), right + [""] * (height - len(right))
    return "\n".join(f"{a:<{width}}   {b}".rstrip() for a, b in zip(left, right, strict=True))


def columns(rows: Sequence[Sequence[str]], numbers_from: int | None = None) -> str:
    """The rows, one column below the other; from column `numbers_from` on, aligned to the right."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            _padded(cell, width, is_number=numbers_from is not None and index >= numbers_from)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _padded(text: str, width: int, is_number: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if is_number else text + blank


def _width(text: str) -> int:
    """The columns of a terminal that the text takes: East Asian characters take two, combining ones none."""
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
        if not unicodedata.combining(character)
    )


def _cell(top: int, bottom: int) -> str:
    if (top > 127) != (bottom > 127):
        return "▀" if top > bottom else "▄"
    return _SHADES[min((top + bottom) * len(_SHADES) // 512, len(_SHADES) - 1)]
