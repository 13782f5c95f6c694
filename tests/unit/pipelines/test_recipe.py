"""Recipes: what is accepted, and what the message says where it is not."""

from pathlib import Path

import pytest

from pipelines.errors import RecipeError
from pipelines.recipe import FOLDER, load_recipe, parse_recipe, recipe_names

DIGITS = (FOLDER / "digits.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_the_three_presets(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.name == name
    assert {"default", "quick", "best"} <= set(recipe.presets)


def test_a_preset_is_the_common_part_with_its_own_changes() -> None:
    recipe = load_recipe("digits")

    assert recipe.preset("quick").training.epochs < recipe.preset("default").training.epochs
    assert recipe.preset("quick").training.weight_decay == recipe.preset("default").training.weight_decay


def test_a_recipe_is_found_by_name_by_path_and_by_text(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(DIGITS, encoding="utf-8")

    assert (
        load_recipe("digits")
        == load_recipe(tmp_path / "mine.toml")
        == load_recipe(str(tmp_path / "mine.toml"))
        == load_recipe(DIGITS)
    )


def test_an_unknown_recipe_is_answered_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'digit'; there are .*digits"):
        load_recipe("digit")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("seed = 1", "seed = -1", r"mine: seed is -1; expected a whole number from 0"),
        ("seed = 1", "seed = true", r"mine: seed is True; expected a whole number"),
        ("seed = 1", "sead = 1", r"mine: unknown key sead; known are name, labels, seed, keep"),
        ("seed = 1", "", r"mine: seed is missing"),
        (
            "batch = 128",
            "batch = 1.5",
            r"mine: presets\.default\.training\.batch is 1\.5; expected a whole number from 1 to 4096",
        ),
        ('source = "mnist"', 'source = "nist"', r"mine: data\.source is 'nist'; expected one of mnist, folder"),
        (
            "validation = 0.05",
            'alphabet = "latin"\nvalidation = 0.05',
            r"alphabet is 'latin'; expected one of Greek, Korean, Latin",
        ),
        ("validation = 0.05", 'idx = "../x"\nvalidation = 0.05', r"data\.idx is '\.\./x'; expected a string that matches"),
        (
            "[data]",
            '[data]\nsha256 = { a = "12" }',
            r"data\.sha256 is .*; expected a table of strings that match \[0-9a-f\]\{64\}",
        ),
        ("[data]", '[merged]\na = ["A"]\n[data]', r"mine: merged\.a: no such label; labels are 0, 1"),
        ("[data]", '[merged]\n0 = "O"\n[data]', r"mine: merged\.0 is 'O'; expected a list of non-empty strings"),
        ("[data]", '[merged]\n0 = ["1"]\n[data]', r"mine: merged\.0: '1' is a label or merged already"),
        ("[data]", '[merged]\n0 = ["O"]\n8 = ["O"]\n[data]', r"mine: merged\.8: 'O' is a label or merged already"),
        ("seed = 1", "seed = 1\nmerged = 1", r"mine: merged is 1; expected a table of labels, each with a list of characters"),
        ('"0", "1"', '"1", "1"', r"mine: labels is \['1', '1'.*different"),
        ('"0", "1"', '0, "1"', r"mine: labels is .*; expected a list of at least two different, non-empty strings"),
        ("accuracy = 0.99", "accuracy = 99", r"mine: gates\.accuracy is 99; expected a number from 0 to 1"),
        ("[32, 64, 128]", "[32, 64]", r"presets\.default\.network\.channels is \[32, 64\]; expected a list of 3 whole numbers"),
        ("[augmentation]", "[augmentations]", r"mine: \[augmentation\] is missing"),
        ('name = "digits"', 'name = "../digits"', r"mine: name is '\.\./digits'; expected a string that matches"),
        ("averaging = false", "averaging = 0", r"averaging is 0; expected true or false"),
        ('"0", "1"', '"a\\n", "1"', r"mine: labels is .* without control characters"),
        ('"0", "1"', '"\u00f1", "n\u0303", "1"', r"mine: labels is .*different"),
        ("[gates]", "[patterns]\nDE = '('\n[gates]", r"mine: patterns\.DE: the pattern holds '\('"),
        ("[gates]", "[patterns]\nDE = 7\n[gates]", r"mine: patterns\.DE is 7; expected a pattern"),
        ("[gates]", "[patterns]\n'D E' = '.'\n[gates]", r"mine: patterns\.D E: a name has up to 32 letters"),
        ("seed = 1", "seed = 1\npatterns = 7", r"mine: patterns is 7; expected a table"),
        ("seed = 1", "seed = 1\nfield = 'road'", r"mine: field is 'road'; expected one of paper, panel"),
        (
            "validation = 0.05",
            "validation = 0.05\nfont_set = 'x'",
            r"data\.font_set is 'x'; expected one of handwriting, plates",
        ),
        ("[gates]", "[gates", r"mine: no TOML: .*line"),
        (
            "[presets.default]",
            "[presets.default]\nspeed = 1",
            r"mine: presets\.default: .*expected tables among data, network, training, augmentation",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(old: str, new: str, complaint: str) -> None:
    assert old in DIGITS

    with pytest.raises(RecipeError, match=complaint):
        parse_recipe(DIGITS.replace(old, new, 1), "mine")


def test_labels_are_composed() -> None:
    recipe = parse_recipe(DIGITS.replace('"0", "1"', '"n\u0303", "ch"', 1), "mine")

    assert recipe.labels[:2] == ("\u00f1", "ch")


def test_the_characters_are_the_labels_and_then_what_is_merged_into_them() -> None:
    recipe = parse_recipe(DIGITS.replace("[data]", '[merged]\n9 = ["g", "q"]\n0 = ["○"]\n[data]', 1), "mine")

    assert list(recipe.characters)[:10] == list(recipe.labels)
    assert list(recipe.characters.items())[10:] == [("g", 9), ("q", 9), ("○", 0)]
    assert list(load_recipe("digits").characters) == list(load_recipe("digits").labels)


@pytest.mark.parametrize("name", recipe_names())
def test_no_recipe_tells_capitals_from_small_letters_that_look_the_same(name: str) -> None:
    labels = set(load_recipe(name).labels)

    assert not {one for one in "cosuvwxz" if {one, one.upper()} <= labels}


def test_an_unknown_preset_is_answered_with_those_that_exist() -> None:
    with pytest.raises(RecipeError, match="recipe digits has no preset 'fast'; it has default, quick, best"):
        load_recipe("digits").preset("fast")
