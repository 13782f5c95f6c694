"""Labels as names of folders."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from handwriting.labels import NONE_FOLDER, folder_name, label_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXTS)
def test_a_label_comes_back_from_its_folders_name(label: str) -> None:
    assert label_of(folder_name(label)) == unicodedata.normalize("NFC", label)


@given(TEXTS)
def test_a_name_is_one_that_a_folder_can_have(label: str) -> None:
    name = folder_name(label)

    assert not set(name) & {"/", "\0", "\n"}
    assert not name.startswith(".")
    assert name != NONE_FOLDER
