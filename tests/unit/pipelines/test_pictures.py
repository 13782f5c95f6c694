"""Labelled pictures: which are found in the two layouts, and which of them can be read."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from pipelines.data import pictures
from pipelines.data.pictures import Found
from pipelines.errors import DataError


def draw(path: Path) -> Path:
    """A bar on paper."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(image).rectangle((20, 10, 26, 40), fill=0)
    image.save(path)
    return path


def told(found: Found) -> list[tuple[str, str, str]]:
    return [(picture.source, picture.label, picture.name) for picture in found.pictures]


def test_a_folder_is_a_label(tmp_path: Path) -> None:
    for name in ("7/a.png", "ä/b.png", "%2F/c.png", "木/d.jpg"):
        draw(tmp_path / "numbers" / name)

    assert told(pictures.find(tmp_path / "numbers")) == [
        ("numbers", "/", "%2F/c.png"),
        ("numbers", "7", "7/a.png"),
        ("numbers", "ä", "ä/b.png"),
        ("numbers", "木", "木/d.jpg"),
    ]


def test_folders_above_the_labels_are_sources(tmp_path: Path) -> None:
    for name in ("photo/7/a.png", "scan/2026/7/a.png", "scan/2027/1/a.png"):
        draw(tmp_path / name)

    assert told(pictures.find(tmp_path)) == [
        ("photo", "7", "photo/7/a.png"),
        ("scan/2026", "7", "scan/2026/7/a.png"),
        ("scan/2027", "1", "scan/2027/1/a.png"),
    ]


def test_decomposed_labels_are_composed(tmp_path: Path) -> None:
    draw(tmp_path / "a\u0308" / "1.png")

    assert pictures.find(tmp_path).pictures[0].label == "ä"


def test_what_is_in_no_labels_folder_is_counted(tmp_path: Path) -> None:
    for name in ("7/a.png", "stray.png", ".thumbnails/7/a.png", "7/._a.png"):
        draw(tmp_path / name)
    (tmp_path / "7" / "notes.txt").write_text("no picture")
    found = pictures.find(tmp_path)

    assert [picture.name for picture in found.pictures] == ["7/a.png"]
    assert found.left_out == {"pictures in no label's folder": 1}


def test_a_table_names_labels_and_sources(tmp_path: Path) -> None:
    table = "path,label,source,kind\nx/1.png,ä,photo,single\nx/2.png,木,,\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8-sig")

    assert told(pictures.find(tmp_path)) == [("photo", "ä", "x/1.png"), (tmp_path.name, "木", "x/2.png")]


def test_a_table_tells_characters_fields_and_outliers_apart(tmp_path: Path) -> None:
    rows = ["1.png,7,single", "2.png,12,strings", "3.png,,none", "4.png,,none", "5.png,x,page"]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,kind", *rows]))
    found = pictures.find(tmp_path)

    assert [picture.label for picture in found.pictures] == ["7"]
    assert [(picture.label, picture.name) for picture in found.fields] == [("12", "2.png")]
    assert [(picture.label, picture.name) for picture in found.outliers] == [("", "3.png"), ("", "4.png")]
    assert found.left_out == {"rows of kind page": 1}


def test_a_folder_of_that_name_holds_outliers_unless_it_is_encoded(tmp_path: Path) -> None:
    for name in ("_none/a.png", "photo/_none/b.png", "%5Fnone/c.png"):
        draw(tmp_path / name)
    found = pictures.find(tmp_path)

    assert [(picture.source, picture.name) for picture in found.outliers] == [
        ("photo", "photo/_none/b.png"),
        (tmp_path.name, "_none/a.png"),
    ]
    assert told(found) == [(tmp_path.name, "_none", "%5Fnone/c.png")]


def test_a_table_needs_no_more_than_path_and_label(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text('label,path\n"a, b",1.png\n')

    assert told(pictures.find(tmp_path)) == [(tmp_path.name, "a, b", "1.png")]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (b"file,label\n1.png,7\n", "has the columns file, label; at least path and label"),
        (b"path,label\n1.png,7\n2.png,\n", "line 3: no label"),
        (b"path,label\n,7\n", "line 2: no path"),
        (b"path,label,kind\n1.png,7,single\n2.png,7,none\n", "line 3: label '7'; kind none has no label"),
        (b"path,label,kind\n1.png,,strings\n", "line 2: no label"),
        (b"path,label\n1.png,\xe4\n", "cannot be read as UTF-8 CSV"),
        (b'path,label\n"1.png,7\n', "cannot be read as UTF-8 CSV"),
        (b"", "at least path and label"),
        (b"path,label\n", "holds no labelled pictures"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, table: bytes, complaint: str) -> None:
    (tmp_path / "labels.csv").write_bytes(table)

    with pytest.raises(DataError, match=complaint):
        pictures.find(tmp_path)


def test_an_empty_folder_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder per label"):
        pictures.find(tmp_path)


def test_pictures_without_labels_are_refused_as_such(tmp_path: Path) -> None:
    draw(tmp_path / "1.png")

    with pytest.raises(DataError, match="no labelled pictures, but 1 pictures in no label's folder; expected"):
        pictures.find(tmp_path)


def test_what_cannot_be_read_is_kept_with_its_reason(tmp_path: Path) -> None:
    draw(tmp_path / "7" / "good.png")
    (tmp_path / "7" / "broken.png").write_bytes(b"not a picture")
    Image.new("L", (30, 30), 255).save(tmp_path / "7" / "blank.png")
    (tmp_path / "labels.csv").write_text(
        "path,label\n" + "".join(f"7/{n}.png,7\n" for n in ("good", "broken", "blank", "gone"))
    )
    done: list[int] = []
    seen, images, unread = pictures.read(pictures.find(tmp_path).pictures, done.append)

    assert [picture.name for picture in seen] == ["7/good.png"]
    assert images.shape == (1, 28, 28)
    assert [item.picture.name for item in unread] == ["7/blank.png", "7/broken.png", "7/gone.png"]
    assert "no image" in unread[1].reason
    assert unread[2].reason == "No such file or directory"
    assert [item.is_blank for item in unread] == [True, False, False]
    assert done == [1, 2, 3, 4]
