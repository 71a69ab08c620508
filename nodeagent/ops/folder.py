"""The state folder: one daemon at a time, and a count of its starts that survives any crash."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError


@dataclass(frozen=True, slots=True)
class StateFolder:
    path: Path
    generation: int  # +1 at every start, on disk before anyone hears of it.

    def save_generation(self, generation: int) -> None:
        """Peers remember a higher one: this folder was emptied or put back."""
        _save(self.path, generation)


@contextmanager
def state_folder(path: Path) -> Iterator[StateFolder]:
    """The folder, locked for as long as the block runs."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        said = f"the state folder {path} cannot be used: {error.strerror}"
        raise McError(
            "CONFIG_INVALID", said, next="correct node.state_dir or its rights"
        ) from error
    try:
        _lock(lock, path)
        yield StateFolder(path, _next_generation(path))
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        said = f"another daemon (pid {holder}) uses the state folder {path}"
        raise McError("FOLDER_IN_USE", said) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _next_generation(path: Path) -> int:
    file = path / "generation"
    try:
        generation = int(file.read_text()) + 1
    except FileNotFoundError:
        generation = 1
    except ValueError as error:
        said = f"{file} does not hold a number"
        raise McError("DAMAGE", said, next="put back the file, or wipe the node") from error
    _save(path, generation)
    return generation


def _save(path: Path, generation: int) -> None:
    draft = path / "generation.new"
    with draft.open("w") as out:
        out.write(f"{generation}\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path / "generation")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # A rename is durable only when its folder is.
    finally:
        os.close(folder)
