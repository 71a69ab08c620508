"""What `mcctl status` says of copies: summed up when counts fit together, and never too good."""

from collections.abc import Mapping

from multicloud.v1 import common_pb2
from nodeagent.core.upkeep_tally import basis_of
from nodeagent.rpc.admin.copies import Copies, copies_of, copies_problems

ALIVE, DEAD = common_pb2.NODE_STATE_ALIVE, common_pb2.NODE_STATE_DEAD
ALL = basis_of(["a", "b"])


def node(
    name: str,
    by_copies: Mapping[int, int],
    live: int,
    *,
    basis: int = ALL,
    state: "common_pb2.NodeState.ValueType" = ALIVE,
    **more: int | str,
) -> common_pb2.Node:
    copies = common_pb2.CopiesFacts(
        chunks_by_copies=by_copies,
        basis=basis,
        live_chunks=live,
        **more,  # type: ignore[arg-type]
    )
    return common_pb2.Node(
        facts=common_pb2.NodeFacts(id=name, name=name, copies=copies), state=state
    )


def codes(copies: Copies, nodes: list[common_pb2.Node], *, frozen: bool = False) -> dict[str, str]:
    return {one.code: one.what for one in copies_problems(copies, nodes, frozen=frozen)}


def test_figures_of_nodes_add_up() -> None:
    found = copies_of([node("a", {3: 5}, 9), node("b", {3: 4}, 9)], "a")
    assert found.safe
    assert found.by_copies == {3: 9}


def test_a_chunk_that_nobody_counts_has_no_copy() -> None:
    nodes = [node("a", {3: 5}, 9), node("b", {3: 3}, 9), node("c", {3: 1}, 9, state=DEAD)]
    found = copies_of(nodes, "a")
    assert not found.safe
    assert found.by_copies == {3: 8, 0: 1}
    assert "1 chunk" in codes(found, nodes)["COPIES_AWAY"]


def test_while_nodes_count_by_other_members_or_chunks_nothing_is_called_lost_or_safe() -> None:
    for other in (
        node("b", {3: 3}, 9, basis=1),
        node("b", {3: 3}, 8),
        node("b", {3: 4}, 9, basis=0),
    ):
        found = copies_of([node("a", {3: 5}, 9), other], "a")
        assert found.counting
        assert not found.safe
        assert 0 not in found.by_copies
        assert not codes(found, [])


def test_counts_from_before_somebody_died_are_not_believed() -> None:
    found = copies_of([node("a", {3: 5}, 5), node("b", {}, 5, state=DEAD)], "a")
    assert found.counting
    assert not found.safe


def test_what_is_short_is_told_with_what_is_in_the_way() -> None:
    short = {"debt_chunks": 2, "debt_bytes": 3 << 20, "debt_oldest_s": 40}
    nodes = [node("a", {2: 2}, 2, **short), node("b", {}, 2)]
    found = copies_of(nodes, "a")
    assert (found.safe, found.debt_chunks, found.oldest_s) == (False, 2, 40)
    said = "2 chunks (3 MiB) short of copies for 40 s: "
    assert codes(found, nodes) == {"REPAIR_DEBT": said + "copies are being made"}
    assert "much is lost at once" in codes(found, nodes, frozen=True)["REPAIR_DEBT"]
    away = [*nodes, node("c", {}, 2, state=DEAD)]
    assert "gone for good" in codes(found, away)["REPAIR_DEBT"]
    hindered = [node("a", {2: 2}, 2, hindered="no room anywhere", **short), node("b", {}, 2)]
    assert "no room anywhere" in codes(copies_of(hindered, "a"), away)["REPAIR_DEBT"]


def test_without_datasets_all_is_safe_at_once() -> None:
    assert copies_of([node("a", {}, 0, basis=0), node("b", {}, 0)], "a").safe


def test_who_keeps_copies_from_being_counted_is_named() -> None:
    silent = node("b", {}, 1, basis=0, hindered="gcp-a does not say what it has")
    nodes = [node("a", {3: 1}, 1), silent]
    assert "gcp-a does not say" in codes(copies_of(nodes, "a"), nodes)["COPIES_UNCOUNTED"]
