"""`mc://` through fsspec, with the tools that people read data with, on real nodes."""

from tests.reading.conftest import FILES, Person

BEGIN = """
import json, fsspec
from multicloud.fs import McFileSystem
fsspec.register_implementation("mc", McFileSystem, clobber=True)
say = lambda what: print(json.dumps(what, default=str))
"""


async def test_fsspec_finds_describes_reads_and_caches(person: Person) -> None:
    program = (
        BEGIN
        + """
import pickle
fs = fsspec.filesystem("mc")
say("corpus@1" in fs.ls("mc://", detail=False))
say(sorted(fs.ls("mc://corpus@1", detail=False)))
say(fs.ls("corpus@1/table/", detail=False))
say(fs.glob("mc://corpus@1/**/*.parquet"))
say(len(fs.find("corpus@1")))
say([name for name in fs.find("corpus@1/table", withdirs=True)])
info = fs.info("mc://corpus@1/table.md")
say([info["size"], info["type"], len(info["etag"]), str(info["modified"])[:4]])
say([fs.isdir("corpus@1/table"), fs.isdir("corpus@1/none"), fs.exists("corpus@1/table.md")])
say(fs.ukey("corpus@1/table/a.parquet") != fs.ukey("corpus@1/table/b.parquet"))
say(fs.cat_file("mc://corpus@1/table.md", 2, 5).decode())
paths = ["corpus@1/table.md"] * 2 + ["corpus@1/none"]
got = fs.cat_ranges(paths, [0, -6, 0], [1, None, 1])
say([got[0].decode(), got[1].decode(), type(got[2]).__name__])
say(pickle.loads(pickle.dumps(fs)).cat("corpus@1/table.md").decode())
with fsspec.open("simplecache::mc://corpus@1/table.md", mc={}) as file:
    say(file.read().decode())
with fsspec.open("mc://corpus@1/rows.jsonl", "rt") as file:
    say(file.readline())
try:
    fs.open("mc://corpus@1/new", "wb")
except OSError as error:
    say("read only" in str(error))
"""
    )
    full = [f"corpus@1/{path.decode()}" for path in FILES]
    assert await person.runs(program) == [
        True,
        [f"corpus@1/{name}" for name in ("big.bin", "rows.jsonl", "shards", "table", "table.md")],
        ["corpus@1/table/a.parquet", "corpus@1/table/b.parquet"],
        ["corpus@1/table/a.parquet", "corpus@1/table/b.parquet"],
        len(full),
        ["corpus@1/table/a.parquet", "corpus@1/table/b.parquet"],
        [16, "file", 64, "2023"],
        [True, False, True],
        True,
        "ids",
        ["#", "texts\n", "FileNotFoundError"],
        "# ids and texts\n",
        "# ids and texts\n",
        '{"id": 0}\n',
        True,
    ]


async def test_pandas_pyarrow_duckdb_and_webdataset_read_mc(person: Person) -> None:
    program = (
        BEGIN
        + """
import pandas
say(int(pandas.read_parquet("mc://corpus@1/table/a.parquet")["id"].sum()))
say(len(pandas.read_json("mc://corpus@1/rows.jsonl", lines=True)))
import pyarrow.dataset, pyarrow.parquet
fs = fsspec.filesystem("mc")
say(pyarrow.parquet.read_table("corpus@1/table/b.parquet", filesystem=fs).num_rows)
tables = pyarrow.dataset.dataset("corpus@1/table", filesystem=fs, format="parquet")
say(tables.to_table(filter=pyarrow.dataset.field("id") >= 1990).num_rows)
import duckdb
duck = duckdb.connect()
duck.register_filesystem(fs)
say(duck.sql("select count(*), sum(id) from 'mc://corpus@1/table/*.parquet'").fetchall())
import multicloud.webdataset, webdataset
multicloud.webdataset.register()
samples = webdataset.WebDataset(
    ["mc://corpus@1/shards/0.tar", "mc://corpus@1/shards/1.tar"], shardshuffle=False
)
say([sample["txt"].decode() for sample in samples][-1])
"""
    )
    total = sum(range(2000))
    assert await person.runs(program) == [
        sum(range(1000)),
        1000,
        1000,
        10,
        [[2000, total]],
        "sample 49",
    ]


async def test_threads_that_share_a_file_read_where_they_sought(person: Person) -> None:
    program = (
        BEGIN
        + """
from concurrent.futures import ThreadPoolExecutor
cluster = fsspec.filesystem("mc").cluster
whole = cluster.read("corpus@1/big.bin")
file = cluster.open("corpus@1/big.bin")
def piece(at):
    file.seek(at)
    return file.read(100) == whole[at : at + 100]
with ThreadPoolExecutor(8) as threads:
    say(all(threads.map(piece, [n * 7919 % 3_000_000 for n in range(200)])))
"""
    )
    assert await person.runs(program) == [True]
