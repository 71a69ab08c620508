"""The vault opens with its passphrase only, notices every change, and is not slow or large."""

import json
import time
from pathlib import Path

import pytest
from identity_world import PASSPHRASE

from identity.authority import VAULT, Authority
from identity.vault import Vault
from multicloud.errors import McError

SECRET = b"4711-0815"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Vault.create(tmp_path / "vault.json", PASSPHRASE, SECRET)
    return tmp_path / "vault.json"


def refused(path: Path, passphrase: str = PASSPHRASE) -> McError:
    with pytest.raises(McError) as caught:
        Vault.open(path, passphrase)
    return caught.value


def test_it_opens_with_its_passphrase(path: Path) -> None:
    assert Vault.open(path, PASSPHRASE).secret == SECRET


@pytest.mark.parametrize("wrong", ["", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_it_opens_with_no_other(wrong: str, path: Path) -> None:
    assert refused(path, wrong).reason == "PASSPHRASE_WRONG"


def test_a_new_secret_takes_the_same_passphrase(path: Path) -> None:
    vault = Vault.open(path, PASSPHRASE)
    vault.replace(b"another")
    assert vault.secret == Vault.open(path, PASSPHRASE).secret == b"another"


def test_the_secret_is_not_in_the_file_nor_in_a_repr(path: Path) -> None:
    assert SECRET not in path.read_bytes()
    assert SECRET.decode() not in repr(Vault.open(path, PASSPHRASE))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["salt", "nonce", "sealed"])
def test_a_changed_byte_is_noticed(field: str, path: Path) -> None:
    fields = json.loads(path.read_bytes())
    text = fields[field]
    fields[field] = ("B" if text[0] == "A" else "A") + text[1:]
    path.write_text(json.dumps(fields))
    assert refused(path).reason == "PASSPHRASE_WRONG"


@pytest.mark.parametrize(
    "change",
    [
        {"n": 1 << 30},
        {"n": 3},
        {"n": 0},
        {"r": 1 << 20},
        {"p": 100},
        {"format": "x"},
        {"nonce": ""},
    ],
)
def test_a_forged_header_costs_neither_time_nor_memory(
    change: dict[str, object], path: Path
) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    assert refused(path).reason == "CONFIG_INVALID"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_what_is_no_vault_is_a_typed_error(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert refused(path).reason == "CONFIG_INVALID"


def test_unlocking_takes_less_than_half_a_second(path: Path) -> None:
    spent_s = []
    for _ in range(3):
        begin_s = time.process_time()  # Of this process: others share the machine.
        Vault.open(path, PASSPHRASE)
        spent_s.append(time.process_time() - begin_s)
    assert min(spent_s) < 0.5


def test_an_authority_is_opened_with_its_passphrase_and_never_made_twice(
    authority: Authority, tmp_path: Path
) -> None:
    again = Authority.open(authority.folder, PASSPHRASE)
    assert again.trust == authority.trust
    assert again.cluster_key == authority.cluster_key
    with pytest.raises(McError) as caught:
        Authority.open(authority.folder, "wrong")
    assert caught.value.reason == "PASSPHRASE_WRONG"
    with pytest.raises(McError) as caught:
        Authority.create(authority.folder, "prod", PASSPHRASE)
    assert caught.value.reason == "ALREADY_EXISTS"
    with pytest.raises(McError) as caught:
        Authority.open(tmp_path / "nowhere", PASSPHRASE)
    assert caught.value.reason == "NOT_FOUND"


def test_a_trust_bundle_of_another_authority_is_noticed(
    authority: Authority, stranger: Authority
) -> None:
    foreign = (stranger.folder / "trust.json").read_bytes()
    (authority.folder / "trust.json").write_bytes(foreign)
    with pytest.raises(McError, match="not in the vault"):
        Authority.open(authority.folder, PASSPHRASE)
    assert (authority.folder / VAULT).exists()
