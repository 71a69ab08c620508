"""Chunks that go along a chain are files, the same to the bit, on the disk of every node; what is
refused leaves nothing there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from multicloud.channel import Credentials
from multicloud.errors import McError
from tests.support.chunks import seal
from tests.support.meeting import meeting
from tests.support.nodes import Running, until
from tests.support.people import People
from tests.support.puts import opening, parts_of, put, sending, tree

MIB = 1 << 20


@pytest.fixture(scope="module")
async def disks(
    people: People, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        yield await meeting(stack, people, tmp_path_factory.mktemp("disks"), 3, on_disk=True)


def volume(node: Running) -> Path:
    return node.place.state / "chunks"


def files(node: Running) -> dict[str, bytes]:
    found = (volume(node) / "chunks").glob("*/*.chunk")
    return {path.stem: path.read_bytes() for path in found}


def drafts(node: Running) -> list[Path]:
    return list((volume(node) / "tmp").iterdir())


async def test_three_disks_have_the_same_file(disks: list[Running], sender: Credentials) -> None:
    a, b, c = disks
    chunk = seal(os.urandom(5 * MIB + 7), frame_bytes=MIB)
    facts = await put(a, sender, chunk, tree(b.place.id, tree(c.place.id)))
    assert {f.node: f.outcome for f in facts} == dict.fromkeys(
        (n.place.id for n in disks), "stored"
    )
    for node in disks:
        assert files(node)[chunk.id.hex()] == chunk.file
        assert drafts(node) == []
    assert {f.volume for f in facts} == {
        uuid for node in disks for uuid in node.node.data.store.healths()
    }


@pytest.mark.parametrize("upto", [0, 1, 2, 4, -1])
async def test_what_is_cut_off_leaves_nothing_on_any_disk(
    disks: list[Running], sender: Credentials, upto: int
) -> None:
    a, b, c = disks
    chunk = seal(f"cut off at {upto}".encode() * 2000)
    async with sending(a, sender) as stream:
        await stream.send(opening(tree(b.place.id, tree(c.place.id))))
        for part in parts_of(chunk)[:upto]:
            await stream.part(part)
        with pytest.raises(McError) as error:
            await stream.end()
    assert error.value.reason == "BAD_REQUEST"
    await until(lambda: not any(drafts(node) for node in disks))
    assert not any(chunk.id.hex() in files(node) for node in disks)
    assert not any(node.node.data.budget.used_bytes for node in disks)


async def test_a_trailer_of_another_chunk_leaves_nothing_on_any_disk(
    disks: list[Running], sender: Credentials
) -> None:
    a, b, c = disks
    one, other = seal(b"one chunk" * 2000), seal(b"the other" * 2000)
    async with sending(a, sender) as stream:
        await stream.send(opening(tree(b.place.id, tree(c.place.id))))
        for part in [*parts_of(one)[:-1], parts_of(other)[-1]]:
            await stream.part(part)
        with pytest.raises(McError) as error:
            await stream.end()
    assert error.value.reason == "DAMAGE"
    await until(lambda: not any(drafts(node) for node in disks))
    for node in disks:
        assert not {one.id.hex(), other.id.hex()} & set(files(node))
