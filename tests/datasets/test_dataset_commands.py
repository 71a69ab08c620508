"""The commands of datasets, as a person types them, against three real nodes."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from identity.records import trust_json
from multicloud.context import Context, Contexts, Endpoint
from tests.datasets.shelf import Shelf
from tests.support.people import CLUSTER, People

MIB = 1 << 20
BIG = [os.urandom(2 * MIB + 5), os.urandom(MIB), b"end"]
FILES = {
    b"big.bin": BIG,
    b"dir/a.txt": [b"hello\n"],
    b"dir/empty": [b""],
    b"dir/odd-\xff": [b"odd"],
    b"other/b.txt": [b"bye\n"],
}


@dataclass
class Person:
    env: dict[str, str]
    folder: Path
    trio: Shelf

    async def types(self, *words: str | Path) -> tuple[int, bytes, str]:
        """Exit code, stdout, stderr."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mcctl", *words, env=self.env, stdout=pipe, stderr=pipe
        )
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said, errors.decode()

    async def asks(self, *words: str | Path) -> tuple[int, Any]:
        code, said, errors = await self.types(*words, "-o", "json")
        return code, json.loads(said or errors)


@pytest.fixture(scope="module")
async def corpus(trio: Shelf) -> Shelf:
    await trio.put("corpus", "1", FILES)
    await trio.known_everywhere("corpus", "1")
    return trio


@pytest.fixture
async def person(corpus: Shelf, people: People, tmp_path: Path) -> Person:
    env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    one, who = corpus.nodes[1], people.operator("ann", "admin")
    endpoint = Endpoint(one.place.id, one.place.name, one.address)
    trust = trust_json(people.authority.trust)
    pems = who.certificate_pem, who.key_pem
    Contexts(env).save(Context(CLUSTER, CLUSTER, (endpoint,), *pems, trust))
    return Person(env, tmp_path, corpus)


async def test_versions_and_files_are_listed_with_the_fields_of_the_contract(
    person: Person,
) -> None:
    code, found = await person.asks("datasets")
    assert code == 0
    (one,) = [each for each in found if each["name"] == "corpus"]
    whole = sum(len(b"".join(parts)) for parts in FILES.values())
    counts = (one["version"], one["files"], one["chunks"], one["bytes"])
    assert counts == ("1", len(FILES), sum(map(len, FILES.values())), whole)
    assert one["created"].startswith("2023-11-14T")
    code, files = await person.asks("ls", "corpus@1", "dir/")
    assert code == 0
    assert [(f["path"], f["bytes"]) for f in files] == [
        ("dir/a.txt", 6),
        ("dir/empty", 0),
        ("dir/odd-\\xff", 3),
    ]
    code, said = await person.asks("ls", "corpus@7")
    assert (code, said["error"]["reason"]) == (5, "NOT_FOUND")


async def test_get_brings_every_file_exactly_and_goes_on_where_it_stopped(
    person: Person,
) -> None:
    into = person.folder / "out"
    code, found = await person.asks("get", "corpus", into)
    assert (code, found["fetched"], found["version"]) == (0, len(FILES), "1")
    root = os.fsencode(into)
    for path, parts in FILES.items():
        file = os.path.join(root, path)
        assert Path(os.fsdecode(file)).read_bytes() == b"".join(parts)
        assert os.stat(file).st_mode & 0o777 == 0o640
        assert os.stat(file).st_mtime_ns == 1_700_000_000_123_000_000
    # The first part of the large file is there, and the rest is not.
    whole = (into / "big.bin").read_bytes()
    (into / "big.bin").unlink()
    (into / ".big.bin.mcctl-part").write_bytes(whole[: len(BIG[0]) + 100])
    code, found = await person.asks("get", "corpus", into)
    assert code == 0, found
    assert (found["fetched"], found["already"]) == (1, len(FILES) - 1)
    assert found["bytes_fetched"] == len(whole) - len(BIG[0])
    assert (into / "big.bin").read_bytes() == whole
    assert not list(into.glob(".*"))


async def test_get_leaves_what_differs_and_says_so(person: Person) -> None:
    into = person.folder / "out"
    (into / "dir").mkdir(parents=True)
    mine = into / "dir" / "a.txt"
    mine.write_bytes(b"MINE!\n")
    only = ("get", "corpus@1", into, "--include", "*.txt", "--exclude", "other")
    code, found = await person.asks(*only)
    assert (code, found["differing"], found["files"]) == (1, ["dir/a.txt"], 1)
    assert mine.read_bytes() == b"MINE!\n"
    code, found = await person.asks(*only, "--overwrite")
    assert (code, found["fetched"]) == (0, 1)
    assert mine.read_bytes() == b"hello\n"


async def test_get_writes_nothing_through_a_link_that_leads_out(person: Person) -> None:
    into, elsewhere = person.folder / "out", person.folder / "elsewhere"
    into.mkdir()
    elsewhere.mkdir()
    (into / "dir").symlink_to(elsewhere)
    code, said = await person.asks("get", "corpus@1", into, "--include", "dir")
    assert (code, said["error"]["reason"]) == (1, "FAILED")
    assert not list(elsewhere.iterdir())


async def test_cat_gives_the_bytes_alone(person: Person) -> None:
    code, said, _ = await person.types("cat", "corpus@1", "big.bin")
    assert (code, said) == (0, b"".join(BIG))
    code, _, errors = await person.types("cat", "corpus@1", "none")
    assert code == 5
    assert "has no file none" in errors


async def test_verify_counts_copies_and_names_a_bad_one(person: Person) -> None:
    code, found = await person.asks("verify", "corpus@1")
    chunks = len(person.trio.chunks["corpus@1"]) + 1
    assert code == 0
    assert found["chunks"] == chunks
    assert found["copies_good"] == found["copies_checked"] == 3 * chunks
    assert (found["copies_bad"], found["copies_missing"]) == (0, 0)
    await person.trio.put("bad", "1", {b"x": [b"x" * 100]})
    await person.trio.known_everywhere("bad", "1")
    person.trio.store(2).spoil(person.trio.chunks["bad@1"][0], 90)
    code, found = await person.asks("verify", "bad@1")
    assert (code, found["copies_bad"], found["copies_missing"]) == (1, 1, 1)
    assert [one["node"] for one in found["bad"]] == ["node-3"]


async def test_a_removed_version_comes_back_and_a_shredded_one_does_not(person: Person) -> None:
    await person.trio.put("gone", "1", {b"x": [b"x" * 1000]})
    await person.trio.known_everywhere("gone", "1")
    code, _, errors = await person.types("rm", "gone@1")
    assert code == 2  # Nobody is there to be asked.
    assert "frees" in errors
    code, found = await person.asks("rm", "gone@1", "-y")
    assert (code, found["chunks_freed"]) == (0, 2)
    code, said_ = await person.asks("ls", "gone@1")
    assert (code, said_["error"]["next"]) == (5, "mcctl undelete gone@1")
    code, _ = await person.asks("undelete", "gone@1")
    assert code == 0
    code, files = await person.asks("ls", "gone@1")
    assert (code, len(files)) == (0, 1)
    code, _ = await person.asks("rm", "gone@1", "--shred", "-y")
    assert code == 0
    code, said_ = await person.asks("undelete", "gone@1")
    assert (code, said_["error"]["reason"]) == (1, "FAILED")


async def test_who_may_only_look_reads_no_bytes(person: Person, people: People) -> None:
    one, who = person.trio.nodes[1], people.operator("eve", "auditor")
    endpoint = Endpoint(one.place.id, one.place.name, one.address)
    trust = trust_json(people.authority.trust)
    pems = who.certificate_pem, who.key_pem
    Contexts(person.env).save(Context(CLUSTER, CLUSTER, (endpoint,), *pems, trust))
    code, _ = await person.asks("ls", "corpus@1")
    assert code == 0
    for words in (("cat", "corpus@1", "dir/a.txt"), ("rm", "corpus@1", "-y")):
        code, _, errors = await person.types(*words)
        assert code == 4, errors
