"""Each step does to records what its line in `mcctl pipeline steps` says."""

import json

import pytest

from multicloud.errors import McError
from nodeagent.core.pipeline.counts import Counts, hopeless, total
from tests.process.tasks import Result, pipeline, run

Record = dict[str, object]


def through(steps: str, records: list[Record], target_bytes: int = 1 << 20) -> Result:
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    return run(steps, {"a.jsonl": data}, target_bytes)


def out(result: Result) -> list[Record]:
    return [json.loads(line) for line in result.files["a.jsonl"].splitlines()]


def test_types_widen_and_never_lose() -> None:
    schema = (
        '[[step]]\nuse = "validate.schema"\nfields = { i = "int64", f = "float64", d = "date", '
        't = "datetime", b = "binary", l = "list<int8>", o = "string?" }\n'
    )
    good: Record = {
        "i": 1,
        "f": 2,
        "d": "2020-02-29",
        "t": "2020-01-01T01:02:03Z",
        "b": "AAH/",
        "l": [1, 2],
    }
    bad = {"d": "2021-02-29", "t": "noon", "b": "###", "l": [300], "i": None, "o": 5}
    result = through(schema, [good, *({**good, key: value} for key, value in bad.items())])
    assert out(result) == [{**good, "f": 2.0, "t": "2020-01-01 01:02:03", "o": None}]
    assert [q.reason for q in result.quarantined] == [
        "d: is string, must be date",
        "t: is string, must be datetime",
        "b: is string, must be binary",
        "l: is the integer 300, must be int8: it is too large",
        "i: is null or missing",
        "o: is the integer 5, must be string",
    ]


@pytest.mark.parametrize(
    ("extra", "kept", "bad"),
    [("keep", ["id", "x"], 0), ("drop", ["id"], 0), ("bad", ["id", "x"], 1)],
)
def test_fields_that_are_not_named_are_kept_dropped_or_bad(
    extra: str, kept: list[str], bad: int
) -> None:
    step = f'[[step]]\nuse = "validate.schema"\nfields.id = "int64"\nextra = "{extra}"\n'
    result = through(step, [{"x": 1, "id": 1}, {"id": 2}])
    assert len(result.quarantined) == bad
    assert [key for key in out(result)[0] if key in kept] == (["id"] if bad else kept)


def test_fields_of_any_type_and_fields_that_nobody_named_keep_what_they_hold() -> None:
    step = '[[step]]\nuse = "validate.schema"\nfields = { id = "int64", meta = "any" }\n'
    records: list[Record] = [
        {"id": 1, "meta": {"a": [1]}, "more": 2**63 + 1},
        {"id": 2, "meta": None, "more": 1},
        {"id": 3, "meta": {"a": []}, "more": "a text"},
        {"id": 4, "meta": "a text", "more": 2},
        {"id": 5, "meta": {"a": [2]}, "more": 3},
    ]
    result = through(step + '[[step]]\nuse = "transform.select"\ncolumns = ["meta"]\n', records)
    assert out(result) == [{"meta": {"a": [1]}}, {"meta": {"a": [2]}}]
    assert [q.reason for q in result.quarantined] == [
        "meta: is null or missing",
        "more: is a text, must be uint64",
        "meta: is a text, must be struct<a: list<item: int64>>",
    ]


EXPECT = """
[[step]]
use = "validate.expect"
not_null = ["id"]
range = { score = [0, 1] }
regex = { text = "^[a-z]+$" }
one_of = { lang = ["en", "de"] }
unique = ["id"]
"""


def test_expectations_name_what_is_not_as_expected() -> None:
    good: Record = {"id": 1, "score": 0.5, "text": "abc", "lang": "en"}
    records = [
        good,
        {**good, "id": None},
        {**good, "id": 2, "score": 1.1},
        {**good, "id": 3, "text": "A"},
        {**good, "id": 4, "lang": "fr"},
        {**good},
        {**good, "id": 5, "score": None, "text": None, "lang": None},
    ]
    result = through(EXPECT, records)
    assert [r["id"] for r in out(result)] == [1, 5]
    assert [q.reason for q in result.quarantined] == [
        "id: is null",
        "score: is not from 0 to 1",
        "text: does not match ^[a-z]+$",
        "lang: is none of the values that may be",
        "id: is there before",
    ]


def test_bad_records_are_dropped_or_fail_the_task_as_the_step_says() -> None:
    step = '[[step]]\nuse = "validate.schema"\nfields.id = "int64"\non_bad = "{}"\n'
    records: list[Record] = [{"id": 1}, {"id": "x"}]
    dropped = through(step.format("drop"), records)
    assert dropped.quarantined == []
    assert dropped.counts[1] == Counts("validate.schema", 2, 1, 0, 1, 0)
    with pytest.raises(
        McError, match=r"id: is a text, must be int64, in a.jsonl at byte 10"
    ) as failed:
        through(step.format("fail"), records)
    assert failed.value.reason == "RECORDS_BAD"


def test_a_chunk_with_too_few_or_too_many_records_fails_its_task() -> None:
    for bound, rule in (("records_min = 3", "at least 3"), ("records_max = 1", "at most 1")):
        with pytest.raises(McError, match=f"has 2 records, {rule} are expected"):
            through(f'[[step]]\nuse = "validate.expect"\n{bound}', [{"a": 1}, {"a": 2}])


def test_columns_are_selected_cast_and_renamed() -> None:
    steps = """
[[step]]
use = "transform.cast"
columns = { n = "int64", f = "int64" }
[[step]]
use = "transform.rename"
columns = { n = "number" }
[[step]]
use = "transform.select"
columns = ["number", "f"]
"""
    result = through(
        steps, [{"n": "5", "f": 2.0, "z": 0}, {"n": "x", "f": 1.0}, {"n": "6", "f": 1.5}]
    )
    assert out(result) == [{"number": 5, "f": 2}]
    assert [q.reason for q in result.quarantined] == [
        "n: string does not fit int64",
        "f: float64 does not fit int64",
    ]


def test_a_filter_keeps_what_holds_and_null_does_not() -> None:
    result = through('[[step]]\nuse = "filter"\nwhere = "n > 1"', [{"n": 1}, {"n": 2}, {"n": None}])
    assert out(result) == [{"n": 2}]
    assert result.counts[1] == Counts("filter", 3, 1, 2)


def test_the_first_of_equal_records_stays() -> None:
    records: list[Record] = [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]
    assert out(through('[[step]]\nuse = "dedupe"\nby = ["a"]', records)) == [records[0], records[3]]
    assert out(through('[[step]]\nuse = "dedupe"', records)) == [records[0], records[1], records[3]]


def test_a_sample_does_not_depend_on_the_cut() -> None:
    records: list[Record] = [{"id": i, "group": i % 9} for i in range(1000)]
    step = '[[step]]\nuse = "sample"\nshare = 0.25\n'
    whole = out(through(step, records))
    assert whole == out(through(step, records, target_bytes=500))
    assert 180 < len(whole) < 320
    assert whole != out(through(step + "seed = 1\n", records))
    groups = {r["group"] for r in out(through(step + 'by = ["group"]\n', records))}
    kept = [r for r in out(through(step + 'by = ["group"]\n', records))]
    assert len(kept) == sum(1 for r in records if r["group"] in groups)
    assert out(through('[[step]]\nuse = "sample"\nshare = 1.0', records)) == records
    assert out(through('[[step]]\nuse = "sample"\nshare = 0', records)) == []


def test_a_shuffle_changes_the_order_only_and_always_alike() -> None:
    records: list[Record] = [{"id": i} for i in range(200)]
    step = '[[step]]\nuse = "shuffle.chunk"\nseed = {}\n'
    one, again, other = (out(through(step.format(seed), records)) for seed in (1, 1, 2))
    assert one == again != other
    assert sorted(r["id"] for r in one) == list(range(200))  # type: ignore[type-var]


def test_quarantined_records_keep_their_offsets_through_a_shuffle() -> None:
    steps = (
        '[[step]]\nuse = "shuffle.chunk"\n[[step]]\nuse = "validate.expect"\nrange.id = [0, 9]\n'
    )
    records: list[Record] = [{"id": i} for i in range(12)]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    result = run(steps, {"a.jsonl": data})
    assert {(q.offset_bytes, json.loads(q.record)["id"]) for q in result.quarantined} == {
        (data.index(b'{"id": 10}'), 10),
        (data.index(b'{"id": 11}'), 11),
    }


def test_texts_get_one_spelling() -> None:
    step = '[[step]]\nuse = "text.normalise"\ncolumns = ["t"]\nspaces = true\nlower = true\n'
    records: list[Record] = [{"t": " E\u0301  a\u0000b\tc\n"}, {"t": None}]
    assert out(through(step, records)) == [{"t": "é ab c"}, {"t": None}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT k, count(*) AS n FROM chunk GROUP BY k",
        "SELECT DISTINCT k FROM chunk",
        "SELECT a.k FROM chunk AS a JOIN chunk AS b ON a.k = b.k WHERE a.id < 20",
        "WITH big AS (SELECT * FROM chunk WHERE id > 10) SELECT sum(id) AS s FROM big",
    ],
)
def test_sql_gives_the_same_order_at_every_run(query: str) -> None:
    records: list[Record] = [{"id": i, "k": str(i * 7919 % 13)} for i in range(300)]
    # `run` compares the bytes of two runs.
    assert out(through(f'[[step]]\nuse = "transform.sql"\nquery = "{query}"', records))


def test_the_order_that_a_query_asks_for_is_kept() -> None:
    query = "SELECT k, count(*) AS n FROM chunk GROUP BY k ORDER BY length(k) DESC, k"
    records: list[Record] = [{"k": "x" * (i % 5)} for i in range(50)]
    result = out(through(f'[[step]]\nuse = "transform.sql"\nquery = "{query}"', records))
    assert [len(str(r["k"])) for r in result] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "step",
    [
        '[[step]]\nuse = "transform.sql"\nquery = "SELECT nope FROM chunk"',
        '[[step]]\nuse = "filter"\nwhere = "nope = 1"',
        '[[step]]\nuse = "dedupe"\nby = ["nope"]',
        '[[step]]\nuse = "transform.select"\ncolumns = ["nope"]',
        '[[step]]\nuse = "text.normalise"\ncolumns = ["id"]',
        '[[step]]\nuse = "validate.expect"\nregex.id = "x"',
        '[[step]]\nuse = "validate.expect"\nrange.id = ["a", "b"]',
        '[[step]]\nuse = "validate.expect"\none_of.id = ["a"]',
    ],
)
def test_a_step_that_does_not_suit_the_records_fails_by_name(step: str) -> None:
    with pytest.raises(McError) as failed:
        through(step, [{"id": 1}])
    assert failed.value.reason == "RECORDS_BAD"
    assert "nope" in failed.value.message or "id" in failed.value.message


def test_sums_of_tasks_tell_when_a_job_is_hopeless() -> None:
    found = pipeline('[[step]]\nuse = "validate.schema"\nfields.id = "int64"\nfail_above = 0.01\n')

    def sums(seen: int, unread: int, bad: int) -> list[Counts]:
        schema = Counts("validate.schema", seen, seen - bad, 0, 0, bad)
        return [
            Counts("read", seen + unread, seen, 0, 0, unread),
            schema,
            Counts("write", seen - bad, seen - bad),
        ]

    assert hopeless(found, sums(100, 0, 50), finished=False) == ""
    assert hopeless(found, sums(100, 0, 2), finished=True) == (
        "validate.schema: 2 of 100 records are bad, more than fail_above = 0.01"
    )
    assert hopeless(found, sums(5000, 0, 50), finished=True) == ""
    assert hopeless(found, sums(5000, 30, 30), finished=False) != ""
    assert total([sums(10, 1, 2), sums(5, 0, 1)])[1] == Counts("validate.schema", 15, 12, 0, 0, 3)
