"""Power cuts of a real file system: an ext4 image is mounted, a store works in it, and now and then
the image is copied as it is at that moment. Each copy is then mounted and judged.

The copy holds what the kernel had given to the disk, and nothing of its page cache. One during
which the disk was written shows no moment that ever was: it is thrown away, and the store is
stopped for the next one, wherever it is.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.child import LOAD, Order, facts_of, line_of
from tests.crash.owed import Fact

IMAGE_BYTES = 32 << 20
RETRY_S = 0.002
COPIES_MAX = 500  # Tries for one copy during which nothing was written.
NEEDED = ("mkfs.ext4", "losetup", "mount", "umount")


def why_not() -> str:
    """Why no image can be mounted here; empty when one can."""
    if os.geteuid() != 0:
        return "only root may mount an image"
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        return f"{', '.join(missing)} is not installed"
    if subprocess.run(["losetup", "-f"], capture_output=True).returncode:
        return "this machine has no loop device"
    return ""


@dataclass(frozen=True, slots=True)
class Cut:
    image: Path
    before: list[Fact]  # Told before the copy began.
    after: list[Fact]  # Told or asked while it was made.


def make(image: Path) -> None:
    image.touch()
    os.truncate(image, IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def cuts(folder: Path, count: int, pause_s: float, bug: str = "") -> Iterator[Cut]:
    """So many copies, taken while a child works as fast as it can."""
    image, facts = folder / "disk.img", folder / "facts"
    make(image)
    with mounted(image, folder / "disk") as disk:
        order = Order(str(disk / "volume"), str(facts), LOAD, 0, False, bug)
        child = subprocess.Popen([sys.executable, "-m", "tests.crash.child"], stdin=subprocess.PIPE)
        assert child.stdin is not None
        child.stdin.write(line_of(order))
        child.stdin.flush()
        try:
            while not facts.exists() or facts.stat().st_size < 1000:
                assert child.poll() is None, "the child ended"
                time.sleep(0.05)
            for number in range(count):
                time.sleep(pause_s)
                assert child.poll() is None, "the child ended"
                (worker,) = _children(child.pid)
                cut = _copy(image, facts, folder / f"cut-{number}.img", worker)
                os.kill(worker, signal.SIGSTOP)  # It would run far ahead of whoever judges.
                yield cut
                os.kill(worker, signal.SIGCONT)
        finally:
            _end(child)


def _copy(image: Path, facts: Path, to: Path, worker: int) -> Cut:
    """As the store runs, or else while it stands still between two calls of the kernel."""
    written = _writes(image)
    try:
        for _ in range(COPIES_MAX):
            told = facts.read_bytes()
            before = written()
            if before is not None:
                shutil.copyfile(image, to)
                if written() == before:
                    known = facts_of(told)
                    return Cut(to, known, facts_of(facts.read_bytes())[len(known) :])
            os.kill(worker, signal.SIGSTOP)
            time.sleep(RETRY_S)
    finally:
        os.kill(worker, signal.SIGCONT)
    raise AssertionError("the disk was never still")


def _writes(image: Path) -> Callable[[], list[str] | None]:
    """What the kernel counts of the loop device's writes and discards; None while one runs."""
    said = subprocess.run(["losetup", "-j", str(image)], capture_output=True, text=True, check=True)
    counters = Path(f"/sys/block/{Path(said.stdout.partition(':')[0]).name}/stat")

    def read() -> list[str] | None:
        fields = counters.read_text().split()
        return None if fields[8] != "0" else [*fields[4:7], *fields[11:14]]

    return read


def _end(child: "subprocess.Popen[bytes]") -> None:
    """The one that answers orders, and the one that works."""
    for pid in _children(child.pid):
        os.kill(pid, 9)
    assert child.stdin is not None
    child.stdin.close()
    child.wait()


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in listed.split()]
