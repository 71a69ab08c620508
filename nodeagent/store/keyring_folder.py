"""The keyring in a folder: one private file for each record, whole and durable.

It blocks: call it in a thread. A record that does not read is an error and never skipped.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from multicloud.errors import McError
from multicloud.files import make_private_folder, read_secret, write_secret
from nodeagent.core.chunk.key_record import KeyRecord, decode, encode
from nodeagent.core.chunk.keys import KEY_ID_BYTES
from nodeagent.store.keyring import check_same

SUFFIX = ".key.json"


class FolderKeyring:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_private_folder(folder)
        for draft in folder.glob(".*"):  # Of an interrupted write: a key that nobody would shred.
            draft.unlink()
        self._sync()

    def get(self, key_id: bytes) -> KeyRecord | None:
        path = self._path(key_id)
        if not os.path.lexists(path):
            return None
        record = decode(read_secret(path), str(path))
        if record.key_id != key_id:
            said = f"{path} holds the record of {record.key_id.hex()}"
            raise McError("DAMAGE", said, next="put the folder back from a backup")
        return record

    def put(self, record: KeyRecord) -> None:
        check_same(self.get(record.key_id), record)
        write_secret(self._path(record.key_id), encode(record))

    def remove(self, key_id: bytes) -> bool:
        """The disk may keep the wrapped bytes; rotating the cluster key makes them worthless."""
        try:
            self._path(key_id).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            said = f"the record of key {key_id.hex()} cannot be removed: {error.strerror}"
            raise McError("FAILED", said, next=f"mend the rights of {self._folder}") from error
        self._sync()
        return True

    def records(self) -> Iterable[KeyRecord]:
        names = sorted(path.name for path in self._folder.iterdir())
        ids = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        found = (self.get(bytes.fromhex(key_id)) for key_id in ids if _is_id(key_id))
        return tuple(record for record in found if record is not None)

    def _path(self, key_id: bytes) -> Path:
        assert len(key_id) == KEY_ID_BYTES
        return self._folder / f"{key_id.hex()}{SUFFIX}"

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # An unlink is durable only when its folder is.
        finally:
            os.close(folder)


def _is_id(name: str) -> bool:
    """Drafts of an interrupted write begin with a dot and are no records."""
    return len(name) == 2 * KEY_ID_BYTES and all(letter in "0123456789abcdef" for letter in name)
