"""`hcr read --fields LAYOUT`: scans of forms in bulk → a table as CSV, a row for each page."""

import csv
import hashlib
import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from PIL import Image

from handwriting.image import MAX_PIXELS
from hcr import state
from hcr.ask import Busy, ask

_TIMEOUT_SECONDS = 30
_TRIES = 5
_PDF_DOTS_PER_INCH = 200
_LONGEST = 4000  # pixels of the longer side of a page of a PDF


@dataclass(frozen=True)
class Layout:
    """A layout, and the names of its fields."""

    content: dict[str, Any]
    names: tuple[str, ...]
    digest: str


class Journal:
    """What was read of a run that was interrupted: its next run goes on behind it. Gone when a run has come to its end."""

    def __init__(self, layout: Layout) -> None:
        self._path = state.STATE / "forms" / f"{layout.digest}.jsonl"
        self._rows: dict[str, list[str]] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    self._rows.update([json.loads(line)])
                except ValueError:  # the last line, half written
                    continue

    def row_of(self, page: str) -> list[str] | None:
        return self._rows.get(page)

    def keep(self, page: str, row: list[str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps([page, row]) + "\n")

    def end(self) -> None:
        self._path.unlink(missing_ok=True)


def read_forms(files: tuple[Path, ...], layout_file: Path, url: str) -> bool:
    """Prints the table; false where a page could not be read.

    Raises:
        ClickException: the layout is none, or no gateway answers; what was read till then is kept in the journal.
    """
    layout = load_layout(layout_file)
    journal = Journal(layout)
    table = csv.writer(sys.stdout)
    table.writerow(["file", "page", *layout.names, "doubtful", "error"])
    is_whole = True
    with click.progressbar(files, label="reading", file=sys.stderr, item_show_func=lambda file: str(file or "")) as shown:
        for file in shown:
            for row in _rows(file, layout, journal, url):
                table.writerow(row)
                is_whole = is_whole and not row[-1]
            sys.stdout.flush()
    journal.end()
    return is_whole


def load_layout(path: Path) -> Layout:
    """The layout in the file.

    Raises:
        ClickException: there is none.
    """
    try:
        data = path.read_bytes()
        content = json.loads(data)
        names = tuple(str(field["name"]) for field in content["fields"])
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise click.ClickException(
            f"{path} is no layout: a JSON object with `reference` and `fields`, each with a `name`, is expected"
        ) from None
    return Layout(content, names, hashlib.sha256(data).hexdigest()[:16])


def _rows(file: Path, layout: Layout, journal: Journal, url: str) -> Iterator[list[str]]:
    """A row for each page of the file; one with the error where it cannot be opened."""
    try:
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        for number, page in enumerate(pages_of(data), 1):
            name = f"{digest}:{number}"
            row = journal.row_of(name)
            if row is None:
                row = _row(page, layout, url)
                if not row[-1]:  # what failed is asked for again
                    journal.keep(name, row)
            yield [str(file), str(number), *row]
    except OSError as error:
        yield [str(file), "", *[""] * len(layout.names), "", error.strerror or str(error)]
    except UnreadableFile as error:
        yield [str(file), "", *[""] * len(layout.names), "", str(error)]


def _row(page: bytes, layout: Layout, url: str) -> list[str]:
    """What the page's fields say, the names of those to look at, and what kept it from being read."""
    try:
        fields = _patiently(page, layout, url)["fields"]
    except Busy:
        raise
    except click.ClickException as error:
        return [*[""] * len(layout.names), "", error.message]
    doubtful = [field["name"] for field in fields if field.get("rejected") or field.get("satisfies") is False]
    return [*(field["text"] for field in fields), "; ".join(doubtful), ""]


def _patiently(page: bytes, layout: Layout, url: str) -> dict[str, Any]:
    """The gateway's answer, asked for again while it is busy."""
    for _ in range(_TRIES - 1):
        try:
            return ask(url, "/v1/forms:read", page, {"layout": layout.content}, _TIMEOUT_SECONDS)
        except Busy as busy:
            time.sleep(busy.seconds)
    return ask(url, "/v1/forms:read", page, {"layout": layout.content}, _TIMEOUT_SECONDS)


class UnreadableFile(Exception):
    """The file's pages cannot be had; the message says why."""


def pages_of(data: bytes) -> Iterator[bytes]:
    """The file's pages as image files: those of a PDF or TIFF one by one, any other file as it is.

    Raises:
        UnreadableFile: it cannot be opened.
    """
    if data.startswith(b"%PDF"):
        yield from _pdf_pages(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        yield from _tiff_pages(data)
    else:
        yield data


def _pdf_pages(data: bytes) -> Iterator[bytes]:
    try:
        import pypdfium2
    except ImportError:
        raise UnreadableFile("reading PDF needs pypdfium2: install the extra `pdf`") from None
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise UnreadableFile(f"the PDF cannot be opened: {error}") from None
    with document:
        for number in range(len(document)):
            try:
                page = document[number]
                scale = min(_PDF_DOTS_PER_INCH / 72, _LONGEST / max(1, *page.get_size()))
                image = page.render(scale=scale, grayscale=True).to_pil()
            except (pypdfium2.PdfiumError, ValueError) as error:
                raise UnreadableFile(f"page {number + 1} of the PDF cannot be opened: {error}") from None
            yield _as_png(image)


def _tiff_pages(data: bytes) -> Iterator[bytes]:
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                if image.width * image.height > MAX_PIXELS:  # before it is decoded: a small file may say anything
                    raise UnreadableFile(
                        f"page {number + 1} of the TIFF is {image.width} × {image.height} pixels; "
                        f"at most {MAX_PIXELS // 1_000_000} million"
                    )
                yield _as_png(image if image.mode in ("1", "L", "RGB") else image.convert("L"))
    except UnreadableFile:
        raise
    except Exception as error:  # Pillow raises a dozen kinds on a broken file
        raise UnreadableFile(f"the TIFF cannot be opened: {error}") from None


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
