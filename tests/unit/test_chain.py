"""The audit chain: what is edited, cut or replaced shows, and where."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.chain import (
    FIELD_CHARS_MAX,
    Broken,
    Finding,
    Point,
    Record,
    Verified,
    compare,
    line_of,
    verify_lines,
)


def record(resource: str = "", rpc: str = "/multicloud.v1.AdminService/DrainNode") -> Record:
    actor = "spiffe://prod/operator/ann"
    return Record(1_700_000_000_000, actor, rpc, "allowed", ("admin",), resource=resource)


def chain_of(count: int, prefix: str = "node") -> list[str]:
    lines, end = [], Point()
    for number in range(count):
        line, end = line_of(record(f"{prefix}-{number}"), end)
        lines.append(line)
    return lines


def heads_of(lines: list[str], *sequences: int) -> dict[int, set[str]]:
    good = verify_lines(lines, wanted=sequences)
    assert isinstance(good, Verified)
    return {sequence: {good.hashes[sequence]} for sequence in sequences}


def judge(lines: list[str], heads: dict[int, set[str]]) -> Finding:
    return compare(verify_lines(lines, wanted=heads), heads)


def test_an_untouched_log_is_ok_and_all_heads_are_compared() -> None:
    lines = chain_of(20)
    found = judge(lines, heads_of(lines, 1, 10, 20))
    assert found == Finding("ok", 0, "", records=20, heads=3)


@pytest.mark.parametrize(
    ("damage", "kind", "at"),
    [
        (lambda c: [*c[:9], c[9].replace("node-9", "node-8"), *c[10:]], "edited", 10),
        (lambda c: [*c[:9], c[9].replace("allowed", "denied"), *c[10:]], "edited", 10),
        (lambda c: [*c[:9], "{}", *c[10:]], "edited", 10),
        (lambda c: [*c[:9], "\x00" * 400, *c[10:]], "edited", 10),
        (lambda c: [*c[:9], "[" * 60000, *c[10:]], "edited", 10),
        (lambda c: c[:9] + c[12:], "cut", 10),
        (lambda c: c[3:], "cut", 1),
        (lambda c: [*c[:9], c[10], c[9], *c[11:]], "cut", 10),
        (lambda c: [*c[:10], c[9], *c[10:]], "cut", 11),
        (lambda c: c[:15], "cut", 16),
        (lambda c: [], "cut", 1),
        (lambda c: chain_of(20, "other"), "replaced", 1),
        (lambda c: chain_of(40, "other"), "replaced", 1),
    ],
)
def test_damage_is_named_with_its_place(
    damage: Callable[[list[str]], list[str]], kind: str, at: int
) -> None:
    lines = chain_of(20)
    found = judge(damage(lines), heads_of(lines, 8, 20))
    assert (found.kind, found.at) == (kind, at), found


def test_a_record_that_was_edited_and_hashed_again_is_found_by_the_next_one() -> None:
    lines = chain_of(20)
    kept = verify_lines(lines[:9])
    assert isinstance(kept, Verified)
    lines[9], _ = line_of(record("forged"), Point(9, kept.last_hash))
    found = verify_lines(lines)
    assert isinstance(found, Broken)
    assert (found.kind, found.at) == ("edited", 10)


def test_a_log_rewritten_from_the_middle_is_replaced_from_after_the_last_head_that_fits() -> None:
    lines = chain_of(20)
    kept = verify_lines(lines[:12])
    assert isinstance(kept, Verified)
    forged, end = lines[:12], Point(12, kept.last_hash)
    for _ in range(8):
        line, end = line_of(record("forged"), end)
        forged.append(line)
    found = judge(forged, heads_of(lines, 5, 10, 15, 20))
    assert (found.kind, found.at) == ("replaced", 11)


def test_an_earlier_state_that_grew_on_is_replaced() -> None:
    lines = chain_of(20)
    older = verify_lines(lines[:10])
    assert isinstance(older, Verified)
    grown, end = lines[:10], Point(10, older.last_hash)
    for number in range(20):
        line, end = line_of(record(f"later-{number}"), end)
        grown.append(line)
    found = judge(grown, heads_of(lines, 10, 20))
    assert (found.kind, found.at) == ("replaced", 11)


def test_two_heads_of_one_sequence_that_differ_show_a_rewritten_log() -> None:
    lines = chain_of(5)
    heads = heads_of(lines, 5)
    heads[5].add("f" * 64)
    assert judge(lines, heads).kind == "replaced"


def test_a_log_begun_anew_is_cut_at_its_start_and_new_damage_still_shows() -> None:
    lines, end = [], Point(11)
    for number in range(10):
        line, end = line_of(record(f"n-{number}"), end)
        lines.append(line)
    old = {10: {"a" * 64}}
    assert str(judge(lines, old)).startswith("cut at its start: it begins with record 12")
    newer = {**old, 21: {end.hash}}
    assert judge(lines, newer).heads == 1
    assert judge(lines[:-2], newer).at == 20
    lines[4] = lines[4].replace("n-4", "n-5")
    found = judge(lines, newer)
    assert (found.kind, found.at) == ("edited", 16)


@given(
    st.lists(
        st.text(st.characters(codec=None), max_size=40),
        min_size=1,
        max_size=10,  # Surrogates too.
    )
)
def test_values_from_outside_never_leave_their_line(values: list[str]) -> None:
    lines, end = [], Point()
    for value in values:
        line, end = line_of(record(value, rpc=value), end)
        lines.append(line)
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["resource"] == value
    assert isinstance(verify_lines(lines), Verified)


def test_a_huge_value_is_cut() -> None:
    line, _ = line_of(record("x" * 1_000_000), Point())
    assert len(json.loads(line)["resource"]) == FIELD_CHARS_MAX


@given(st.integers(0, 4), st.data())
def test_any_changed_character_is_found(index: int, data: st.DataObject) -> None:
    lines = chain_of(5)
    place = data.draw(st.integers(0, len(lines[index]) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != lines[index][place]))
    lines[index] = lines[index][:place] + other + lines[index][place + 1 :]
    found = verify_lines(lines)
    assert isinstance(found, Broken)
    assert found.at == index + 1
