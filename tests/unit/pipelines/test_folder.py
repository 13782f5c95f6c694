"""A folder per label: which pictures become data, and on which side of the split they end."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from handwriting.labels import folder_name
from pipelines.data import folder
from pipelines.errors import DataError


def draw(path: Path, offset: int) -> None:
    """A bar on paper, longer by `offset` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(image).rectangle((20, 10, 26, 20 + offset), fill=0)
    image.save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(20):
        draw(tmp_path / "ä" / f"{number}.png", number)
    for number in range(5):
        draw(tmp_path / "%2F" / f"{number}.png", number + 20)
    return tmp_path


def test_each_label_is_on_both_sides_in_its_share(pictures: Path) -> None:
    data = folder.load(pictures, ["ä", "/"], 0.2, print)

    assert np.bincount(data.train.labels).tolist() == [16, 4]
    assert np.bincount(data.test.labels).tolist() == [4, 1]
    assert data.train.images.shape == (20, 28, 28)
    assert data.train.images.dtype == np.uint8


def test_the_split_depends_on_the_pictures_alone(pictures: Path, tmp_path: Path) -> None:
    before = folder.load(pictures, ["ä", "/"], 0.2, print)
    for number, path in enumerate(sorted((pictures / "ä").iterdir())):
        path.rename(path.with_name(f"renamed-{number:03}.png"))
    after = folder.load(pictures, ["ä", "/"], 0.2, print)

    assert (before.test.images == after.test.images).all()
    assert before.origin == after.origin


def test_equal_pictures_count_once(pictures: Path) -> None:
    (pictures / "ä" / "copy.png").write_bytes((pictures / "ä" / "3.png").read_bytes())

    assert len(folder.load(pictures, ["ä", "/"], 0.2, print).train) == 20


def test_what_cannot_be_read_is_left_out_and_named(pictures: Path) -> None:
    (pictures / "ä" / "broken.png").write_bytes(b"not a picture")
    Image.new("L", (30, 30), 255).save(pictures / "ä" / "blank.png")
    lines: list[str] = []
    data = folder.load(pictures, ["ä", "/"], 0.2, lines.append)

    assert len(data.train) == 20
    assert "2 left out" in lines[0]
    assert "broken.png" in lines[0]
    assert "blank.png" in lines[0]


def test_a_folder_that_is_no_label_is_left_out_and_named(pictures: Path) -> None:
    draw(pictures / "ö" / "1.png", 1)
    lines: list[str] = []
    folder.load(pictures, ["ä", "/"], 0.2, lines.append)

    assert any("left out: ö" in line for line in lines)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [(["ä", "ß"], "label 'ß' has no folder"), (["ä", "e"], "1 different readable pictures; at least 2")],
)
def test_a_label_without_pictures_is_refused(pictures: Path, labels: list[str], complaint: str) -> None:
    draw(pictures / "e" / "1.png", 1)

    with pytest.raises(DataError, match=complaint):
        folder.load(pictures, labels, 0.2, print)


def test_folders_of_one_label_are_one(pictures: Path) -> None:
    for number in range(3):
        draw(pictures / "a\u0308" / f"{number}.png", 30 + number)

    assert len(folder.load(pictures, ["ä", "/"], 0.2, print).train) == 16 + 4 + 2


@pytest.mark.parametrize("label", ["/", "..", ".", "a/b", "50%", "ä"])
def test_a_label_is_its_own_folders_and_no_other(tmp_path: Path, label: str) -> None:
    for number in range(3):
        draw(tmp_path / "loose" / f"{number}.png", number)
    (tmp_path / "pictures" / "b").mkdir(parents=True)

    with pytest.raises(DataError, match="has no folder"):
        folder.load(tmp_path / "pictures", [label, "b"], 0.2, print)
    for number in range(3):
        draw(tmp_path / "pictures" / folder_name(label) / f"{number}.png", number)
        draw(tmp_path / "pictures" / "b" / f"{number}.png", 9 + number)
    assert len(folder.load(tmp_path / "pictures", [label, "b"], 0.2, print).train) == 4


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone is no folder"):
        folder.load(tmp_path / "gone", ["a", "b"], 0.2, print)


def test_the_folders_of_merged_characters_are_the_labels_too(pictures: Path) -> None:
    for number in range(10):
        draw(pictures / "Ä" / f"{number}.png", number + 30)

    both = folder.load(pictures, ["ä", "/"], 0.2, print, {"ä": ["Ä"]})
    alone = folder.load(pictures, ["Ä", "/"], 0.2, print, {"Ä": ["Æ"]})

    assert np.bincount(both.train.labels).tolist() == [24, 4]
    assert np.bincount(alone.train.labels).tolist() == [8, 4]


def test_a_label_may_lie_in_the_folder_of_a_merged_character_alone(pictures: Path) -> None:
    assert len(folder.load(pictures, ["Ä", "/"], 0.2, print, {"Ä": ["ä"]}).train) == 20
