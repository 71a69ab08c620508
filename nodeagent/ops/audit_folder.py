"""The audit log on disk: files of lines, each chained to the one before. Blocking; one writer.

`audit-<first sequence>.jsonl`, 0600, append-only. `write` is all or nothing: what it
could not make durable is cut off again before anything else is written.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from identity.chain import GENESIS, LINE_BYTES_MAX, Broken, Point, Verifier, end_of

BATCH_BYTES_MAX = 256 << 10  # Of lines that are read at once.
_PREFIX, _SUFFIX = "audit-", ".jsonl"


class AuditFolder:
    def __init__(self, folder: Path, file_bytes_max: int) -> None:
        self.folder = folder
        self.file_bytes_max = file_bytes_max
        self.end = Point()  # Of what is durable.
        self._fd = -1
        self._path = Path()
        self._inode = (-1, -1)
        self._size = 0
        self._unsure = False  # The file may hold more than what is durable.

    def open(self, unix_ms: int) -> list[tuple[str, str]]:
        """Verifies and continues the newest file; what had to be mended, as (event, why)."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = files_of(self.folder)
        if not files:
            return []
        mended = []
        path = files[-1]
        cut = _cut_torn_tail(path)
        if cut:
            mended.append(("audit/TailCut", f"{cut} bytes of an unfinished line after a crash"))
        found = self._follow(files)
        if isinstance(found, Point):
            self.end = found
            self._open_file(path, new=False)
            return mended
        kept = self._keep_aside(files, unix_ms)
        # Peers know heads of the old chain: numbers go on so that theirs stay the newer ones.
        self.end = Point(_first_seq(path) - 1 + _count_lines(kept / path.name), GENESIS)
        mended.append(("audit/KeptAside", f"{found}; everything until then is in {kept.name}"))
        return mended

    def write(self, lines: Sequence[str], end: Point) -> None:
        """Returns when all lines are durable; on OSError none of them is part of the log."""
        data = "".join(f"{line}\n" for line in lines).encode("ascii")
        self._prepare(len(data))
        self._unsure = True
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fdatasync(self._fd)
        self._unsure = False
        self._size += len(data)
        self.end = end

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _prepare(self, coming: int) -> None:
        """A file that is there, is ours, ends with what is durable, and has room."""
        if self._fd >= 0 and self._still_there():
            if self._unsure:
                os.ftruncate(self._fd, self._size)
                os.fdatasync(self._fd)
                self._unsure = False
            if self._size == 0 or self._size + coming <= self.file_bytes_max:
                return
        self._open_file(self.folder / f"{_PREFIX}{self.end.sequence + 1:020}{_SUFFIX}", new=True)

    def _still_there(self) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def _open_file(self, path: Path, *, new: bool) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        if new:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags |= os.O_CREAT | os.O_EXCL
        fd = os.open(path, flags, 0o600)
        try:
            if new:
                _sync_folder(self.folder)
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            if new:
                path.unlink(missing_ok=True)  # Its name must be free for the next try.
            raise
        self.close()
        self._fd, self._path, self._size = fd, path, status.st_size
        self._inode, self._unsure = (status.st_dev, status.st_ino), False

    def _follow(self, files: Sequence[Path]) -> Point | str:
        """The end of the newest file's chain, or what is wrong with it."""
        first = _first_seq(files[-1])
        start = Point(first - 1, GENESIS)
        if len(files) > 1:
            before = _end_of_file(files[-2], first - 1)
            if before is None:
                return f"{files[-2].name} does not end with record {first - 1}"
            start = before
        chain = Verifier(start)
        for batch in _batches(files[-1], skip_lines=0):
            for line in batch:
                chain.feed(line)
        found = chain.result()
        if isinstance(found, Broken):
            return f"{found.kind} at {found.at}: {found.why}"
        return chain.end

    def _keep_aside(self, files: Sequence[Path], unix_ms: int) -> Path:
        aside = self.folder / f"kept-{unix_ms}"
        aside.mkdir(mode=0o700)
        for path in files:
            path.rename(aside / path.name)
        _sync_folder(aside)
        _sync_folder(self.folder)
        return aside


def files_of(folder: Path) -> list[Path]:
    """The log's files, oldest first."""
    found = [p for p in folder.glob(f"{_PREFIX}*{_SUFFIX}") if _first_seq(p) > 0]
    return sorted(found, key=_first_seq)


def read_batches(folder: Path, after_seq: int) -> Iterator[list[str]]:
    """Lines after `after_seq`, as they stand on the disk, whatever has become of them."""
    files = files_of(folder)
    for path, following in zip_longest(files, files[1:]):
        if following is not None and _first_seq(following) <= after_seq + 1:
            continue
        yield from _batches(path, skip_lines=max(0, after_seq + 1 - _first_seq(path)))


def _batches(path: Path, skip_lines: int) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    with path.open("rb") as file:
        while raw := file.readline(LINE_BYTES_MAX):
            if skip_lines > 0:
                skip_lines -= 1
                continue
            if not raw.endswith(b"\n") and len(raw) < LINE_BYTES_MAX:
                break  # Still being written, or torn.
            batch.append(raw.removesuffix(b"\n").decode("ascii", "backslashreplace"))
            size += len(raw)
            if size >= BATCH_BYTES_MAX:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _first_seq(path: Path) -> int:
    digits = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _end_of_file(path: Path, sequence: int) -> Point | None:
    """Where the chain stands after `path`, if its last line is whole and record `sequence`."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LINE_BYTES_MAX))
        lines = file.read().decode("ascii", "backslashreplace").splitlines()
    return None if not lines else end_of(lines[-1], sequence)


def _count_lines(path: Path) -> int:
    return sum(len(batch) for batch in _batches(path, skip_lines=0))


def _cut_torn_tail(path: Path) -> int:
    """Cuts what follows the last newline; how many bytes that were."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = _end_of_last_line(file.fileno(), size)
        if whole == size:
            return 0
        file.truncate(whole)
        os.fsync(file.fileno())
        return size - whole


def _end_of_last_line(fd: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - LINE_BYTES_MAX)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)  # A new name is durable only when its folder is.
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some file systems cannot sync folders.
            raise
    finally:
        os.close(fd)
