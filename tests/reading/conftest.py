"""Three real nodes with a dataset of many formats, and a person whose programs read it."""

import asyncio
import io
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from identity.records import trust_json
from multicloud.context import Context, Contexts, Endpoint
from tests.datasets.shelf import Shelf, shelf
from tests.reading.endpoint import Endpoint as S3Endpoint
from tests.reading.endpoint import endpoint
from tests.support.people import CLUSTER, People

MIB = 1 << 20
BIG = [os.urandom(2 * MIB + 5), os.urandom(MIB), b"end"]
ROWS = 1000


def parquet(begin: int = 0) -> bytes:
    into = io.BytesIO()
    ids = list(range(begin, begin + ROWS))
    table = pa.table({"id": ids, "text": [f"row {n}" for n in ids]})
    pq.write_table(table, into, row_group_size=100)
    return into.getvalue()


def shard(first: int, count: int) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        for number in range(first, first + count):
            data = f"sample {number}".encode()
            entry = tarfile.TarInfo(f"{number:05}.txt")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return into.getvalue()


FILES = {
    b"big.bin": BIG,
    b"rows.jsonl": [b"".join(b'{"id": %d}\n' % n for n in range(ROWS))],
    b"shards/0.tar": [shard(0, 25)],
    b"shards/1.tar": [shard(25, 25)],
    b"table/a.parquet": [parquet()],
    b"table/b.parquet": [parquet(ROWS)],
    b"table.md": [b"# ids and texts\n"],
}
MANY = {b"part/%04d" % number: [b"%d" % number] for number in range(1500)} | {
    "odd/å & <b>+%.txt".encode(): [b"odd"],
    b"odd/\xff": [b"no utf-8"],
    b"top": [b""],
}


@dataclass
class Person:
    env: dict[str, str]
    folder: Path
    trio: Shelf

    async def runs(self, program: str, *more: str) -> list[object]:
        """What a program of the person printed, as JSON, line by line."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *more, env=self.env, stdout=pipe, stderr=pipe
        )
        said, errors = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, errors.decode()
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture(scope="package")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
async def corpus(people: People, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    async with AsyncExitStack() as stack:
        trio = await shelf(stack, people, tmp_path_factory.mktemp("trio"))
        await trio.put("corpus", "1", FILES)
        await trio.put("many", "1", MANY, packed=True)
        await trio.known_everywhere("many", "1")
        yield trio


@pytest.fixture(scope="package")
async def s3(
    corpus: Shelf, people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[S3Endpoint]:
    async with AsyncExitStack() as stack:
        yield await endpoint(stack, people, corpus, tmp_path_factory.mktemp("s3"), stall_s=2.0)


@pytest.fixture
async def person(corpus: Shelf, people: People, tmp_path: Path) -> Person:
    env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    who = people.operator("ann", "submitter")
    nodes = [Endpoint(n.place.id, n.place.name, n.address) for n in corpus.nodes[1:]]
    trust = trust_json(people.authority.trust)
    pems = who.certificate_pem, who.key_pem
    Contexts(env).save(Context(CLUSTER, CLUSTER, tuple(nodes), *pems, trust))
    return Person(env, tmp_path, corpus)
