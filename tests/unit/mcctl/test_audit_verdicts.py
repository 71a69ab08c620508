"""Verdicts over logs of a cluster: damage, silence and forged heads are told apart."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from identity.chain import Point, Record, line_of
from mcctl.audit import _plain
from mcctl.judging import Judgement, NodeName, judge
from multicloud.errors import McError
from multicloud.v1.peer_pb2 import AuditHead
from tests.support.signing import authority, issue, trust_of

CA = authority()
TRUST = trust_of(CA)
A, B, C = (NodeName(letter * 16, f"node-{letter}") for letter in "abc")


@dataclass
class Cluster:
    """Logs and heads as nodes would tell them."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, list[AuditHead]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    async def heads(self, node: str) -> Sequence[AuditHead]:
        self._check(node)
        return self.held.get(node, [])

    async def read(self, node: str) -> AsyncIterator[Sequence[str]]:
        self._check(node)
        lines = self.lines.get(node, [])
        for start in range(0, len(lines), 3):
            yield lines[start : start + 3]

    def _check(self, node: str) -> None:
        if node in self.down:
            raise McError("UNREACHABLE", f"{node} does not answer")

    def write(self, node: NodeName, count: int, holder: NodeName) -> None:
        """A log of so many records, whose head another node holds."""
        signer = issue([f"spiffe://prod/node/{node.id}"], CA)
        end = Point()
        for number in range(count):
            line, end = line_of(Record(number, "", f"/rpc-{number}", "allowed"), end)
            self.lines.setdefault(node.id, []).append(line)
        self.held.setdefault(holder.id, []).append(signer.head(node=node.id, end=end))


def written() -> Cluster:
    cluster = Cluster()
    for node, holder in ((A, B), (B, C), (C, A)):
        cluster.write(node, 10, holder)
    return cluster


async def judged(cluster: Cluster) -> Judgement:
    return await judge(cluster, [A, B, C], [A, B, C], TRUST)


async def test_untouched_logs_are_ok() -> None:
    found = await judged(written())
    assert [(v.node, v.ok, v.records, v.heads) for v in found.verdicts] == [
        ("node-a", True, 10, 1),
        ("node-b", True, 10, 1),
        ("node-c", True, 10, 1),
    ]
    assert (found.silent, found.refused) == ((), ())


async def test_each_damage_is_named_where_it_is() -> None:
    cluster = written()
    lines = cluster.lines
    lines[A.id][4] = lines[A.id][4].replace("rpc-4", "rpc-5")
    del lines[B.id][8:]
    del lines[C.id][3]
    problems = [v.problem for v in (await judged(cluster)).verdicts]
    assert problems[0].startswith("edited at 5: line 5")
    assert problems[1].startswith("cut after 8: a peer holds a signed head at 10")
    assert problems[2].startswith("cut after 3: line 4")


async def test_a_node_that_is_down_is_not_damaged_and_its_heads_are_missed() -> None:
    cluster = written()
    cluster.down.add(B.id)
    found = await judged(cluster)
    assert [(v.ok, v.damaged, v.heads) for v in found.verdicts] == [
        (True, False, 0),  # Only B held a head of A.
        (False, False, 0),
        (True, False, 1),
    ]
    assert found.silent == ("node-b",)


async def test_a_forged_head_accuses_nobody_and_is_reported() -> None:
    cluster = written()
    stranger = issue([f"spiffe://prod/node/{A.id}"], authority())
    cluster.held[C.id].append(stranger.head(node=A.id, end=Point(99, "f" * 64)))
    found = await judged(cluster)
    assert all(verdict.ok for verdict in found.verdicts)
    assert "node-c holds a head that does not count" in found.refused[0]


async def test_what_a_node_says_of_its_own_log_proves_nothing() -> None:
    cluster = written()
    cluster.held[A.id] += cluster.held.pop(B.id)
    assert (await judged(cluster)).verdicts[0].heads == 0


def test_what_callers_wrote_cannot_steer_a_terminal() -> None:
    assert _plain("a\x1b[2J\x9b\n\u202eb") == "a\ufffd[2J\ufffd\ufffd\ufffdb"
