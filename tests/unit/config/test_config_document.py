"""The committed file, the schema and the explanation all say what the model says."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicloud.resources import resource
from nodeagent.config.document import document, schema
from nodeagent.config.explain import explain
from nodeagent.config.load import load
from nodeagent.config.model import Config
from nodeagent.config.options import options
from nodeagent.config.reload import value_of
from nodeagent.config.toml import as_file, as_toml


def uncommented() -> str:
    return re.sub(r"(?m)^#(?=\w)", "", document())


def test_the_committed_file_is_the_rendered_one() -> None:
    """Else: python -m nodeagent.config.document > config/nodeagent.toml"""
    assert resource("config/nodeagent.toml").read_text() == document()


def test_with_everything_turned_on_the_file_loads_and_equals_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(uncommented())
    loaded = load(path, {}, {})
    for key, option in options().items():
        wanted = option.example if option.required else option.default
        assert value_of(loaded.config, key) == wanted
        if not option.entry:
            assert loaded.origins[key].startswith(f"{path}:"), key


@pytest.mark.parametrize("example", ["advertise", "clouds.endpoints", "dev.peers"])
def test_the_examples_of_tables_load(tmp_path: Path, example: str) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(re.sub(r"(?m)^#(?=\w|     )", "", document()))
    assert len(value_of(load(path, {}, {}).config, example)) == 1


def test_every_option_has_a_reason_and_every_figure_has_limits() -> None:
    for key, option in options().items():
        assert option.why.endswith("."), key
        if option.kind in (int, float, list):
            assert option.limits, key


def test_explain_gives_each_value_as_toml_with_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(uncommented())
    values = {value.key: value for value in explain(load(path, {"MC_JOIN__PEERS": "[]"}, {}))}
    assert list(values) == list(options())
    for key, value in values.items():
        read = tomllib.loads(f"value = {value.value}")["value"]
        assert read == json.loads(json.dumps(value_of(Config(**plain()), key), default=str))
    assert values["join.peers"].origin == "MC_JOIN__PEERS"
    assert not values["join.peers"].needs_restart
    assert values["listen.api"].needs_restart


def plain() -> dict[str, Any]:
    return {"node": {o.key[5:]: o.example for o in options().values() if o.required}}


def test_the_schema_refuses_unknown_keys_everywhere_and_describes_every_option() -> None:
    made = json.loads(json.dumps(schema()))
    assert made["additionalProperties"] is False
    for name, definition in made["$defs"].items():
        assert definition["additionalProperties"] is False, name
        for key, option in definition["properties"].items():
            assert option["description"], key
    limit = made["$defs"]["Limits"]["properties"]["message_bytes_max"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1 << 20, 16 << 20, 4 << 20)


VALUES = st.recursive(
    st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), VALUES, max_size=3), max_size=3))
def test_what_is_written_as_toml_reads_back(tree: dict[str, dict[str, Any]]) -> None:
    assert tomllib.loads(f"value = {as_toml(tree)}")["value"] == tree
    sections = {
        name: content for name, content in tree.items() if name.isidentifier() and name.isascii()
    }
    assert tomllib.loads(as_file({**sections, "entries": [{"a": 1}, {"a": 2}]})) == {
        **sections,
        "entries": [{"a": 1}, {"a": 2}],
    }
