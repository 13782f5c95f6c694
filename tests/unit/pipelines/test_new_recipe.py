"""A recipe from a folder of pictures: what is found, told, and written."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw

from hcr.main import cli
from pipelines.errors import DataError, RecipeError
from pipelines.new_recipe import recipe_text, survey, warnings
from pipelines.recipe import Recipe, load_recipe, parse_recipe


def draw(folder: Path, count: int) -> None:
    """So many different pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = Image.new("L", (60, 60), 255)
        ImageDraw.Draw(image).rectangle((20, 10, 26 + number % 20, 30 + number // 20), fill=0)
        image.save(folder / f"{number}.png")


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, count in {"ㄱ": 40, "Ж": 3, "%2F": 24, "ch": 25}.items():
        draw(tmp_path / "pictures" / name, count)
    return Path("pictures")


def recipe_of(folder: Path) -> Recipe:
    return parse_recipe(recipe_text("signs", survey(folder)), "test")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["new-recipe", *arguments])


def test_the_written_recipe_has_every_label_and_all_presets(pictures: Path) -> None:
    result = run("signs", "--data", str(pictures))

    assert result.exit_code == 0, result.output
    recipe = load_recipe(Path("signs.toml"))
    assert recipe.name == "signs"
    assert recipe.labels == ("/", "ch", "Ж", "ㄱ")
    assert (recipe.data.source, recipe.data.folder) == ("folder", "pictures")
    assert set(recipe.presets) == {"default", "quick", "best"}
    assert "signs.toml: 4 labels, 92 pictures, 3 to 40 of each" in result.stdout
    assert "hcr train signs.toml" in result.stdout


def test_labels_are_composed_and_folders_of_one_label_are_one(pictures: Path) -> None:
    draw(pictures / "n\u0303", 3)
    draw(pictures / "\u00f1", 5)

    found = survey(pictures)

    assert found.counts["\u00f1"] == 5  # the three are also among the five, and equal pictures count once
    assert "n\u0303" not in found.counts


def test_hidden_folders_are_no_labels(pictures: Path) -> None:
    draw(pictures / ".thumbnails", 5)

    assert ".thumbnails" not in survey(pictures).counts


def test_a_label_with_fewer_than_two_readable_pictures_is_left_out_and_told(pictures: Path) -> None:
    draw(pictures / "ö", 1)
    (pictures / "ö" / "broken.png").write_bytes(b"no picture")
    (pictures / "empty").mkdir()

    found = survey(pictures)

    told = "\n".join(warnings(found))
    assert not {"ö", "empty"} & set(found.counts)
    assert "left out, with fewer than 2 different readable pictures: empty (0), ö (1)" in told
    assert "not readable: ö/broken.png (" in told


def test_few_pictures_and_unequal_counts_are_told(pictures: Path) -> None:
    told = "\n".join(warnings(survey(pictures)))

    assert "fewer than 20 pictures, so what the test says about them is uncertain: Ж (3)" in told
    assert "unequal counts, from 3 to 40" in told


def test_nothing_is_told_where_nothing_is_odd(pictures: Path) -> None:
    shutil.rmtree(pictures / "Ж")

    assert warnings(survey(pictures)) == []


def test_few_pictures_get_copies_a_small_network_and_loose_gates(pictures: Path) -> None:
    few = recipe_of(pictures)

    assert few.data.restyled == 20 * 92
    assert few.preset("default").network.channels == (16, 32, 64)
    assert few.preset("default").training.epochs > few.preset("quick").training.epochs
    assert few.gates.recall == 0


def test_many_pictures_get_a_larger_network_fewer_epochs_and_gates_that_bite(pictures: Path) -> None:
    few = recipe_of(pictures)
    for name in ("A", "B", "C", "D"):
        draw(pictures / name, 600)

    many = recipe_of(pictures)

    assert many.preset("default").network.channels == (24, 48, 96)
    assert many.preset("default").training.epochs < few.preset("default").training.epochs
    assert many.gates.recall > 0
    assert many.gates.ece < few.gates.ece


def test_fonts_join_only_where_the_bundled_ones_have_every_label(pictures: Path, tmp_path: Path) -> None:
    draw(tmp_path / "letters" / "A", 4)
    draw(tmp_path / "letters" / "b", 4)

    assert recipe_of(tmp_path / "letters").data.fonts == 200
    assert recipe_of(pictures).data.fonts == 0


def test_an_existing_file_is_kept_unless_it_is_to_be_overwritten(pictures: Path) -> None:
    Path("signs.toml").write_text("mine")

    refused = run("signs", "--data", str(pictures))
    kept = Path("signs.toml").read_text()
    forced = run("signs", "--data", str(pictures), "--force")
    elsewhere = run("signs", "--data", str(pictures), "--out", "deep/other.toml")

    assert refused.exit_code == 1
    assert "signs.toml is there already; --force overwrites it" in refused.output
    assert kept == "mine"
    assert forced.exit_code == elsewhere.exit_code == 0
    assert load_recipe(Path("signs.toml")) == load_recipe(Path("deep/other.toml"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("Signs", "--data", "pictures"), "name is 'Signs'; a lower-case letter, then"),
        (("signs", "--data", "gone"), "gone is no folder; expected one with a folder per label"),
        (("signs", "--data", "pictures/ch"), "pictures/ch holds no folders; expected one per label with its pictures in it"),
        (("signs", "--data", "pictures", "--out", "pictures/ch/0.png/x"), "x cannot be written: "),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(pictures: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 1
    assert complaint in result.output
    assert "Traceback" not in result.output


def test_one_label_or_two_pictures_of_each_are_too_few(tmp_path: Path) -> None:
    draw(tmp_path / "A", 9)
    with pytest.raises(DataError, match=r"1 labels with at least 2 different readable pictures: A \(9\)"):
        survey(tmp_path)

    shutil.rmtree(tmp_path / "A")
    draw(tmp_path / "A", 2)
    draw(tmp_path / "B", 2)
    with pytest.raises(DataError, match="one of them with 3 pictures"):
        survey(tmp_path)


def test_a_name_of_a_recipe_of_the_project_is_told(pictures: Path) -> None:
    result = run("digits", "--data", str(pictures))

    assert result.exit_code == 0
    assert "digits is also a recipe of the project" in result.output


@pytest.mark.parametrize("label", ['"', "\\", "{x}", "#", "'", "%25", "a b", "🙂"])
def test_labels_that_toml_could_misread_come_through(pictures: Path, label: str) -> None:
    draw(pictures / label, 3)

    assert (label if label != "%25" else "%") in recipe_of(pictures).labels


def test_a_name_that_is_too_long_is_refused(pictures: Path) -> None:
    with pytest.raises(RecipeError, match="63 at most"):
        recipe_text("a" * 64, survey(pictures))
