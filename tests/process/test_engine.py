"""Records go through steps and come out as files; what is bad is put aside with its reason."""

import gzip
import io
import json
import tarfile

import polars as pl
import pytest
import zstandard

from multicloud.errors import McError
from nodeagent.core.pipeline.cut import chunk_bytes_for
from nodeagent.process.read import Bounds
from tests.process.tasks import run

SCHEMA = """
[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
"""


def jsonl(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def rows(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def parquet(data: bytes) -> list[dict[str, object]]:
    return pl.read_parquet(io.BytesIO(data)).to_dicts()


def test_raw_bytes_pass_through_whatever_they_are() -> None:
    files = {"a/ü.bin": bytes(range(256)) * 9, "empty": b"", "b.gz": gzip.compress(b"x" * 99)}
    result = run('input = "raw"', files, target_bytes=100)
    assert result.files == files
    assert set(result.records.values()) == {None}


def test_without_steps_a_file_that_keeps_its_path_keeps_its_bytes() -> None:
    files = {"a.jsonl": b'{"a": 1}\r\n\r\nnot even json'}
    assert run("", files, target_bytes=7).files == files


def test_the_pipeline_of_the_story() -> None:
    text = f"""
input = "jsonl"
{SCHEMA}
[[step]]
use = "transform.sql"
query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"
[output]
format = "parquet"
"""
    data = (
        jsonl(
            {"id": 1, "text": "LONG ENOUGH TEXT", "more": [1]},
            {"id": 2, "text": "short"},
            {"id": "3", "text": "an id that is a text"},
            {"text": "there is no id at all"},
        )
        + b'{"id": 5, "text": "cut off\n'
    )
    result = run(text, {"dir/a.jsonl": data})
    assert parquet(result.files["dir/a/part-00000.parquet"]) == [
        {"id": 1, "text": "long enough text"}
    ]
    assert [(q.step, q.offset_bytes, q.reason) for q in result.quarantined] == [
        ("read", data.index(b'{"id": 5'), result.quarantined[0].reason),
        ("validate.schema", data.index(b'{"id": "3"'), "id: is a text, must be int64"),
        ("validate.schema", data.index(b'{"text": "there'), "id: is null or missing"),
    ]
    assert result.quarantined[0].reason.startswith("is not JSON: ")
    assert b'"there is no id at all"' in result.quarantined[2].record
    assert [
        (c.step, c.records_in, c.records_out, c.records_quarantined) for c in result.counts
    ] == [
        ("read", 5, 4, 1),
        ("validate.schema", 4, 2, 2),
        ("transform.sql", 2, 1, 0),
        ("write", 1, 1, 0),
    ]


@pytest.mark.parametrize("target", [1 << 20, 1000, 97])
def test_records_come_out_once_and_in_order_however_a_file_was_cut(target: int) -> None:
    data = b"\n".join(json.dumps({"id": i, "text": "t" * (i % 50)}).encode() for i in range(300))
    result = run('[output]\nformat = "jsonl"\n' + SCHEMA, {"d/a.jsonl": data}, target)
    parts = sorted(result.files)
    assert parts[0].startswith("d/a/part-00000.jsonl")
    assert [r["id"] for p in parts for r in rows(result.files[p])] == list(range(300))
    assert len(parts) >= len(data) // target - 1 or target < 97


def test_kept_paths_are_joined_from_the_parts_of_all_ranges() -> None:
    data = b"\n".join(json.dumps({"id": i, "text": "t"}).encode() for i in range(300))
    result = run(SCHEMA, {"d/a.jsonl": data}, 500)
    assert [r["id"] for r in rows(result.files["d/a.jsonl"])] == list(range(300))
    assert result.records == {"d/a.jsonl": 300}


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_files_are_read_and_written_as_such(kind: str) -> None:
    data = jsonl(*({"id": i, "text": "x" * 80} for i in range(40_000)))
    packed = gzip.compress(data) if kind == "gz" else zstandard.compress(data)
    result = run(SCHEMA, {f"a.jsonl.{kind}": packed}, target_bytes=4096)
    out = result.files[f"a.jsonl.{kind}"]
    plain = (
        gzip.decompress(out)
        if kind == "gz"
        else zstandard.ZstdDecompressor().decompressobj().decompress(out)
    )
    assert rows(plain) == rows(data)


def test_a_compressed_file_that_is_cut_short_is_broken() -> None:
    with pytest.raises(McError, match=r"a\.jsonl\.gz: it ends in the middle") as failed:
        run(SCHEMA, {"a.jsonl.gz": gzip.compress(b'{"id": 1, "text": "x"}\n' * 99)[:-9]})
    assert failed.value.reason == "INPUT_BROKEN"


CSV = (
    b'\xef\xbb\xbfid,text\r\n1,"two\nlines, and ""quotes"""\r\n\r\n2,plain\nx,bad\n3\n4,\xff\n5,\n'
)


def test_csv_with_quoted_line_ends_is_one_range_and_its_types_are_read_from_text() -> None:
    text = 'input = "csv"\n[output]\nformat = "jsonl"\n' + SCHEMA
    result = run(text, {"a.csv": CSV}, target_bytes=10)
    assert rows(result.files["a/part-00000.jsonl"]) == [
        {"id": 1, "text": 'two\nlines, and "quotes"'},
        {"id": 2, "text": "plain"},
        {"id": 5, "text": ""},
    ]
    assert [(q.step, q.offset_bytes, q.reason) for q in result.quarantined] == [
        ("read", CSV.index(b"3\n4"), "has 1 fields, the header has 2"),
        ("read", CSV.index(b"4,\xff"), "is not UTF-8"),
        ("validate.schema", CSV.index(b"x,bad"), "id: is string, must be int64"),
    ]


def test_tabs_part_the_fields_of_a_tsv() -> None:
    data = b"id\ttext\n1\ta,b\n"
    assert run(SCHEMA, {"a.TSV": data}).files["a.TSV"] == data


@pytest.mark.parametrize("target", [5, 16, 1000])
def test_csv_of_lines_is_shared_out_and_joined_again(target: int) -> None:
    data = b"id,text\n" + b"".join(b'%d,"t,%d"\n' % (i, i) for i in range(50)) + b'9,"open\n'
    text = 'input = "csv"\ncsv = { quoted_newlines = false }\n' + SCHEMA
    result = run(text, {"a.csv": data}, target)
    assert result.files["a.csv"] == data[: data.index(b'9,"open')]
    assert [q.reason for q in result.quarantined] == ["a quote is not closed on its line"]


def test_a_quote_that_is_never_closed_is_broken_and_eats_no_memory() -> None:
    data = b'id,text\n1,"' + b"open\n" * 4000
    with pytest.raises(McError, match="is a quote not closed") as failed:
        run('input = "csv"\n' + SCHEMA, {"a.csv": data}, bounds=Bounds(1000, 9000))
    assert failed.value.reason == "INPUT_BROKEN"


@pytest.mark.parametrize("target", [1 << 20, 3000])
def test_row_groups_of_parquet_are_shared_out(target: int) -> None:
    frame = pl.DataFrame({"id": range(2000), "text": [f"text {i * 7919}" for i in range(2000)]})
    out = io.BytesIO()
    frame.write_parquet(out, row_group_size=200)
    result = run('[output]\nformat = "jsonl"\n' + SCHEMA, {"a.parquet": out.getvalue()}, target)
    found = [r["id"] for p in sorted(result.files) for r in rows(result.files[p])]
    assert found == list(range(2000))
    assert (len(result.files) > 1) == (target < len(out.getvalue()))
    same = run(SCHEMA, {"a.parquet": out.getvalue()}, target)
    assert parquet(same.files["a.parquet"]) == frame.to_dicts()


def test_damaged_parquet_is_broken() -> None:
    out = io.BytesIO()
    pl.DataFrame({"id": [1]}).write_parquet(out)
    for data in (out.getvalue()[:-20], b"PAR1" + bytes(100)):
        with pytest.raises(McError) as failed:
            run(SCHEMA, {"a.parquet": data})
        assert failed.value.reason == "INPUT_BROKEN"


def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("target", [1 << 20, 2000])
@pytest.mark.parametrize("wrap", [False, True])
def test_samples_of_a_tar_are_filtered_whole(target: int, wrap: bool) -> None:
    data = tar_of(
        **{f"s{i:03}__{k}": f"{k} {i}".encode() for i in range(20) for k in ("jpg", "cls")}
    )
    text = """
[[step]]
use = "transform.cast"
columns = { cls = "string" }
[[step]]
use = "filter"
where = "cls LIKE '%5'"
"""
    name = "a.tar.gz" if wrap else "a.tar"
    result = run(text, {name: gzip.compress(data) if wrap else data}, target)
    out = gzip.decompress(result.files[name]) if wrap else result.files[name]
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.getnames() == ["s005.jpg", "s005.cls", "s015.jpg", "s015.cls"]
        member = tar.extractfile("s015.jpg")
        assert member is not None
        assert member.read() == b"jpg 15"


def test_records_become_samples_of_a_tar() -> None:
    text = '[output]\nformat = "tar"\n'
    data = jsonl({"__key__": "k", "txt": "hello", "json": {"a": [1]}, "n": 5}, {"txt": "two"})
    result = run(text, {"a.jsonl": data})
    with tarfile.open(fileobj=io.BytesIO(result.files["a/part-00000.tar"])) as tar:
        found = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    assert found == {
        "k.txt": b"hello",
        "k.json": b'{"a":[1]}',
        "k.n": b"5",
        "000000001.txt": b"two",
    }


def test_the_bounds_of_a_rule_make_one_chunk_of_a_range() -> None:
    data = jsonl(*({"id": i, "text": "x" * (i % 90)} for i in range(500)))
    text = SCHEMA + '[[step]]\nuse = "transform.sql"\nquery = "SELECT count(*) AS n FROM chunk"\n'
    target = len(data) // 3 + 1
    result = run(text, {"a.jsonl": data}, target, Bounds(chunk_bytes_for(target), 1 << 20))
    counted = rows(result.files["a.jsonl"])
    assert len(counted) == 3
    assert sum(int(str(one["n"])) for one in counted) == 500


def test_small_files_share_a_task_and_keep_their_names() -> None:
    files = {f"d/{i}.jsonl": jsonl({"id": i, "text": "x"}) for i in range(20)}
    files["d/empty.jsonl"] = b""
    result = run(SCHEMA, files, target_bytes=100)
    assert {path: rows(data) for path, data in result.files.items()} == {
        path: rows(data) for path, data in files.items()
    }


def test_a_record_longer_than_may_be_is_put_aside_and_not_kept() -> None:
    data = jsonl({"id": 1, "text": "a"}, {"id": 2, "text": "b" * 5000}, {"id": 3, "text": "c"})
    result = run(SCHEMA, {"a.jsonl": data}, bounds=Bounds(500, 1000))
    assert [r["id"] for r in rows(result.files["a.jsonl"])] == [1, 3]
    (bad,) = result.quarantined
    assert "is longer" in bad.reason
    assert bad.offset_bytes == data.index(b'{"id": 2')


def test_what_has_no_records_is_refused_by_name() -> None:
    with pytest.raises(McError, match=r"^photo: it is of no kind") as failed:
        run(SCHEMA, {"photo": b"\x89PNG..."})
    assert failed.value.reason == "INPUT_BROKEN"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "is JSON but no object: list"),
        (b'{"id": 1} {"id": 2}', "is not JSON: "),
        (b'{"id": 1, "text": 5}', "text: is the integer 5, must be string"),
        (b'{"id": 1.5, "text": ""}', "id: is the number 1.5, must be int64"),
        (b'{"id": 2.0, "text": ""}', "id: is the number 2.0, must be int64"),
        (b'{"id": true, "text": ""}', "id: is true or false, must be int64"),
        (b'{"id": null, "text": ""}', "id: is null or missing"),
        (b'{"id": 99999999999999999999, "text": ""}', "it is too large"),
        (b'{"id": 1, "text": "\xff"}', "is not UTF-8"),
        (b'{"id": 1, "id": 2, "text": ""}', "a field twice"),
        (b'{"id": 1, "text": "\\ud800"}', "cannot be stored"),
        (b'{"id": 1, "text": {"a": 1}}', "text: is an object, must be string"),
        (b'{"id": 1,', "is not JSON: "),
        (b"\x00", "is not JSON: "),
    ],
)
def test_one_bad_line_is_named_and_harms_no_other(line: bytes, reason: str) -> None:
    good = [{"id": i, "text": "good"} for i in range(50)]
    data = jsonl(*good[:25]) + line + b"\n" + jsonl(*good[25:])
    result = run(SCHEMA, {"a.jsonl": data})
    assert rows(result.files["a.jsonl"]) == good
    (bad,) = result.quarantined
    assert reason in bad.reason
    assert bad.offset_bytes == data.index(line + b"\n{")
    assert bad.record


def test_without_a_schema_texts_stay_texts_and_digits_stay() -> None:
    records = [
        {
            "when": "2020-01-01",
            "deep": {"at": ["2020-01-01T00:00:00Z"]},
            "big": 2**63 + 1,
            "n": None,
        },
        {"when": "2021-01-01", "deep": {"at": []}, "big": 1, "n": [1, None]},
    ]
    result = run('[[step]]\nuse = "shuffle.chunk"', {"a.jsonl": jsonl(*records)})
    assert sorted(rows(result.files["a.jsonl"]), key=str) == sorted(records, key=str)


def test_without_a_schema_the_first_value_of_a_field_decides() -> None:
    data = jsonl({"a": 1}, {"a": "text"}, {"a": 2.5}, {"b": 1})
    result = run('[[step]]\nuse = "dedupe"', {"a.jsonl": data})
    assert [r.get("a") for r in rows(result.files["a.jsonl"])] == [1.0, 2.5, None]
    assert [q.reason for q in result.quarantined] == ["a: is a text, must be double"]
