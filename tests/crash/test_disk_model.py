"""The modelled disk forgets what it may, and keeps what it must: shown by tiny writers, a right one
and wrong ones, and by a real disk beside it.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from nodeagent.store.local.files import Files, RealFiles
from tests.crash.cuts import Cut
from tests.crash.disk import BLOCK_BYTES, Disk, Mark, Tree
from tests.support.chunks import Chunk, seal
from tests.support.disks import fault_of, id_of, judge, judge_folder

ROOT = "/volume"
CHUNK = seal(bytes(9000))
SHELF = CHUNK.id.hex()[:2]
NAME = f"chunks/{SHELF}/{CHUNK.id.hex()}.chunk"
EMPTY = Tree({}, frozenset({"", "tmp", "chunks", f"chunks/{SHELF}"}))


def write(files: Files, *, root: str = ROOT, without: str = "", early: str = "") -> None:
    """A put in its right order, but for the step left out and the one done too early."""
    tmp, name = f"{root}/tmp/1", f"{root}/{NAME}"
    fd = files.open(tmp, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    steps: dict[str, Callable[[], object]] = {
        "bytes": lambda: [
            files.pwrite(fd, CHUNK.file[at : at + BLOCK_BYTES], at)
            for at in range(0, len(CHUNK.file), BLOCK_BYTES)
        ],
        "datasync": lambda: files.datasync(fd),
        "rename": lambda: files.rename(tmp, name),
        "sync": lambda: files.sync_folder(f"{root}/chunks/{SHELF}"),
        "ack": lambda: files.mark("acked") if isinstance(files, Disk) else None,
    }
    order = [step for step in steps if step != without]
    if early:
        order.remove(early)
        order.insert(0 if early == "ack" else order.index("bytes") + 1, early)
    for step in order:
        steps[step]()
    files.close(fd)


def violations(disk: Disk, units_max: int = 12, samples: int = 200) -> tuple[int, list[str]]:
    """Over every prefix of the log: how many states, and what is wrong in them."""
    found, states = [], 0
    for end in range(len(disk.log) + 1):
        before = disk.log[:end]
        acked = Mark("acked") in before
        for tree in Cut(disk.base, before).states(Random(end), units_max, samples):
            states += 1
            verdict = judge(tree.files)
            found += [f"{end}: {path} shows {why}" for path, why in verdict.broken.items()]
            if acked and verdict.living.get(CHUNK.id) != CHUNK.file:
                found.append(f"{end}: what was acknowledged is lost")
    return states, found


def test_a_right_writer_loses_nothing_in_any_state() -> None:
    disk = Disk(ROOT, EMPTY)
    write(disk)
    states, found = violations(disk)
    assert not found
    assert states > len(disk.log)
    assert not disk.complaints


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"without": "datasync"}, "lost"),
        ({"without": "datasync"}, "shows"),
        ({"without": "sync"}, "lost"),
        ({"early": "rename"}, "shows"),
        ({"early": "ack"}, "lost"),
    ],
)
def test_a_wrong_writer_is_found(wrong: dict[str, str], word: str) -> None:
    disk = Disk(ROOT, EMPTY)
    write(disk, **wrong)
    assert [one for one in violations(disk)[1] if word in one]


def test_sampling_finds_what_all_states_find() -> None:
    disk = Disk(ROOT, EMPTY)
    write(disk, without="datasync")
    assert violations(disk, units_max=2, samples=20)[1]


def test_after_a_failed_datasync_a_second_one_forces_nothing() -> None:
    disk = Disk(ROOT, Tree())
    fd = disk.open(f"{ROOT}/file", os.O_RDWR | os.O_CREAT)
    disk.sync_folder(ROOT)
    disk.pwrite(fd, b"first", 0)
    with pytest.raises(OSError) as caught:
        disk.fail_datasync(fd, errno.EIO)
    assert caught.value.errno == errno.EIO
    disk.datasync(fd)
    assert disk.complaints
    contents = {tree.files["file"] for tree in Cut(disk.base, disk.log).states(Random(1), 12, 20)}
    assert {b"first", b""} <= contents
    disk.pwrite(fd, b"again", 0)
    disk.datasync(fd)
    contents = {tree.files["file"] for tree in Cut(disk.base, disk.log).states(Random(1), 12, 9)}
    assert contents == {b"again"}  # What is written anew is like any other.


def test_a_rename_is_lost_or_kept_whole_until_its_folder_is_synced() -> None:
    disk = Disk(ROOT, Tree({"a/x": b"new", "b/x": b"old"}, frozenset({"", "a", "b"})))
    disk.rename(f"{ROOT}/a/x", f"{ROOT}/b/x")
    seen = [dict(tree.files) for tree in Cut(disk.base, disk.log).states(Random(3), 12, 50)]
    assert {"a/x": b"new", "b/x": b"old"} in seen
    assert {"b/x": b"new"} in seen
    odd = {"a/x": b"new", "b/x": b"new"}  # A file system that does not rename as one step.
    assert all(state in ({"a/x": b"new", "b/x": b"old"}, {"b/x": b"new"}, odd) for state in seen)
    disk.sync_folder(f"{ROOT}/b")
    forced = [dict(tree.files) for tree in Cut(disk.base, disk.log).states(Random(3), 12, 50)]
    assert forced == [{"b/x": b"new"}]


def test_an_unlink_may_come_back_and_a_folder_may_never_have_been() -> None:
    disk = Disk(ROOT, Tree({"a": b"1"}))
    disk.unlink(f"{ROOT}/a")
    disk.mkdir(f"{ROOT}/new")
    fd = disk.open(f"{ROOT}/new/b", os.O_RDWR | os.O_CREAT)
    disk.datasync(fd)
    disk.sync_folder(f"{ROOT}/new")
    seen = [set(tree.files) for tree in Cut(disk.base, disk.log).states(Random(3), 12, 0)]
    assert sorted(map(sorted, seen)) == [[], ["a"], ["a", "new/b"], ["new/b"]]


def test_pages_and_sectors_of_one_write_are_lost_in_any_order() -> None:
    disk = Disk(ROOT, Tree({"f": b"o" * 3 * BLOCK_BYTES}))
    fd = disk.open(f"{ROOT}/f", os.O_RDWR)
    disk.pwrite(fd, b"n" * 3 * BLOCK_BYTES, 0)
    seen = {
        "".join(chr(tree.files["f"][at * BLOCK_BYTES]) for at in range(3))
        for tree in Cut(disk.base, disk.log).states(Random(5), 12, 100)
    }
    assert seen == {a + b + c for a in "no" for b in "no" for c in "no"}
    torn = [
        tree.files["f"][:BLOCK_BYTES]
        for seed in range(30)
        for tree in Cut(disk.base, disk.log).states(Random(seed), 12, 100)
    ]
    assert any(b"n" in page and b"o" in page for page in torn)


def refused(files: Files, root: str, name: str, closed: int) -> list[Callable[[], object]]:
    return [
        lambda: files.open(f"{root}/none", os.O_RDONLY),
        lambda: files.unlink(f"{root}/none"),
        lambda: files.mkdir(f"{root}/tmp"),
        lambda: files.names(f"{root}/none"),
        lambda: files.rename(f"{root}/none", f"{root}/other"),
        lambda: files.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL),
        lambda: files.pread(closed, 1, 0),
    ]


def test_the_model_answers_as_a_real_folder_does(tmp_path: Path) -> None:
    """The same calls on both: the same bytes, sizes, names and refusals."""
    model = Disk(str(tmp_path), Tree())
    real = RealFiles()
    for folder in ("tmp", "chunks", f"chunks/{SHELF}"):
        for files in (real, model):
            files.mkdir(f"{tmp_path}/{folder}")
    answers = []
    for files in (real, model):
        write(files, root=str(tmp_path))
        name = f"{tmp_path}/{NAME}"
        fd = files.open(name, os.O_RDWR)
        said: list[object] = [files.stat(name).size_bytes, files.names(f"{tmp_path}/tmp")]
        files.allocate(fd, 20_000)
        files.truncate(fd, 9_000)
        said += [files.stat_open(fd).size_bytes, files.pread(fd, 100, 8_950)]
        files.close(fd)
        for call in refused(files, str(tmp_path), name, fd):
            with pytest.raises(OSError) as caught:
                call()
            said.append(caught.value.errno)
        answers.append(said)
    assert answers[0] == answers[1]
    on_disk = {
        p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*.chunk")
    }
    assert model.files_now() == on_disk


def test_the_judge_tells_whole_chunks_from_all_else(tmp_path: Path) -> None:
    vectors = Path(__file__).resolve().parents[1] / "vectors"
    for vector in vectors.glob("chunk-*.bin"):
        assert fault_of(vector.read_bytes()) is None
    chunk: Chunk = CHUNK
    assert id_of(chunk.file) == chunk.id
    for at in (0, 9, 80, 5000, len(chunk.file) - 200, len(chunk.file) - 9, len(chunk.file) - 1):
        flipped = bytearray(chunk.file)
        flipped[at] ^= 1
        assert fault_of(bytes(flipped), chunk.id) is not None, at
    for size in (0, 1, 23, 4096, len(chunk.file) - 1):
        assert fault_of(chunk.file[:size], chunk.id) is not None
    assert fault_of(chunk.file + b"\0", chunk.id) is not None
    assert fault_of(chunk.file, seal(b"other").id) == "another chunk"
    (tmp_path / f"chunks/{SHELF}").mkdir(parents=True)
    (tmp_path / NAME).write_bytes(chunk.file)
    (tmp_path / f"chunks/{SHELF}/readme").write_bytes(b"")
    (tmp_path / f"chunks/{SHELF}/{'0' * 64}.chunk").symlink_to("/dev/zero")
    verdict = judge_folder(tmp_path)
    assert verdict.living == {chunk.id: chunk.file}
    assert verdict.others == (f"chunks/{SHELF}/readme",)
    assert not verdict.broken
