"""Dataset keys are wrapped, rotated without touching a chunk, and gone when shredded."""

import json
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from multicloud.errors import McError
from nodeagent.core.chunk import key_record
from nodeagent.core.chunk.key_record import KeyRecord
from nodeagent.core.chunk.keys import ClusterKey, DatasetKey, duplicate_tag
from nodeagent.store.keyring import Keyring, MemoryKeyring, dataset_key, rotate
from nodeagent.store.keyring_folder import FolderKeyring
from tests.support.chunks import KEY, open_file, seal

OLD, NEW = ClusterKey(1, bytes(32)), ClusterKey(2, b"n" * 32)
BOTH = {1: OLD, 2: NEW}


def record_of(key: DatasetKey = KEY, dataset: str = "corpus") -> KeyRecord:
    return key_record.wrap(key, OLD, dataset=dataset, created_unix_ms=7, nonce=bytes(12))


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def nonces() -> Callable[[], bytes]:
    numbers = count(1)
    return lambda: next(numbers).to_bytes(12, "big")


@pytest.fixture(params=["memory", "folder"])
def keyring(request: pytest.FixtureRequest, tmp_path: Path) -> Keyring:
    return MemoryKeyring() if request.param == "memory" else FolderKeyring(tmp_path / "keyring")


def reason(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(McError) as refused:
        call(*arguments)
    return refused.value.reason


def test_a_key_comes_back_from_its_record(keyring: Keyring) -> None:
    keyring.put(record_of())
    assert dataset_key(keyring, KEY.id, BOTH) == KEY
    assert list(keyring.records()) == [record_of()]


def test_rotation_rewraps_every_record_and_chunks_still_open(keyring: Keyring) -> None:
    other = DatasetKey(b"b" * 16, b"s" * 32)
    keyring.put(record_of())
    keyring.put(record_of(other, "images"))
    chunk = seal(b"sealed before the rotation")
    assert rotate(keyring, OLD, NEW, nonce=nonces()) == 2
    assert rotate(keyring, OLD, NEW, nonce=nonces()) == 0
    assert dataset_key(keyring, other.id, {2: NEW}) == other
    assert open_file(chunk.file, dataset_key(keyring, KEY.id, {2: NEW}))
    assert reason(dataset_key, keyring, KEY.id, {1: OLD}) == "KEY_MISSING"


def test_a_rotation_that_was_cut_short_is_taken_up_again(keyring: Keyring) -> None:
    for number in range(3):
        keyring.put(record_of(DatasetKey(bytes([number]) * 16, bytes(32))))
    few = iter([bytes(12)])
    with pytest.raises(StopIteration):
        rotate(keyring, OLD, NEW, nonce=lambda: next(few))
    for record in keyring.records():
        assert dataset_key(keyring, record.key_id, BOTH)
    assert rotate(keyring, OLD, NEW, nonce=nonces()) == 2


def test_a_shredded_key_is_gone(keyring: Keyring) -> None:
    keyring.put(record_of())
    assert keyring.remove(KEY.id)
    assert not keyring.remove(KEY.id)
    assert list(keyring.records()) == []
    assert reason(dataset_key, keyring, KEY.id, BOTH) == "KEY_MISSING"


def test_an_id_is_for_one_key_for_ever(keyring: Keyring) -> None:
    keyring.put(record_of())
    assert reason(keyring.put, record_of(dataset="other")) == "ALREADY_EXISTS"
    keyring.put(record_of())  # The same once more is no other.
    assert dataset_key(keyring, KEY.id, BOTH) == KEY


def test_a_record_is_bound_to_all_that_it_says() -> None:
    fields = json.loads(key_record.encode(record_of()))
    for name, other in [
        ("key_id", "00" * 16),
        ("dataset", "stolen"),
        ("created_unix_ms", 8),
        ("nonce", "AAAAAAAAAAAAAAAB"),
    ]:
        forged = key_record.decode(json.dumps({**fields, name: other}).encode(), "here")
        assert reason(key_record.unwrap, forged, OLD) == "DAMAGE"
    again = key_record.decode(json.dumps({**fields, "cluster_key_version": 2}).encode(), "here")
    assert reason(key_record.unwrap, again, ClusterKey(2, OLD.secret)) == "DAMAGE"
    assert reason(key_record.unwrap, record_of(), ClusterKey(1, b"x" * 32)) == "DAMAGE"


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=60), trees.map(lambda tree: json.dumps(tree).encode())))
def test_noise_is_no_record(noise: bytes) -> None:
    assert reason(key_record.decode, noise, "here") == "DAMAGE"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(json.loads(key_record.encode(record_of())))), trees)
def test_a_field_of_another_kind_is_no_record(name: str, value: object) -> None:
    fields_of_record = json.loads(key_record.encode(record_of()))
    fields = fields_of_record | {name: value}
    content, stands = json.dumps(fields).encode(), value == fields_of_record[name]
    free = name == "dataset" and isinstance(value, str) and 0 < len(value.encode()) < 256
    assume(not stands or type(value) is type(fields_of_record[name]))  # 1.0 and True equal 1.
    free = free or (name == "created_unix_ms" and type(value) is int and 0 <= value < 1 << 64)
    free = free or (name == "cluster_key_version" and type(value) is int and 0 < value < 1 << 32)
    if free or stands:
        found = key_record.decode(content, "here")
        assert json.loads(key_record.encode(found)) == fields
    else:
        assert reason(key_record.decode, content, "here") in {"DAMAGE", "UNSUPPORTED"}


def test_files_of_keys_are_private_and_survive_a_restart(tmp_path: Path) -> None:
    FolderKeyring(tmp_path / "keyring").put(record_of())
    (file,) = (tmp_path / "keyring").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY.secret.hex() not in file.read_text()
    assert dataset_key(FolderKeyring(tmp_path / "keyring"), KEY.id, BOTH) == KEY
    file.chmod(0o640)
    assert reason(FolderKeyring(tmp_path / "keyring").get, KEY.id) == "SECRET_EXPOSED"


def test_a_record_under_another_name_or_torn_is_an_error_and_never_skipped(tmp_path: Path) -> None:
    keyring = FolderKeyring(tmp_path)
    keyring.put(record_of())
    (file,) = tmp_path.iterdir()
    moved = file.with_name(f"{'00' * 16}.key.json")
    file.rename(moved)
    assert reason(keyring.records) == "DAMAGE"
    moved.rename(file)
    file.write_bytes(file.read_bytes()[:-20])
    assert reason(keyring.records) == "DAMAGE"


def test_a_draft_of_a_crash_is_swept_so_that_shredding_is_whole(tmp_path: Path) -> None:
    FolderKeyring(tmp_path).put(record_of())
    draft = tmp_path / f".{KEY.id.hex()}.key.json.1234"
    draft.write_bytes(key_record.encode(record_of()))
    assert FolderKeyring(tmp_path).remove(KEY.id)
    assert list(tmp_path.iterdir()) == []


def test_no_secret_is_shown() -> None:
    secret = DatasetKey(bytes(16), b"hunter2hunter2hunter2hunter2hunt")
    assert "hunter2" not in repr(secret) + repr(ClusterKey(1, secret.secret))


def test_the_tag_of_a_duplicate_is_the_dataset_s_own() -> None:
    one, same, third = seal(b"a"), seal(b"a", salt=bytes(32)), seal(b"b")
    other = DatasetKey(KEY.id, bytes(32))
    assert duplicate_tag(KEY, one.plain_hash) == duplicate_tag(KEY, same.plain_hash)
    assert duplicate_tag(KEY, one.plain_hash) != duplicate_tag(KEY, third.plain_hash)
    assert duplicate_tag(KEY, one.plain_hash) != duplicate_tag(other, one.plain_hash)
