"""What is taken for JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.strict_json import InvalidJson, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(VALUES, st.booleans())
def test_what_was_written_is_read(value: Any, is_escaped: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=is_escaped).encode()) == value


@given(st.dictionaries(TEXTS, VALUES, min_size=1), st.booleans(), st.data())
def test_a_key_that_comes_twice_is_refused_wherever_it_is(value: dict[str, Any], is_escaped: bool, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    written = json.dumps(value, ensure_ascii=is_escaped)
    again = f"{written[:-1]}, {json.dumps(key, ensure_ascii=is_escaped)}: {json.dumps(data.draw(VALUES))}}}"

    with pytest.raises(InvalidJson, match="twice"):
        parse(f'[{{"a": {again}}}]'.encode())
