"""Heads of peers' logs: verified, bounded, durable, and no evidence is thrown away."""

from datetime import timedelta
from pathlib import Path

import pytest

from identity.chain import Point, Verified, line_of, verify_lines
from identity.chain import Record as AuditRecord
from identity.heads import compare_heads
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead
from nodeagent.ops.audit_heads import HEADS_PER_NODE_MAX, HeadStore, thin
from tests.support.signing import NODE, NOW, authority, issue, trust_of

CA = authority()
SIGNER = issue([f"spiffe://prod/node/{NODE}"], CA)


def head(sequence: int, at_s: int = 0, letter: str = "a") -> AuditHead:
    return SIGNER.head(at=NOW + timedelta(seconds=at_s), end=Point(sequence, letter * 64))


async def keep(store: HeadStore, *heads: AuditHead) -> None:
    for one in heads:
        await store.keep(one, trust_of(CA))


async def test_heads_survive_a_restart(tmp_path: Path) -> None:
    store = HeadStore(tmp_path / "heads")
    assert await store.heads() == []
    await keep(store, head(3), head(1), head(3, at_s=5))
    again = HeadStore(tmp_path / "heads")
    assert [h.sequence for h in await again.heads()] == [1, 3]
    assert await again.heads(NODE) == await again.heads()
    assert await again.heads("00000000000000bb") == []


async def test_a_head_that_nobody_signed_is_not_kept(tmp_path: Path) -> None:
    store = HeadStore(tmp_path)
    for node in (NODE, "../../etc/passwd", ""):
        with pytest.raises(McError) as refused:
            await keep(store, AuditHead(node=node, sequence=1, hash=b"x" * 32))
        assert refused.value.reason == "UNTRUSTED"
    assert await store.heads() == []
    assert list(tmp_path.iterdir()) == []


async def test_a_log_that_goes_back_leaves_both_heads_as_evidence(tmp_path: Path) -> None:
    store = HeadStore(tmp_path)
    await keep(store, head(10, at_s=0), head(10, at_s=5, letter="b"), head(4, at_s=9, letter="c"))
    kept = await store.heads()
    assert [(h.sequence, h.hash[:1].hex()) for h in kept] == [(4, "cc"), (10, "aa"), (10, "bb")]


def test_the_history_is_bounded_keeps_the_newest_and_reaches_far_back() -> None:
    kept: list[AuditHead] = []
    for number in range(1, 3000):
        kept = thin([*kept, AuditHead(sequence=number * 7, unix_ms=number)])
    sequences = [h.sequence for h in kept]
    assert len(sequences) == HEADS_PER_NODE_MAX
    assert sequences == sorted(sequences)
    assert sequences[0] == 7
    assert sequences[-5:] == [7 * n for n in range(2995, 3000)]


def test_evidence_outlives_many_newer_heads() -> None:
    kept = [AuditHead(sequence=90, unix_ms=9), AuditHead(sequence=100, unix_ms=1)]
    for number in range(200, 1200):
        kept = thin([*kept, AuditHead(sequence=number, unix_ms=number)])
    assert [h.sequence for h in kept][:2] == [90, 100]


def test_a_log_is_compared_with_the_heads_that_peers_hold() -> None:
    lines, end, heads = [], Point(), []
    for number in range(1, 11):
        record = AuditRecord(number, "", "/x", "denied")
        line, end = line_of(record, end)
        lines.append(line)
        heads.append(SIGNER.head(end=end))
    wanted = {h.sequence for h in heads}
    assert compare_heads(verify_lines(lines, wanted=wanted), heads).kind == "ok"
    found = verify_lines(lines[:4], wanted=wanted)
    assert isinstance(found, Verified)
    assert str(compare_heads(found, heads)).startswith("cut after 4")
