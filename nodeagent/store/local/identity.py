"""Which volume a folder is: made once, held by one daemon, and recognised ever after.

A disk that is not mounted, another disk, or another node's is VOLUME_WRONG and is not written.
"""

import errno
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

from multicloud.errors import McError
from nodeagent.store.local.blame import Blame, blame, syncing, words
from nodeagent.store.local.files import Files, Kind
from nodeagent.store.local.layout import SHELVES, Paths

FORMAT, FORMAT_VERSION = "multicloud volume", 1
IDENTITY_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Identity:
    uuid: str
    node: str


def hold_folder(folder: str) -> Callable[[], None]:
    """Locks the folder until the answer is called; a second daemon is refused."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        said = f"the volume's folder {folder} cannot be used: {words(error)}"
        raise McError("VOLUME_FAILED", said) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        said = f"another daemon uses the volume's folder {folder}"
        raise McError("FOLDER_IN_USE", said) from error
    return lambda: os.close(held)


def enter(
    files: Files, paths: Paths, node: str, expected: str, new_uuid: Callable[[], str]
) -> Identity:
    """The folder's identity; an empty folder becomes a new volume where none is expected."""
    found = read(files, paths)
    if found is None and expected:
        raise _wrong(paths, f"volume {expected} is expected there and no volume is found")
    if found is None and _has_chunks(files, paths):
        raise _wrong(paths, "it has chunks and no volume.json")
    if found is None:
        return _create(files, paths, Identity(new_uuid(), node))
    if expected and found.uuid != expected:
        raise _wrong(paths, f"volume {expected} is expected there and {found.uuid} is found")
    if found.node != node:
        raise _wrong(paths, f"volume {found.uuid} belongs to node {found.node}")
    return found


def read(files: Files, paths: Paths) -> Identity | None:
    """None: there is no volume.json."""
    try:
        fd = files.open(paths.identity, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    try:
        text = files.pread(fd, IDENTITY_BYTES_MAX, 0)
    finally:
        files.close(fd)
    try:
        record = json.loads(text)
        version, found = record["format_version"], Identity(record["uuid"], record["node"])
        known = record["format"] == FORMAT and isinstance(version, int)
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(paths, "its volume.json does not read") from error
    if not known:
        raise _wrong(paths, "its volume.json is of something else")
    if version > FORMAT_VERSION:
        said = f"the volume in {paths.folder} has format {version}, {FORMAT_VERSION} is known"
        raise McError("UNSUPPORTED", said, next="run the release that wrote it, or a newer one")
    return found


def _create(files: Files, paths: Paths, identity: Identity) -> Identity:
    """volume.json comes last: a volume that has it has all its folders on stable storage."""
    shelves = [f"{paths.chunks}/{shelf}" for shelf in SHELVES]
    for folder in (paths.drafts, paths.chunks, paths.trash, paths.quarantine, *shelves):
        _make(files, folder)
    files.sync_folder(paths.chunks)
    files.sync_folder(paths.folder)
    _sync_way(files, paths.folder)
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "uuid": identity.uuid,
        "node": identity.node,
    }
    write_whole(files, paths.identity, json.dumps(record, indent=1).encode() + b"\n", paths.folder)
    return identity


def _sync_way(files: Files, folder: str) -> None:
    """The names that lead to the folder, as far as they are on its disk: it may be new itself."""
    folder = os.path.abspath(folder)
    device = files.stat(folder).device
    while (parent := os.path.dirname(folder)) != folder and files.stat(parent).device == device:
        try:
            files.sync_folder(parent)
        except OSError as error:
            # A folder that we may not open is none that we have made anything in.
            if blame(error) is not Blame.FORBIDDEN:
                raise
        folder = parent


def write_whole(files: Files, path: str, data: bytes, folder: str) -> None:
    """The file has these bytes, or those that it had, whatever happens."""
    draft = f"{path}.new"
    fd = files.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_all(files, fd, data, 0)
        with syncing():
            files.datasync(fd)
    finally:
        files.close(fd)
    files.rename(draft, path)
    with syncing():
        files.sync_folder(folder)


def write_all(files: Files, fd: int, data: bytes | memoryview, offset_bytes: int) -> None:
    view = memoryview(data)
    while view:
        written = files.pwrite(fd, view, offset_bytes)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        offset_bytes += written
        view = view[written:]


def _make(files: Files, folder: str) -> None:
    try:
        files.mkdir(folder)
    except OSError as error:
        if error.errno != errno.EEXIST or files.stat(folder).kind is not Kind.FOLDER:
            raise


def _has_chunks(files: Files, paths: Paths) -> bool:
    try:
        shelves = files.names(paths.chunks)
        return any(files.names(f"{paths.chunks}/{shelf}") for shelf in shelves)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise


def _wrong(paths: Paths, why: str) -> McError:
    return McError("VOLUME_WRONG", f"{paths.folder} is not the volume that it should be: {why}")


def check_same(files: Files, paths: Paths, uuid: str, device: int) -> str:
    """Why the folder is not that volume any more; empty when it is."""
    if files.stat(paths.folder).device != device:
        return f"another disk is mounted at {paths.folder}"
    try:
        found = read(files, paths)
    except McError as error:
        return error.message
    if found is None:
        return f"{paths.folder} has no volume.json any more"
    return "" if found.uuid == uuid else f"{paths.folder} is volume {found.uuid} now"
