"""Our YAML is read back as what it was by a real YAML reader."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcctl import yaml

reader = pytest.importorskip("yaml")

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(string.printable)
    | st.sampled_from(
        ["yes", "No", "null", "~", "1e3", "0x1", "1:2", "- a", "a: b", "#", "2026-01-01"]
    )
)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    assert reader.safe_load(yaml.dump(value)) == value


def test_it_looks_like_what_people_write() -> None:
    value = {"nodes": [{"name": "aws-a", "rtt_ms": 1.5, "up": True}], "address": "a:1", "none": []}
    assert yaml.dump(value) == (
        'nodes:\n- name: aws-a\n  rtt_ms: 1.5\n  up: true\naddress: "a:1"\nnone: []\n'
    )
