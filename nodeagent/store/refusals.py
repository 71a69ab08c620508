"""The answers of every store to whoever is not served, each in one place and the same words."""

from blake3 import blake3

from multicloud.errors import McError
from nodeagent.store.contract import VolumeState


def not_found(chunk_id: bytes, volume: str, where: str = "") -> McError:
    said = f"volume {volume} has no chunk {chunk_id.hex()}{where}"
    return McError("NOT_FOUND", said, facts={"chunk": chunk_id.hex(), "volume": volume})


def damaged(chunk_id: bytes, volume: str, why: str) -> McError:
    said = f"chunk {chunk_id.hex()} on volume {volume} is damaged: {why}"
    return McError("DAMAGE", said, facts={"chunk": chunk_id.hex(), "volume": volume})


def no_room(volume: str, why: str) -> McError:
    return McError("NO_ROOM", f"volume {volume} {why}", facts={"volume": volume})


def pinned(chunk_id: bytes, volume: str) -> McError:
    said = f"chunk {chunk_id.hex()} on volume {volume} is pinned"
    return McError("PINNED", said, facts={"chunk": chunk_id.hex(), "volume": volume})


def overfull(file_bytes_max: int) -> McError:
    said = f"more came than the {file_bytes_max} bytes that were announced"
    return McError("TOO_LARGE", said, next="announce the size that the chunk has")


def ended() -> McError:
    said = "this put has ended already"
    return McError("FAILED", said, next="begin another")


def other_size(chunk_id: bytes, written_bytes: int, file_bytes: int) -> McError:
    said = f"chunk {chunk_id.hex()} has {file_bytes} bytes and {written_bytes} were written"
    return McError("DAMAGE", said, facts={"chunk": chunk_id.hex()})


def unwritable(volume: str, state: VolumeState, why: str) -> McError | None:
    """Why nothing may be written there; None when something may."""
    if state is VolumeState.FAILED:
        said = f"volume {volume} has failed: {why}"
        return McError("VOLUME_FAILED", said, facts={"volume": volume})
    if state is VolumeState.READ_ONLY:
        said = f"volume {volume} is read only: {why}"
        return McError("VOLUME_READ_ONLY", said, facts={"volume": volume})
    return None


class Proof:
    """That every byte of a file was read after a nonce was known: BLAKE3 keyed with its hash."""

    def __init__(self, nonce: bytes) -> None:
        self._hash = blake3(key=blake3(nonce).digest()) if nonce else None

    def add(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def digest(self) -> bytes:
        """Empty without a nonce."""
        return self._hash.digest() if self._hash is not None else b""
