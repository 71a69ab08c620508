"""Secrets are read only where nobody else can, and written whole."""

import os
import stat
from pathlib import Path

import pytest

from identity.files import make_private_folder, read_public, read_secret, write_public, write_secret
from multicloud.errors import McError
from multicloud.files import FILE_BYTES_MAX


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_what_is_written_is_read_and_private_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_secret(tmp_path / "key", b"one")
        write_secret(tmp_path / "key", b"two")
        write_public(tmp_path / "crt", b"three")
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert read_secret(tmp_path / "key") == b"two"
    assert read_public(tmp_path / "crt") == b"three"
    assert mode(tmp_path / "key") == 0o600
    assert mode(tmp_path / "crt") == 0o644
    assert mode(tmp_path / "a" / "b") == 0o700
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "crt", "key"]


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o644, 0o666, 0o610, 0o620])
def test_a_secret_that_others_reach_is_refused(wrong: int, tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"secret")
    path.chmod(wrong)
    with pytest.raises(McError) as refused:
        read_secret(path)
    assert refused.value.reason == "SECRET_EXPOSED"
    assert str(path) in refused.value.message
    assert f"{wrong:04o}" in refused.value.message
    assert refused.value.next == f"chmod 600 {path}"


@pytest.mark.parametrize("right", [0o600, 0o400])
def test_a_private_secret_is_read(right: int, tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"secret")
    (tmp_path / "key").chmod(right)
    assert read_secret(tmp_path / "key") == b"secret"


def test_an_access_list_is_no_excuse_for_the_world(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"secret")
    (tmp_path / "key").chmod(0o440)
    assert read_secret(tmp_path / "key", group_may_read=True) == b"secret"
    (tmp_path / "key").chmod(0o444)
    with pytest.raises(McError):
        read_secret(tmp_path / "key", group_may_read=True)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, said in (
        ("link", "symbolic link"),
        ("fifo", "not a regular file"),
        ("folder", "not a regular file"),
        ("nothing", "does not exist"),
    ):
        with pytest.raises(McError, match=said) as refused:
            read_secret(tmp_path / name)
        assert refused.value.reason == "CONFIG_INVALID"


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"x" * FILE_BYTES_MAX)
    assert len(read_secret(tmp_path / "key")) == FILE_BYTES_MAX
    write_secret(tmp_path / "key", b"x" * (FILE_BYTES_MAX + 1))
    with pytest.raises(McError, match="larger than"):
        read_secret(tmp_path / "key")


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()  # A folder cannot be replaced by a file.
    with pytest.raises(McError, match="cannot be written"):
        write_secret(tmp_path / "key", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(McError, match="cannot be written"):
        write_secret(tmp_path / "nowhere" / "key", b"new")
