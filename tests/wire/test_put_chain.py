"""A chunk goes along a tree of real nodes over mTLS and is the same on each of them."""

from multicloud.channel import Credentials
from tests.support.chunks import seal
from tests.support.nodes import Running
from tests.support.puts import put, tree


async def file_of(node: Running, chunk_id: bytes) -> bytes:
    reading = await node.node.data.store.read(chunk_id)
    frames = [frame async for frame in reading.frames()]
    await reading.close()
    return reading.envelope.header + b"".join(frames) + reading.envelope.trailer


async def test_a_chunk_is_stored_on_one_node(trio: list[Running], sender: Credentials) -> None:
    one = trio[0]
    chunk = seal(b"one" * 5000)
    facts = await put(one, sender, chunk)
    assert [(f.node, f.outcome, f.chunk_id) for f in facts] == [(one.place.id, "stored", chunk.id)]
    assert await file_of(one, chunk.id) == chunk.file


async def test_a_chain_of_three_has_the_same_bytes_everywhere(
    trio: list[Running], sender: Credentials
) -> None:
    a, b, c = trio
    chunk = seal(bytes(range(256)) * 20_000, frame_bytes=1 << 20)
    facts = await put(a, sender, chunk, tree(b.place.id, tree(c.place.id)))
    assert sorted((f.node, f.outcome) for f in facts) == [
        (node.place.id, "stored") for node in trio
    ]
    assert len({f.volume for f in facts}) == 3
    for node in trio:
        assert await file_of(node, chunk.id) == chunk.file
