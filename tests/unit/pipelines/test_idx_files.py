"""IDX files of the user's: EMNIST's labels and its exchanged axes, verified where there is something to compare with."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.data import idx, idx_files, sources
from pipelines.data.idx_files import Files
from pipelines.errors import DataError
from pipelines.files import sha256_of
from pipelines.recipe import Recipe, load_recipe, parse_recipe

AB = {"a": 0, "A": 0, "b": 1, "B": 1}


def bars(count: int, is_flat: bool = False) -> np.ndarray:
    """Bars of ink that stand (or lie) in 28 × 28, each at another place."""
    images = np.zeros((count, 28, 28), np.uint8)
    for number in range(count):
        images[number, 3:25, 4 + number % 20 : 8 + number % 20] = 255
    return images.transpose(0, 2, 1) if is_flat else images


def write(folder: Path, name: str, images: np.ndarray, labels: list[int], test: str = "test") -> None:
    """Four files: the same images and labels to train and to test."""
    for part in ("train", test):
        for kind, array in (("images-idx3", images), ("labels-idx1", np.array(labels, np.uint8))):
            (folder / f"{name}{part}-{kind}-ubyte").write_bytes(idx.serialize(np.ascontiguousarray(array)))


def stands(image: np.ndarray) -> bool:
    """Whether the ink is higher than wide."""
    return bool(np.count_nonzero(image.any(axis=1)) > np.count_nonzero(image.any(axis=0)))


def test_the_letters_of_emnist_count_from_one(tmp_path: Path) -> None:
    write(tmp_path, "emnist-letters-", bars(3), [1, 2, 2])
    data = idx_files.load(Files(tmp_path, "emnist-letters"), AB, ["a", "b"], print)

    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1, 1]


def test_capitals_and_small_letters_of_emnist_are_merged_as_the_recipe_says(tmp_path: Path) -> None:
    write(tmp_path, "emnist-byclass-", bars(5), [10, 36, 11, 37, 3])
    lines: list[str] = []
    data = idx_files.load(Files(tmp_path, "emnist-byclass"), AB, ["a", "b"], lines.append)

    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert "train: not in the recipe's labels, left out: 3" in lines


def test_the_splits_of_emnist_have_their_numbers_of_classes() -> None:
    counts = {name: len(characters.replace("\0", "")) for name, characters in idx_files.EMNIST.items()}

    assert counts == {
        "emnist-balanced": 47, "emnist-bymerge": 47, "emnist-byclass": 62,
        "emnist-letters": 26, "emnist-digits": 10, "emnist-mnist": 10,
    }  # fmt: skip
    assert idx_files.EMNIST["emnist-balanced"][36:39] == "abd"


def test_what_emnist_exchanged_is_put_right(tmp_path: Path) -> None:
    write(tmp_path, "emnist-letters-", bars(2, is_flat=True), [1, 2])
    write(tmp_path, "mine-", bars(2), [0, 1])
    emnist = idx_files.load(Files(tmp_path, "emnist-letters"), AB, ["a", "b"], print)
    plain = idx_files.load(Files(tmp_path, "mine"), AB, ["a", "b"], print)
    exchanged = idx_files.load(Files(tmp_path, "mine", transposed=True), AB, ["a", "b"], print)

    assert all(map(stands, [*emnist.train.images, *plain.train.images]))
    assert not any(map(stands, exchanged.train.images))


def test_images_fill_the_box_that_clients_images_fill(tmp_path: Path) -> None:
    write(tmp_path, "", bars(2), [0, 1], test="t10k")

    for image in idx_files.load(Files(tmp_path, ""), AB, ["a", "b"], print).train.images:
        assert np.ptp(np.flatnonzero(image.any(axis=1))) == 19


def test_files_may_be_compressed_and_named_as_those_of_mnist(tmp_path: Path) -> None:
    write(tmp_path, "", bars(2), [0, 1], test="t10k")
    for path in list(tmp_path.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert len(idx_files.load(Files(tmp_path, ""), AB, ["a", "b"], print).test) == 2


def test_a_digest_of_the_recipe_is_compared_and_a_missing_one_told(tmp_path: Path) -> None:
    write(tmp_path, "mine-", bars(2), [0, 1])
    name = "mine-train-images-idx3-ubyte"
    digest = sha256_of((tmp_path / name).read_bytes())
    lines: list[str] = []
    idx_files.load(Files(tmp_path, "mine", sha256={name: digest}), AB, ["a", "b"], lines.append)

    assert f"{name}: digest verified" in lines
    assert any(line.startswith("mine-train-labels-idx1-ubyte: not verified: SHA-256 ") for line in lines)
    with pytest.raises(DataError, match=rf"{name}: SHA-256 is {digest[:12]}…, and data\.sha256 expects 000000000000…"):
        idx_files.load(Files(tmp_path, "mine", sha256={name: "0" * 64}), AB, ["a", "b"], print)


def test_a_digest_for_a_file_that_is_not_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "mine-", bars(2), [0, 1])
    files = Files(tmp_path, "mine", sha256={"mine-train-images": "0" * 64})

    with pytest.raises(
        DataError, match=r"data\.sha256 names mine-train-images, which is not read; read are mine-train-images-"
    ):
        idx_files.load(files, AB, ["a", "b"], print)


def archive(folder: Path) -> Path:
    """All that EMNIST's archive holds of its letters, and nothing loose."""
    write(folder, "emnist-letters-", bars(2), [1, 2])
    with zipfile.ZipFile(folder / idx_files.ARCHIVE, "w") as made:
        for path in sorted(folder.glob("emnist-*")):
            made.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes()))
            path.unlink()
    return folder / idx_files.ARCHIVE


def test_the_archive_of_emnist_is_verified_and_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path)
    monkeypatch.setattr(idx_files, "ARCHIVE_DIGEST", sha256_of(path.read_bytes()))
    lines: list[str] = []
    data = idx_files.load(Files(tmp_path, "emnist-letters"), AB, ["a", "b"], lines.append)

    assert data.test.labels.tolist() == [0, 1]
    assert lines == [f"{path}: digest verified"]


def test_another_archive_is_refused(tmp_path: Path) -> None:
    archive(tmp_path)

    with pytest.raises(DataError, match=r"gzip\.zip is not EMNIST: SHA-256 .* expected fb9bb67e3377…"):
        idx_files.load(Files(tmp_path, "emnist-letters"), AB, ["a", "b"], print)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has neither mine-train-images-idx3-ubyte, raw or as \.gz"):
        idx_files.load(Files(tmp_path, "mine"), AB, ["a", "b"], print)


@pytest.mark.parametrize(
    ("labels", "complaint"), [([0, 2], r"a label is 2; mine has 2, counted from 0"), ([0], r"labels \(1,\); expected")]
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: list[int], complaint: str) -> None:
    write(tmp_path, "mine-", bars(2), labels)

    with pytest.raises(DataError, match=complaint):
        idx_files.load(Files(tmp_path, "mine"), AB, ["a", "b"], print)


def test_images_without_ink_are_left_out_and_counted(tmp_path: Path) -> None:
    images = bars(3)
    images[1] = 0
    write(tmp_path, "mine-", images, [0, 1, 1])
    lines: list[str] = []

    assert idx_files.load(Files(tmp_path, "mine"), AB, ["a", "b"], lines.append).train.labels.tolist() == [0, 1]
    assert "train: 1 images without ink left out" in lines


def test_many_images_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    images = bars(20)
    alone, _ = idx_files.preprocessed(images)
    monkeypatch.setattr(idx_files, "_CHUNK", 3)

    np.testing.assert_array_equal(idx_files.preprocessed(images)[0], alone)


def letters_of_emnist() -> Recipe:
    """The recipe `letters`, from EMNIST instead of Omniglot: the two lines that a user changes."""
    content = load_recipe("letters").text
    for old, new in (('source = "omniglot"', 'source = "idx"'), ('alphabet = "Latin"', 'idx = "emnist-letters"')):
        assert old in content
        content = content.replace(old, new, 1)
    return parse_recipe(content, "test")


def test_a_recipe_of_letters_takes_emnist_from_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "emnist-letters-", bars(52), [number % 26 + 1 for number in range(52)])
    monkeypatch.setenv(idx_files.FOLDER_VARIABLE, str(tmp_path))
    data = sources.load(letters_of_emnist(), tmp_path / "cache", print)

    assert np.bincount(data.train.labels).tolist() == [2] * 26
    assert sorted(data.origin["files"]) == sorted(path.name for path in tmp_path.glob("emnist-*"))


def test_a_label_that_the_files_lack_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "emnist-letters-", bars(25), list(range(1, 26)))
    monkeypatch.setenv(idx_files.FOLDER_VARIABLE, str(tmp_path))

    with pytest.raises(DataError, match="train: no images of label 'z'"):
        sources.load(letters_of_emnist(), tmp_path / "cache", print)


def test_a_recipe_without_a_folder_is_told_where_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(idx_files.FOLDER_VARIABLE, raising=False)

    with pytest.raises(DataError, match=r"source idx needs the folder of its files: data\.folder, or HCR_DATA_DIR"):
        sources.load(letters_of_emnist(), tmp_path / "cache", print)
