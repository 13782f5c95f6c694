"""Omniglot: nothing but the original, each writer on one side, and fonts where the user lacks it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pipelines.data import omniglot, sources
from pipelines.errors import DataError
from pipelines.files import sha256_of
from pipelines.recipe import Recipe, load_recipe, parse_recipe

ORIGINAL = Path(__file__).parents[4] / "shared" / "data" / "omniglot" / omniglot.FILE
"""Where developers of this project may have the file: in a folder beside the checkout."""
WRITERS = 10


def drawing(character: int, writer: int) -> np.ndarray:
    """A bar with an arm: its height tells the writer, its length the character."""
    pixels = np.ones((105, 105), np.uint8)
    pixels[15:90, 30:35] = 0
    pixels[18 + 7 * writer : 23 + 7 * writer, 30 : 45 + 2 * character] = 0
    return pixels


def cells(items: list[object]) -> np.ndarray:
    """A MATLAB cell array, one column."""
    made = np.empty((len(items), 1), object)
    made[:, 0] = items
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file like the original, of Latin letters alone, which passes for it."""
    letters = [cells([drawing(character, writer) for writer in range(WRITERS)]) for character in range(26)]
    savemat(tmp_path / omniglot.FILE, {"names": cells(["Latin"]), "images": cells([cells(letters)])})
    monkeypatch.setattr(omniglot, "DIGEST", sha256_of((tmp_path / omniglot.FILE).read_bytes()))
    return tmp_path


def load(folder: Path, labels: str, validation: float = 0.2, test: float = 0.3) -> omniglot.Writers:
    characters = {label: index for index, label in enumerate(labels)}
    return omniglot.load(folder / omniglot.FILE, "Latin", characters, validation, test)


def writers_of(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def letters(*changes: tuple[str, str]) -> Recipe:
    """The recipe `letters` with few images and the changes."""
    content = load_recipe("letters").text
    for old, new in [("40_000", "60"), ("restyled = 8_000", "restyled = 0"), ("outliers = 3_000", "outliers = 0"), *changes]:
        assert old in content
        content = content.replace(old, new, 1)
    return parse_recipe(content, "test")


def test_each_part_has_each_character_once_by_each_of_its_writers(folder: Path) -> None:
    parts = load(folder, "abc")

    assert parts.counts == {"test": 3, "validation": 2, "train": 5}
    for part, count in ((parts.test, 3), (parts.validation, 2), (parts.train, 5)):
        assert np.bincount(part.labels).tolist() == [count] * 3
        assert (part.images.shape[1:], part.images.dtype) == ((28, 28), np.uint8)


def test_no_writer_is_in_two_parts(folder: Path) -> None:
    parts = load(folder, "ab")

    seen = [writers_of(part.images[part.labels == 0]) for part in (parts.train, parts.validation, parts.test)]
    assert [len(part) for part in seen] == [5, 2, 3]
    assert len(set.union(*seen)) == WRITERS


def test_characters_that_are_no_label_are_left_out(folder: Path) -> None:
    assert len(load(folder, "z0").test) == 3
    with pytest.raises(DataError, match="Latin has none of the labels; it has abcdef"):
        load(folder, "01")


def test_a_writer_is_left_to_train_on(folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.test 0\.6 and data\.validation 0\.4 leave none of 10 writers to train on"):
        load(folder, "ab", 0.4, 0.6)


def test_another_file_is_refused(folder: Path) -> None:
    (folder / omniglot.FILE).write_bytes(b"MATLAB 5.0")

    with pytest.raises(DataError, match=r"is not the original: SHA-256 .* after 10 bytes, expected"):
        load(folder, "ab")


def test_a_recipe_takes_the_file_from_the_folder_that_the_environment_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(omniglot.FOLDER_VARIABLE, str(folder))
    lines: list[str] = []
    data = sources.load(letters(), tmp_path / "cache", lines.append)

    assert not data.is_stand_in
    assert data.origin["writers"] == {"test": 3, "validation": 2, "train": 5}
    assert lines == [f"Omniglot: {folder / omniglot.FILE}, digest verified; writers of Latin: test 3  validation 2  train 5"]


def test_fonts_stand_in_where_the_file_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(omniglot.FOLDER_VARIABLE, raising=False)
    lines: list[str] = []
    data = sources.load(letters(), tmp_path / "cache", lines.append)

    assert data.is_stand_in
    assert set(data.train.labels) == set(range(26))
    assert lines[0] == ("Omniglot: no data_background_small1.mat in a folder that HCR_DATA_DIR names; training on fonts alone")


def test_a_recipe_without_an_alphabet_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs data\.alphabet, one of Greek, Korean, Latin"):
        sources.load(letters(('alphabet = "Latin"', "")), tmp_path, print)


@pytest.mark.skipif(not ORIGINAL.is_file(), reason=f"needs {omniglot.FILE} in shared/data/omniglot beside the checkout")
def test_the_original_has_as_many_drawings_as_we_named() -> None:
    drawings = omniglot.read(ORIGINAL)

    for alphabet, characters in omniglot.ALPHABETS.items():
        assert len(drawings[alphabet]) == len(characters) == len(set(characters))
        assert {len(by_writer) for by_writer in drawings[alphabet]} == {20}
        assert drawings[alphabet][0][0].shape == (105, 105)


@pytest.mark.skipif(not ORIGINAL.is_file(), reason=f"needs {omniglot.FILE} in shared/data/omniglot beside the checkout")
def test_drawings_of_one_letter_look_more_alike_than_those_of_two() -> None:
    """The order of the names is right as far as neighbours are told apart: each mean is nearest to its other half."""
    drawings = omniglot.read(ORIGINAL)["Latin"]
    characters = {label: index for index, label in enumerate(omniglot.ALPHABETS["Latin"])}
    halves = [omniglot.of_writers(drawings, "Latin", characters, list(half)) for half in (range(10), range(10, 20))]
    means = [np.stack([half.images[half.labels == index].mean(axis=0).ravel() for index in range(26)]) for half in halves]
    nearest = np.linalg.norm(means[0][:, None] - means[1][None], axis=2).argmin(axis=1)

    assert (nearest == np.arange(26)).mean() > 0.85
