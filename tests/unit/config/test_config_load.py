"""Precedence, origins, and what the layers may say."""

from pathlib import Path

import pytest

from multicloud.errors import FieldFault, McError
from nodeagent.config.load import Loaded, load

NODE = """[node]
id = "0123456789abcdef"
name = "aws-a"
cluster = "prod"
cloud = "aws"
region = "us-east-1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "nodeagent.toml"
    path.write_text(text)
    return path


def faults_of(path: Path | None, env: dict[str, str], flags: dict[str, str]) -> list[FieldFault]:
    with pytest.raises(McError) as caught:
        load(path, env, flags)
    assert caught.value.reason == "CONFIG_INVALID"
    return list(caught.value.faults)


def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(tmp_path: Path) -> None:
    text = NODE + "[limits]\ncontrol_calls_burst = 60\ndeadline_s_max = 61\nstream_stall_s = 62\n"
    path = written(tmp_path, text)
    env = {"MC_LIMITS__DEADLINE_S_MAX": "71", "MC_LIMITS__STREAM_STALL_S": "72"}
    loaded = load(path, env, {"limits.stream_stall_s": "82"})
    limits = loaded.config.limits
    assert limits.connection_idle_s == 300
    assert limits.control_calls_burst == 60
    assert limits.deadline_s_max == 71
    assert limits.stream_stall_s == 82
    assert loaded.origins["limits.connection_idle_s"] == "default"
    assert loaded.origins["limits.control_calls_burst"] == f"{path}:8"
    assert loaded.origins["limits.deadline_s_max"] == "MC_LIMITS__DEADLINE_S_MAX"
    assert loaded.origins["limits.stream_stall_s"] == "--set limits.stream_stall_s"


def test_a_file_is_found_by_the_variable_and_the_argument_wins(tmp_path: Path) -> None:
    path = written(tmp_path, NODE)
    assert load(None, {"MC_CONFIG": str(path)}, {}).path == path
    assert load(path, {"MC_CONFIG": "/nowhere"}, {}).path == path


def test_without_any_file_variables_are_enough(tmp_path: Path) -> None:
    env = {
        "MC_NODE__ID": "1234567890123456",  # Digits only, and yet text.
        "MC_NODE__NAME": "a",
        "MC_NODE__CLUSTER": "c",
        "MC_NODE__CLOUD": "aws",
        "MC_NODE__REGION": '"r"',
        "MC_NODE__FOUNDER": "true",
        "MC_JOIN__PEERS": '["10.0.0.1:7443"]',
        "MC_ADVERTISE": '[{ network = "public", api = "203.0.113.5:7443" }]',
    }
    flags = {"node.state_dir": str(tmp_path), "identity.dir": str(tmp_path)}
    config = load(Path("/dev/null"), env, flags).config
    assert (config.node.id, config.node.region) == ("1234567890123456", "r")
    assert config.node.founder
    assert config.join.peers == ["10.0.0.1:7443"]
    assert config.advertise[0].api == "203.0.113.5:7443"


def test_a_path_that_depends_on_the_working_directory_is_refused() -> None:
    (fault, *_) = faults_of(Path("nodeagent.toml"), {}, {})
    assert "absolute" in fault.rule
    (fault, *_) = faults_of(None, {"MC_CONFIG": "nodeagent.toml"}, {})
    assert "absolute" in fault.rule


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MC_LIMITS__DEADLINE_MAX_S", "MC_LIMITS__DEADLINE_S_MAX"),
        ("MC_LIMITS_DEADLINE_S_MAX", "MC_LIMITS__DEADLINE_S_MAX"),
        ("MC_LIMIT__DEADLINE_S_MAX", "MC_LIMITS__DEADLINE_S_MAX"),
        ("MC_NODE__LOG_LEVEL", "MC_TELEMETRY__LOG_LEVEL"),
        ("MC_FOO__BAR", ""),
    ],
)
def test_a_variable_that_looks_like_an_option_is_refused(
    tmp_path: Path, name: str, nearest: str
) -> None:
    (fault,) = faults_of(written(tmp_path, NODE), {name: "1"}, {})
    assert (fault.field, fault.where, fault.nearest) == (name, "environment", nearest)


def test_other_variables_of_ours_are_left_alone(tmp_path: Path) -> None:
    names = "MC_CONTEXT MC_DEV_DIR MC_CA_PASSPHRASE_FILE MC_CONFIG MC_REQUIRE MC_NODE MC_DEBUG"
    path = written(tmp_path, NODE)
    assert load(path, dict.fromkeys(names.split(), str(path)), {}).config.node.name == "aws-a"


def test_a_bad_value_of_a_variable_or_a_flag_names_it(tmp_path: Path) -> None:
    env = {"MC_LIMITS__DEADLINE_S_MAX": "soon", "MC_NODE__FOUNDER": "yes"}
    faults = faults_of(written(tmp_path, NODE), env, {"audit.head_every_s": "0"})
    assert {(f.where, f.field) for f in faults} == {
        ("MC_LIMITS__DEADLINE_S_MAX", "limits.deadline_s_max"),
        ("MC_NODE__FOUNDER", "node.founder"),
        ("--set audit.head_every_s", "audit.head_every_s"),
    }


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    identity.mkdir()
    key = identity / "node.key"
    key.write_text("secret")
    key.chmod(0o640)
    path = written(tmp_path, NODE + f'[identity]\ndir = "{identity}"\n')
    with pytest.raises(McError) as caught:
        load(path, {}, {})
    assert caught.value.reason == "SECRET_EXPOSED"
    assert caught.value.faults[0].where == str(key)
    assert f"chmod 600 {key}" in caught.value.faults[0].rule
    key.chmod(0o600)
    assert isinstance(load(path, {}, {}), Loaded)


def test_without_a_file_in_the_usual_place_it_says_how_to_get_one() -> None:
    if Path("/etc/multicloud/nodeagent.toml").exists():
        pytest.skip("this machine has a node installed")
    assert any("nodeagentd install" in fault.rule for fault in faults_of(None, {}, {}))
