"""The floors: how long the system's own tools take to copy a file, and to have it on the disk."""

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

from tests.bench.frame import Broken
from tests.bench.pairs import Took


async def copies(source: Path, folder: Path, count: int, *, sync: bool = True) -> Took:
    """Plain copies one after the other, then, if wanted, all of them to the disk."""
    made = _names(folder, count)
    commands = [["cp", "--reflink=never", str(source), str(one)] for one in made]
    if sync:
        commands.append(["sync", *map(str, made)])
    return await asyncio.to_thread(_timed, commands, source.stat().st_size)


async def removed(folder: Path, count: int) -> None:
    for one in _names(folder, count):
        await asyncio.to_thread(one.unlink)


async def read_only(source: Path) -> Took:
    """To nowhere, from the page cache as a rule."""
    size_bytes = source.stat().st_size
    return await asyncio.to_thread(_timed, [["cat", str(source)]], size_bytes, DEVNULL)


def _names(folder: Path, count: int) -> list[Path]:
    return [folder / f"copy-{number}" for number in range(count)]


def _timed(commands: Sequence[Sequence[str]], size_bytes: int, out: int | None = None) -> Took:
    begun_s, cpu_s = time.perf_counter(), 0.0
    for command in commands:
        process = subprocess.Popen(command, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Broken(f"`{' '.join(command)}` ended with {process.returncode}")
        cpu_s += used.ru_utime + used.ru_stime
    return Took(size_bytes, time.perf_counter() - begun_s, cpu_s)
