"""Whatever stands in a file, a task ends: with records, or with a reason that says what is bad."""

import gzip
import io

import polars as pl
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from tests.process.tasks import run
from tests.process.test_engine import jsonl, tar_of


def parquet() -> bytes:
    out = io.BytesIO()
    frame = pl.DataFrame({"id": range(300), "text": [str(i) * 3 for i in range(300)]})
    frame.write_parquet(out, row_group_size=100)
    return out.getvalue()


LINES = jsonl(*({"id": i, "text": "t" * i, "l": [1, {"a": None}]} for i in range(40)))
TAR = tar_of(**{f"s{i}__{k}": b"x" * i * 30 for i in range(9) for k in ("jpg", "cls")})
FILES = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.jsonl.zst": zstandard.compress(LINES),
    "a.csv": b"id,text\n" + b"".join(b'%d,"a""b,%d"\n' % (i, i) for i in range(40)),
    "a.parquet": parquet(),
    "a.tar": TAR,
    "a.tgz": gzip.compress(TAR),
}
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 200), st.binary(max_size=8)), min_size=1, max_size=5
)


@given(
    st.sampled_from(sorted(FILES)),
    EDITS,
    st.sampled_from(["same", "jsonl", "parquet", "tar"]),
    st.sampled_from([97, 1000, 1 << 20]),
)
@example("a.jsonl", [(0.5, 1, b'"')], "parquet", 97)
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_gives_records_or_a_reason(
    name: str, edits: list[tuple[float, int, bytes]], form: str, target: int
) -> None:
    data = bytearray(FILES[name])
    for where, gone, new in edits:
        at = int(where * len(data))
        data[at : at + gone] = new
    text = f'[[step]]\nuse = "dedupe"\n[output]\nformat = "{form}"\n'
    try:
        result = run(text, {name: bytes(data)}, target)
    except McError as error:
        reason = error.reason
    else:
        reason = ""
        assert all(data is not None for data in result.files.values())
    assert reason in ("", "INPUT_BROKEN", "RECORDS_BAD")
