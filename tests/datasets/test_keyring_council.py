"""Keys as decisions of the council: every node has them, shredding is final."""

import secrets

import pytest

from multicloud.errors import McError
from nodeagent.core.chunk.key_record import KeyRecord, rewrap, wrap
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey
from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.store.keyring_council import KEYS, CouncilKeyring

OLD, NEW = ClusterKey(1, bytes(32)), ClusterKey(2, bytes(range(32)))
KEY = DatasetKey(bytes(range(16)), bytes(range(32)))


def record(key: DatasetKey = KEY, cluster_key: ClusterKey = OLD) -> KeyRecord:
    nonce = secrets.token_bytes(12)
    return wrap(key, cluster_key, dataset="corpus", created_unix_ms=7, nonce=nonce)


async def test_a_key_decided_on_one_node_opens_on_another() -> None:
    council = InMemoryCouncil()
    await CouncilKeyring(council, {1: OLD}).put(record(), "op")
    other = CouncilKeyring(council, {1: OLD})
    assert await other.key(KEY.id) == KEY
    assert [one.key_id for one in other.records()] == [KEY.id]


async def test_a_key_is_rewrapped_and_never_replaced_by_another() -> None:
    council = InMemoryCouncil()
    keyring = CouncilKeyring(council, {1: OLD, 2: NEW})
    await keyring.put(record(), "one")
    again = rewrap(record(), OLD, NEW, nonce=bytes(12))
    await keyring.put(again, "two")
    assert await keyring.find(KEY.id) == again
    assert await keyring.key(KEY.id) == KEY
    made_later = wrap(KEY, OLD, dataset="corpus", created_unix_ms=8, nonce=bytes(12))
    with pytest.raises(McError) as refused:
        await keyring.put(made_later, "three")
    assert refused.value.reason == "ALREADY_EXISTS"


async def test_a_shredded_key_never_comes_back() -> None:
    keyring = CouncilKeyring(InMemoryCouncil(), {1: OLD})
    await keyring.put(record(), "one")
    assert await keyring.shred(KEY.id, "two")
    assert not await keyring.shred(KEY.id, "three")
    assert list(keyring.records()) == []
    for attempt in (keyring.key(KEY.id), keyring.put(record(), "four")):
        with pytest.raises(McError) as gone:
            await attempt
        assert gone.value.reason == "KEY_MISSING"


async def test_a_node_without_the_cluster_key_says_so() -> None:
    council = InMemoryCouncil()
    await CouncilKeyring(council, {1: OLD}).put(record(), "one")
    for keys, word in (({}, "only stores"), ({2: NEW}, "version 1 of the cluster key")):
        with pytest.raises(McError, match=word) as missing:
            await CouncilKeyring(council, keys).key(KEY.id)
        assert missing.value.reason == "KEY_MISSING"


async def test_a_record_under_another_name_is_damage() -> None:
    council = InMemoryCouncil()
    keyring = CouncilKeyring(council, {1: OLD})
    await keyring.put(record(), "one")
    (register,) = council.list(KEYS)
    await council.compare_and_set(KEYS + "ff" * 16, 0, register.value, "two")
    with pytest.raises(McError) as found:
        await keyring.key(b"\xff" * 16)
    assert found.value.reason == "DAMAGE"
