"""Whatever a file or a variable holds: a configuration or one McError, and never a defect."""

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.config.load import Loaded, load
from nodeagent.config.model import Config
from nodeagent.config.options import options
from nodeagent.config.toml import as_toml

NODE = {"id": "0" * 16, "name": "a", "cluster": "c", "cloud": "aws", "region": "r"}
NAMES = sorted({part for key in options() for part in key.split(".")} | {"api", "network"})
SECTIONS = sorted(Config.model_fields)

SCALARS = (
    st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["h:1", "/x", "info", "", "0.0.0.0:7443", "http://x:1", "a" * 300])
)
KEYS = st.sampled_from(NAMES) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TREES = st.dictionaries(
    st.sampled_from(SECTIONS) | st.text(max_size=5),
    st.dictionaries(KEYS, VALUES, max_size=4) | VALUES,
    max_size=4,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "nodeagent.toml"


def judged(path: Path, text: str, env: dict[str, str]) -> Loaded | McError:
    path.write_text(text)
    try:
        return load(path, env, {})
    except McError as error:
        refused = error
    assert refused.faults, "refused without a reason"
    assert all(fault.field and fault.rule for fault in refused.faults)
    return refused


@given(tree=TREES)
def test_any_values_anywhere_are_taken_or_refused(path: Path, tree: dict[str, Any]) -> None:
    own = {**NODE, **tree["node"]} if isinstance(tree.get("node"), dict) else NODE
    rows = [f"{as_toml(key)} = {as_toml(value)}\n" for key, value in {**tree, "node": own}.items()]
    judged(path, "".join(rows), {})


@given(
    st.dictionaries(
        st.sampled_from([o.variable for o in options().values()]), st.text(max_size=12), max_size=3
    )
)
def test_any_text_in_a_variable_is_taken_or_refused(path: Path, env: dict[str, str]) -> None:
    judged(path, f"node = {as_toml(NODE)}", env)


@given(st.text(alphabet="[]{}=.,#\"'\n\\ anode1", max_size=60))
def test_any_text_in_the_file_is_taken_or_refused(path: Path, text: str) -> None:
    judged(path, text, {})


@pytest.mark.parametrize("value", [date(2026, 11, 20), time(1, 2), [[]], {"a": {}}])
def test_a_scalar_where_a_section_belongs_and_a_variable_below_it(
    path: Path, value: object
) -> None:
    shown = str(value) if isinstance(value, (date, time)) else as_toml(value)
    error = judged(
        path, f"limits = {shown}\nnode = {as_toml(NODE)}", {"MC_LIMITS__DEADLINE_S_MAX": "5"}
    )
    assert isinstance(error, McError)
    assert error.faults[0].where.startswith(str(path))
