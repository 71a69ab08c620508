"""Small files that must be whole, durable and, where secret, private.

A secret is read only when nobody else can read it; a file is replaced in one
step, so a reader sees the old content or the new one and never a part.
"""

import os
import secrets
import stat
from pathlib import Path

from multicloud.errors import McError

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
FOLDER_MODE = 0o700
FILE_BYTES_MAX = 4 << 20


def read_secret(path: Path, *, group_may_read: bool = False) -> bytes:
    """The bytes of a private file.

    `group_may_read` is for systemd's credentials: they are handed over by an access
    list, which shows as a group bit, in a folder that only the service can enter.
    """
    exposed = 0o037 if group_may_read else 0o077
    fd = _open(path)
    try:
        mode = stat.S_IMODE(_regular(fd, path).st_mode)
        if mode & exposed:
            raise McError(
                "SECRET_EXPOSED",
                f"{path} is readable by others: its mode is {mode:04o}, a secret needs 0600",
                next=f"chmod 600 {path}",
                facts={"path": str(path), "mode": f"{mode:04o}"},
            )
        return _read(fd, path)
    finally:
        os.close(fd)


def read_public(path: Path) -> bytes:
    """The bytes of a file that is no secret, under the same bounds."""
    fd = _open(path)
    try:
        _regular(fd, path)
        return _read(fd, path)
    finally:
        os.close(fd)


def write_secret(path: Path, content: bytes) -> None:
    """Replaces the file in one durable step; mode 0600 from its first byte."""
    _replace(path, content, SECRET_MODE)


def write_public(path: Path, content: bytes) -> None:
    """Replaces the file in one durable step; mode 0644."""
    _replace(path, content, PUBLIC_MODE)


def make_private_folder(path: Path) -> None:
    """The folder and its parents, entered by nobody else."""
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        path.chmod(FOLDER_MODE)  # An earlier, laxer one is narrowed too.
    except OSError as error:
        raise _unusable(path, "cannot be made", error) from error


def _open(path: Path) -> int:
    try:
        # O_NONBLOCK: a FIFO in this place must not hang the reader.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise McError(
            "CONFIG_INVALID",
            f"{path} does not exist",
            next="check the path; an identity comes from a bundle: `nodeagentd install BUNDLE`",
            facts={"path": str(path)},
        ) from error
    except OSError as error:
        if path.is_symlink():
            raise McError(
                "CONFIG_INVALID",
                f"{path} is a symbolic link; identities are read from regular files only",
                next="put the file itself there",
                facts={"path": str(path)},
            ) from error
        raise _unusable(path, "cannot be read", error) from error


def _regular(fd: int, path: Path) -> os.stat_result:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise McError(
            "CONFIG_INVALID",
            f"{path} is not a regular file",
            next="put a regular file there",
            facts={"path": str(path)},
        )
    return found


def _read(fd: int, path: Path) -> bytes:
    parts: list[bytes] = []
    left = FILE_BYTES_MAX + 1
    while left and (part := os.read(fd, left)):
        parts.append(part)
        left -= len(part)
    if not left:
        raise McError("CONFIG_INVALID", f"{path} is larger than {FILE_BYTES_MAX} bytes")
    return b"".join(parts)


def _replace(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(partial, flags, mode)
        try:
            os.fchmod(fd, mode)  # Whatever the umask says.
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unusable(path, "cannot be written", error) from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)  # A rename is durable only when its folder is.
    finally:
        os.close(fd)


def _unusable(path: Path, what: str, error: OSError) -> McError:
    return McError(
        "CONFIG_INVALID",
        f"{path} {what}: {error.strerror or error}",
        next=f"check who owns {path.parent} and how much room is left there",
        facts={"path": str(path)},
    )
