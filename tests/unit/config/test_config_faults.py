"""Bad configurations by the dozen: each is refused with its line, key, rule and nearest right key."""
# ruff: noqa: E501  One case, one line.

from pathlib import Path

import pytest

from multicloud.errors import FieldFault, McError
from nodeagent.config.load import FILE_BYTES_MAX, load

NODE = """[node]
id = "0123456789abcdef"
name = "aws-a"
cluster = "prod"
cloud = "aws"
region = "us-east-1"
"""  # Six lines: what a case adds begins on line 7.


def refused(path: Path) -> tuple[FieldFault, ...]:
    with pytest.raises(McError) as caught:
        load(path, {}, {})
    assert caught.value.reason == "CONFIG_INVALID"
    assert str(path) in caught.value.message
    return caught.value.faults


# What is added, then of the one fault: line, key, a part of the rule, nearest.
CASES = [
    # Unknown keys
    ("[limits]\nstream_stal_s = 1", 8, "limits.stream_stal_s", "not an option", "limits.stream_stall_s"),
    ("zoen = 'a'", 7, "node.zoen", "not an option", "node.zone"),
    ("[limts]\nx = 1", 7, "limts", "not an option", "limits"),
    ("[listen]\nlog_level = 'info'", 8, "listen.log_level", "not an option", "telemetry.log_level"),
    ("[listen]\nqqqqq = 1", 8, "listen.qqqqq", "not an option", ""),
    ("[zzzzzz]", 7, "zzzzzz", "not an option", ""),
    ("[join]\n'peers ' = []", 8, 'join."peers "', "not an option", "join.peers"),
    ("'' = 1", 7, 'node.""', "not an option", ""),
    ("\"a\\u001b\" = 1", 7, 'node."a\\u001b"', "not an option", ""),
    ("limits.a = 1", 7, "node.limits", "not an option", ""),
    ("[[advertise]]\nnetwork = 'x'\napi = 'h:1'\nwach = 'h:2'", 10, "advertise[0].wach", "not an option", "advertise[0].watch"),
    ("[dev.peers.q]\napi = 'h:1'\nwatch = 'h:2'\nhttp = 'h:3'", 10, "dev.peers.q.http", "not an option", "listen.http"),
    # Wrong types
    ("[limits]\nstreams_per_connection_max = '64'", 8, "limits.streams_per_connection_max", "whole number (4 to 1024), and is text of 2 characters", ""),
    ("[limits]\nstreams_per_connection_max = 64.5", 8, "limits.streams_per_connection_max", "whole number", ""),
    ("[limits]\nstreams_per_connection_max = true", 8, "limits.streams_per_connection_max", "and is true", ""),
    ("[limits]\ndeadline_s_max = '60s'", 8, "limits.deadline_s_max", "must be a number (1 s to 600 s), and is text of 3 characters", ""),
    ("founder = 1", 7, "node.founder", "true or false, and is 1", ""),
    ("founder = 'yes'", 7, "node.founder", "true or false, and is text of 3 characters", ""),
    ("zone = 1", 7, "node.zone", "text in quotes", ""),
    ("state_dir = 1", 7, "node.state_dir", "absolute path", ""),
    ("[join]\npeers = 'h:1'", 8, "join.peers", "must be a list", ""),
    ("[join]\npeers = ['h:1',\n1]", 9, "join.peers[1]", "text in quotes", ""),
    ("[advertise]\nnetwork = 'x'", 7, "advertise", "must be a list", ""),
    ("[dev]\npeers = []", 8, "dev.peers", "must be a table", ""),
    ("[dev.peers]\nq = 'h:1'", 8, "dev.peers.q", "table of options", ""),
    ("[audit]\nhead_every_s = 2026-11-20", 8, "audit.head_every_s", "and is a date", ""),
    ("[audit]\nhead_every_s = [10]", 8, "audit.head_every_s", "and is a list of 1", ""),
    ("[audit]\nhead_every_s = {s = 10}", 8, "audit.head_every_s", "and is a table", ""),
    # Out of range
    ("[limits]\nmessage_bytes_max = 1", 8, "limits.message_bytes_max", "must be 1 MiB to 16 MiB, and is 1", ""),
    ("[limits]\nmessage_bytes_max = 99999999999999999999999", 8, "limits.message_bytes_max", "a very large figure", ""),
    ("[limits]\nmessage_bytes_max = -1", 8, "limits.message_bytes_max", "and is -1", ""),
    ("[limits]\n\n# remark\n handshake_timeout_s  = 0", 10, "limits.handshake_timeout_s", "0.5 s to 30 s, and is 0", ""),
    ("[audit]\nhead_every_s = nan", 8, "audit.head_every_s", "finite", ""),
    ("[audit]\nhead_every_s = inf", 8, "audit.head_every_s", "finite", ""),
    ("[join]\ngreet_every_s = 2.5", 8, "join.greet_every_s", "0.1 s to 2 s, and is 2.5", ""),
    ("[join]\npeers = [" + "'h:1'," * 65 + "]", 8, "join.peers", "at most 64 entries, and is a list of 65", ""),
    # Wrong shape
    ("zone = 'A b'", 7, "node.zone", "and is text of 3 characters", ""),
    ("state_dir = 'var'", 7, "node.state_dir", "absolute path", ""),
    ("state_dir = '/var/../etc'", 7, "node.state_dir", "without '..'", ""),
    ("[identity]\ndir = './identity'", 8, "identity.dir", "absolute path", ""),
    ("[telemetry]\nlog_level = 'warn'", 8, "telemetry.log_level", "one of debug, info, warning, error", "warning"),
    ("[telemetry]\notlp_endpoint = 'localhost:4317'", 8, "telemetry.otlp_endpoint", "http://host:port", ""),
    ("[listen]\napi = '0.0.0.0'", 8, "listen.api", "host:port", ""),
    ("[listen]\napi = '0.0.0.0:65536'", 8, "listen.api", "host:port", ""),
    ("[listen]\napi = 'a b:1'", 8, "listen.api", "host:port", ""),
    ("[join]\npeers = ['h:1', 'h']", 8, "join.peers[1]", "host:port", ""),
    ("[join]\npeers = ['h:0']", 8, "join.peers[0]", "host:port", ""),
    # What is missing
    ("[[advertise]]\nnetwork = 'x'", 7, "advertise[0].api", "is required: host:port of the API", ""),
    ("[dev.peers.q]\napi = 'h:1'", 7, "dev.peers.q.watch", "is required", ""),
    # Rules between options
    ("[listen]\nhttp = '0.0.0.0:7480'", 8, "listen.http", "http_public = true", ""),
    ("[listen]\nhttp = '[::]:7480'", 8, "listen.http", "http_public = true", ""),
    ("[listen]\napi = '0.0.0.0:7444'", 8, "listen.api", "a port of their own", ""),
    ("[limits]\nbytes_in_flight_max = 8388608", 7, "limits.bytes_in_flight_per_peer_max", "not be more than bytes_in_flight_max", ""),
    ("[limits]\nmessage_bytes_max = 1048576\ncontrol_message_bytes_max = 2097152", 9, "limits.control_message_bytes_max", "not be more than message_bytes_max", ""),
    ("[limits]\ncontrol_calls_burst = 10", 8, "limits.control_calls_burst", "not be less than control_calls_per_s", ""),
    ("[telemetry]\notlp_metrics = true", 8, "telemetry.otlp_metrics", "needs otlp_endpoint", ""),
    ("[[advertise]]\nnetwork = 'x'\napi = '0.0.0.0:7443'", 9, "advertise[0].api", "others can dial", ""),
    ("[[advertise]]\nnetwork = 'x'\napi = 'h:1'\n[[advertise]]\nnetwork = 'x'\napi = 'h:2'", 7, "advertise", "network twice", ""),
    # No TOML
    ("zone = ", 7, "TOML", "not valid: Invalid value", ""),
    ("zone = 'a", 7, "TOML", "not valid: ", ""),
    ("[node]", 7, "TOML", "not valid: Cannot declare", ""),
    ("\n\nzone = 'a' 'b'", 9, "TOML", "not valid: Expected newline", ""),
    ("id = '0'", 7, "TOML", "not valid: Cannot overwrite", ""),
    ("[limits]\nx = [1,\n2", 9, "TOML", "not valid: Unclosed array at the end of the file", ""),
]  # fmt: skip


@pytest.mark.parametrize(("added", "line", "key", "rule", "nearest"), CASES)
def test_a_bad_configuration_is_refused_where_it_is_wrong(
    tmp_path: Path, added: str, line: int, key: str, rule: str, nearest: str
) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(NODE + added)
    (fault,) = refused(path)
    assert (fault.where, fault.field, fault.nearest) == (f"{path}:{line}", key, nearest)
    assert rule in fault.rule


@pytest.mark.parametrize("key", ["id", "name", "cluster", "cloud", "region"])
def test_what_every_node_needs_is_asked_for_with_an_example(tmp_path: Path, key: str) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text("".join(f"{row}\n" for row in NODE.splitlines() if not row.startswith(key)))
    (fault,) = refused(path)
    assert (fault.where, fault.field) == (f"{path}:1", f"node.{key}")
    assert "is required" in fault.rule
    assert "For example" in fault.rule


def test_an_empty_file_asks_for_the_section(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text("")
    (fault,) = refused(path)
    assert (fault.where, fault.field) == (str(path), "node")
    assert "id, name, cluster, cloud, region" in fault.rule


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "nodeagent.toml"
    path.write_text(NODE + "x = 1\n[telemetry]\nlog_level = 1\n[audit]\nhead_every_s = 0\n[y]\n")
    assert [fault.where.rpartition(":")[2] for fault in refused(path)] == ["7", "9", "11", "12"]


def test_no_fault_repeats_the_text_of_a_value(tmp_path: Path) -> None:
    secret = "-----BEGIN-PRIVATE-KEY-hunter2"
    path = tmp_path / "nodeagent.toml"
    rows = [f"{key} = '{secret}'\n" for key in ("zone", "state_dir", "founder", "unknown")]
    path.write_text(
        NODE + "".join(rows) + f"[join]\npeers = ['{secret}']\ngreet_every_s = '{secret}'"
    )
    faults = refused(path)
    assert len(faults) == 6
    assert "hunter2" not in "".join(str(fault) for fault in faults)


def test_a_file_that_cannot_be_read_is_the_only_fault(tmp_path: Path) -> None:
    large, foreign = tmp_path / "large", tmp_path / "foreign"
    large.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    foreign.write_bytes(b"[node]\nname = '\xff'\n")
    for path, where, rule in [
        (tmp_path / "absent", "absent", "does not exist"),
        (tmp_path, "", "cannot be read: Is a directory"),
        (large, "large", "larger than 1 MiB"),
        (foreign, "foreign:2", "must be UTF-8"),
    ]:
        (fault,) = refused(path)
        assert fault.where.endswith(where)
        assert rule in fault.rule
