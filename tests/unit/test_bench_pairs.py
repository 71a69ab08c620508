"""Comparing ours with its floors, round by round, and what a helping process answers."""

import asyncio
import json
import mmap
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.bench import copies, cost
from tests.bench.__main__ import why
from tests.bench.frame import Broken
from tests.bench.lines import asked, at_once
from tests.bench.pairs import MIB, Leg, Runs, Took, interleaved, ratio_row
from tools import swift


def took(mib_s: float) -> Took:
    return Took(10 * MIB, 10 / mib_s, cpu_s=0.01)


async def test_legs_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    speeds = {"ours": iter((1.0, 80.0, 90.0)), "floor": iter((1.0, 100.0, 100.0))}

    def leg(name: str) -> Leg:
        async def run() -> Took:
            order.append(name)
            return took(next(speeds[name]))

        async def tidy() -> None:
            order.append(f"{name} tidied")

        return Leg(name, "", run, tidy)

    runs = await interleaved([leg("ours"), leg("floor")], 2, lambda _: None)
    assert order == ["ours", "ours tidied", "floor", "floor tidied"] * 3
    assert runs.ratios("ours", "floor") == pytest.approx([0.8, 0.9])


def test_the_ratio_with_the_goal_is_of_pairs_and_not_of_medians() -> None:
    runs = Runs(
        {
            "ours": [took(50), took(80), took(20)],
            "floor": [took(100), took(40), took(50)],
        }
    )
    found = ratio_row(runs, "ours", "floor", 0.6)
    assert found.value == pytest.approx(0.5)
    assert found.met is False


async def test_a_floor_that_fails_breaks_the_bench(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(MIB))
    done = await copies.copies(source, tmp_path, 2)
    assert done.size_bytes == MIB
    assert [(tmp_path / f"copy-{n}").read_bytes() == source.read_bytes() for n in range(2)]
    await copies.removed(tmp_path, 2)
    with pytest.raises(Broken, match="ended with 1"):
        await copies.copies(source, tmp_path / "nowhere", 1)


async def test_so_many_works_at_once_and_no_more() -> None:
    running, most = 0, 0

    async def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return running

    assert len(await at_once([work] * 9, 3)) == 9
    assert most == 3


async def test_what_a_helping_process_cannot_do_is_said() -> None:
    async with asked("tests.bench.tls_end", "no.crt", "no.key", "no.ca") as process:
        with pytest.raises(Broken, match="FileNotFoundError"):
            await process.ask("serve")


def test_what_broke_is_found_in_groups_and_a_defect_is_not_hidden() -> None:
    broken = Broken("here")
    assert why(ExceptionGroup("outer", [ExceptionGroup("inner", [broken])])) is broken
    assert why(ExceptionGroup("outer", [ValueError()])) is None


def test_a_peak_stays_until_it_is_forgotten() -> None:
    with mmap.mmap(-1, 64 * MIB) as held:
        for at in range(0, len(held), mmap.PAGESIZE):
            held[at] = 1
    peak = cost.peak_mib(os.getpid())
    cost.forget_peak(os.getpid())
    assert cost.peak_mib(os.getpid()) < peak


@pytest.mark.skipif(bool(swift.missing()), reason="OpenStack Swift is not installed")
@pytest.mark.slow
def test_swift_comes_up_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "swift"
    command = [sys.executable, "-m", "tools.swift"]
    found = subprocess.run([*command, "up", str(home)], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("http://127.0.0.1:")
    pids = json.loads((home / swift.STATE).read_text())["pids"]
    subprocess.run([*command, "down", str(home)], check=True)
    assert not home.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_ports_are_all_different() -> None:
    assert len(set(swift.free_ports(8))) == 8
