"""What processes cost: processor time, memory, threads and files, as the kernel counts them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds now."""

    rss_mib: float
    pss_mib: float  # Pages that are shared with others count in parts.
    threads: int
    files: int


def holding(pid: int) -> Holding:
    process = psutil.Process(pid)
    memory = process.memory_full_info()
    return Holding(memory.rss / MIB, memory.pss / MIB, process.num_threads(), process.num_fds())


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def cpu_percent(pids: Sequence[int], over_s: float) -> list[float]:
    """The share of one core that each has used over this time."""
    before, begun_s = [cpu_s(pid) for pid in pids], time.monotonic()
    await asyncio.sleep(over_s)
    took_s = time.monotonic() - begun_s
    return [100 * (cpu_s(pid) - used_s) / took_s for pid, used_s in zip(pids, before, strict=True)]


def peak_mib(pid: int) -> float:
    """The most of memory that it has held since it began, or since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kib) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
