"""A check reads the disk: what the page cache holds is let go of first."""

from pathlib import Path

from nodeagent.store.local.files import RealFiles
from nodeagent.store.local.store import LocalStore
from tests.support.chunks import seal

ONE = seal(b"m" * 9000)


class Recorded(RealFiles):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def forget(self, fd: int) -> None:
        self.calls.append("forget")
        super().forget(fd)

    def pread(self, fd: int, size_bytes: int, offset_bytes: int) -> bytes:
        self.calls.append(f"read {offset_bytes}")
        return super().pread(fd, size_bytes, offset_bytes)


async def test_before_frames_are_checked_their_pages_are_let_go_of(tmp_path: Path) -> None:
    files = Recorded()
    store = await LocalStore.open(str(tmp_path / "volume"), node="1" * 16, files=files)
    put = await store.put(len(ONE.file))
    await put.write(ONE.file)
    await put.commit(ONE.envelope(), None)
    files.calls.clear()
    await store.verify(ONE.id)
    forgotten = files.calls.index("forget")
    first = ONE.envelope().entries[0].offset_bytes
    assert f"read {first}" in files.calls[forgotten:]
    assert f"read {first}" not in files.calls[:forgotten]
    await store.close()
