"""docs/formats.md is true: its reader of audit logs works on ours, its tables name every field."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from identity.bundle import NodeBundle, OperatorBundle, write_node_bundle, write_operator_bundle
from identity.chain import Point, Record, line_of
from identity.names import Identity
from tests.support.people import CLUSTER, People

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def fields_of(title: str, column: int = 0) -> set[str]:
    """The `names` in one column of a section's table."""
    rows = [line.split("|")[1:-1] for line in section(title).splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row[column])}


@pytest.fixture(scope="module")
def check() -> Callable[[Iterable[str]], None]:
    """The reader that the page shows."""
    (code,) = re.findall(r"```python\n(.*?)```", section("Audit log"), re.DOTALL)
    names: dict[str, Callable[[Iterable[str]], None]] = {}
    exec(code, names)
    return names["check"]


def log() -> list[str]:
    lines, end = [], Point()
    for actor in ("spiffe://prod/operator/ann", 'quote " and \n line', "spiffe://prod/node/ü"):
        line, end = line_of(Record(unix_ms=1, actor=actor, rpc="/a/B", decision="allowed"), end)
        lines.append(line)
    return lines


def test_the_reader_of_the_page_accepts_our_log(check: Callable[[Iterable[str]], None]) -> None:
    check(log())


@pytest.mark.parametrize("change", ["edited", "cut", "reordered"])
def test_the_reader_of_the_page_finds_a_change(
    check: Callable[[Iterable[str]], None], change: str
) -> None:
    a, b, c = log()
    bad = {"edited": [a, b.replace('"unix_ms":1', '"unix_ms":2'), c], "cut": [a, c]}
    with pytest.raises(AssertionError):
        check(bad.get(change, [b, a, c]))


def test_every_field_of_an_audit_line_is_in_the_table() -> None:
    assert fields_of("Audit log") == set(json.loads(log()[0]))


def test_every_field_of_a_bundle_is_in_the_table(tmp_path: Path) -> None:
    people = People(tmp_path / "ca")
    node, ann = Identity.node(CLUSTER, "0" * 16), Identity.operator(CLUSTER, "ann")
    own, hers = people.credentials(node, ("node",)), people.credentials(ann, ("admin",))
    trust = people.authority.trust
    write_node_bundle(
        tmp_path / "node",
        NodeBundle(
            CLUSTER, "0" * 16, "aws-a", "aws", "us-east-1", "a", "a:7443", "", (), True,
            own.certificate_pem, own.key_pem, trust,
        ),
    )  # fmt: skip
    write_operator_bundle(
        tmp_path / "operator",
        OperatorBundle(CLUSTER, "ann", (), hers.certificate_pem, hers.key_pem, trust),
    )
    written = json.loads((tmp_path / "node").read_text())
    written |= json.loads((tmp_path / "operator").read_text())
    assert fields_of("Bundles") == set(written)
