"""The audit log on a real disk: durable, in order, and never silently continued."""

import asyncio
import json
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from identity.chain import Point, Record, Verified, compare, line_of, verify_lines
from multicloud.errors import McError
from nodeagent.ops.audit import AuditLog
from nodeagent.ops.audit_folder import files_of

FILE_BYTES_MAX = 64 << 10


def call(resource: str = "n1", actor: str = "spiffe://prod/operator/ann") -> Record:
    rpc = "/multicloud.v1.AdminService/DrainNode"
    return Record(
        1_700_000_000_000, actor, rpc, "allowed", resource=resource, peer="ipv4:9.9.9.9:1"
    )


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[AuditLog]:
    log = AuditLog(folder, FILE_BYTES_MAX, probe_every_s=0.02, **more)
    log.start()
    try:
        yield log
    finally:
        await log.stop()


async def lines_of(log: AuditLog, after: int = 0) -> list[str]:
    return [line async for batch in log.read(after) for line in batch]


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():
            await asyncio.sleep(0.005)


def events(lines: list[str]) -> list[str]:
    return [rpc for line in lines if (rpc := json.loads(line)["rpc"]).startswith("audit/")]


async def fill(folder: Path, count: int) -> list[str]:
    async with running(folder) as log:
        for number in range(count):
            await log.append(call(f"n{number}"))
        return await lines_of(log)


async def test_concurrent_appends_are_all_there_in_one_chain(tmp_path: Path) -> None:
    async with running(tmp_path / "audit") as log:
        got = await asyncio.gather(*(log.append(call(f"n{i}")) for i in range(500)))
        lines = await lines_of(log)
        assert got == list(range(1, 501))
        assert [json.loads(line)["resource"] for line in lines] == [f"n{i}" for i in range(500)]
        found = verify_lines(lines)
        assert isinstance(found, Verified)
        assert Point(found.last_seq, found.last_hash) == log.head()


async def test_a_log_with_no_records_yet_is_read_as_empty(tmp_path: Path) -> None:
    async with running(tmp_path / "audit") as log:
        assert await lines_of(log) == []


async def test_an_appended_record_is_on_the_disk_before_the_caller_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        for number in range(1, 20):
            assert await log.append(call()) == number
            assert files_of(tmp_path)[-1].read_bytes().count(b"\n") == number


async def test_it_goes_on_after_a_restart_over_several_files(tmp_path: Path) -> None:
    for _ in range(3):
        async with running(tmp_path) as log:
            await asyncio.gather(*(log.append(call("x" * 400)) for _ in range(60)))
    async with running(tmp_path) as log:
        last = await log.append(call())
        lines = await lines_of(log)
        found = verify_lines(lines)
        assert isinstance(found, Verified)
        assert found.count == last == 181
        assert await lines_of(log, after=100) == lines[100:]
        assert await lines_of(log, after=181) == []
    files = files_of(tmp_path)
    assert len(files) > 1
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert all(path.stat().st_size <= FILE_BYTES_MAX for path in files)


async def test_a_torn_tail_is_cut_and_said(tmp_path: Path) -> None:
    lines = await fill(tmp_path, 5)
    path = files_of(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-30])
    async with running(tmp_path) as log:
        assert await log.append(call()) == 6  # Four are left, then what happened, then this.
        after = await lines_of(log)
        assert isinstance(verify_lines(after), Verified)
        assert after[:4] == lines[:4]
        assert events(after) == ["audit/TailCut"]


async def test_a_file_of_nothing_but_a_torn_line_begins_again(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    path = files_of(tmp_path)[-1]
    path.write_bytes(b"\x00" * 100)
    async with running(tmp_path) as log:
        await log.append(call())
        assert isinstance(verify_lines(await lines_of(log)), Verified)


async def test_a_log_that_was_edited_while_the_node_was_down_is_kept_aside_and_said(
    tmp_path: Path,
) -> None:
    lines = await fill(tmp_path, 10)
    path = files_of(tmp_path)[-1]
    edited = path.read_bytes().replace(b'"n4"', b'"n5"')
    path.write_bytes(edited)
    async with running(tmp_path) as log:
        assert await log.append(call()) == 12
        after = await lines_of(log)
        assert events(after) == ["audit/KeptAside"]
        assert "edited at 5" in json.loads(after[0])["reason"]
        found = compare(verify_lines(after), {10: {json.loads(lines[9])["hash"]}})
        assert (found.kind, found.at) == ("cut", 1)
    (kept,) = tmp_path.glob("kept-*")
    assert (kept / path.name).read_bytes() == edited
    async with running(tmp_path) as log:  # And that one is continued as any other.
        assert await log.append(call()) == 13
        assert events(await lines_of(log)) == ["audit/KeptAside"]


async def test_an_edit_under_a_running_node_shows_when_it_is_read(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        for _ in range(5):
            await log.append(call())
        path = files_of(tmp_path)[0]
        with path.open("r+b") as file:
            at = file.read().index(b"ann")
            file.seek(at)
            file.write(b"bob")
        found = compare(verify_lines(await lines_of(log)), {})
        assert (found.kind, found.at) == ("edited", 1)


async def test_a_log_replaced_by_an_earlier_state_contradicts_the_head(tmp_path: Path) -> None:
    await fill(tmp_path, 5)
    path = files_of(tmp_path)[-1]
    earlier = path.read_bytes()
    async with running(tmp_path) as log:
        await log.append(call("later"))
        head = log.head()
    path.write_bytes(earlier)
    async with running(tmp_path) as log:
        cut = compare(verify_lines(await lines_of(log)), {head.sequence: {head.hash}})
        assert (cut.kind, cut.at) == ("cut", 6)
        await log.append(call("other"))
        lines = await lines_of(log)
        grown = verify_lines(lines, wanted={head.sequence})
        replaced = compare(grown, {head.sequence: {head.hash}})
        assert replaced.kind == "replaced"


@contextmanager
def full_disk(bytes_max: int) -> Iterator[None]:
    """Files of this process cannot grow beyond the bound: the real error of a real write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_and_what_was_half_written_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        await log.append(call())
        size = files_of(tmp_path)[0].stat().st_size
        with full_disk(size + 100):
            for _ in range(3):
                with pytest.raises(McError) as refused:
                    await log.append(call("refused"))
                assert refused.value.reason == "AUDIT_UNWRITABLE"
            assert not log.healthy
            assert log.head().sequence == 1
        await until(lambda: log.healthy)
        await log.append(call("after"))
        lines = await lines_of(log)
        assert isinstance(verify_lines(lines), Verified)
        assert events(lines) == ["audit/Resumed"]
        assert not any("refused" in json.loads(line)["resource"] for line in lines)


async def test_a_folder_replaced_by_a_file_refuses_until_it_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    async with running(folder) as log:
        await log.append(call())
        folder.rename(tmp_path / "away")
        folder.write_text("")
        with pytest.raises(McError, match="takes nothing"):
            await log.append(call())
        assert not log.healthy
        folder.unlink()
        (tmp_path / "away").rename(folder)
        await until(lambda: log.healthy)
        assert await log.append(call()) == 3
        assert isinstance(verify_lines(await lines_of(log)), Verified)


async def test_a_file_deleted_under_the_node_is_not_written_into_the_void(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        await log.append(call())
        files_of(tmp_path)[0].unlink()
        await log.append(call())
        lines = await lines_of(log)
        assert [json.loads(line)["seq"] for line in lines] == [2]
        assert compare(verify_lines(lines), {}).kind == "cut"


async def test_a_folder_that_cannot_be_opened_at_start_heals(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.write_text("")
    async with running(folder) as log:
        with pytest.raises(McError) as refused:
            await log.append(call())
        assert refused.value.reason == "AUDIT_UNWRITABLE"
        folder.unlink()
        await until(lambda: log.healthy)
        await log.append(call())


async def test_a_flood_of_refusals_is_counted_and_others_are_still_written(tmp_path: Path) -> None:
    async with running(tmp_path, denied_per_s=1.0) as log:
        written = sum(log.append_soon(call(actor="spiffe://prod/node/flood")) for _ in range(5000))
        assert written < 50
        assert log.dropped == 5000 - written
        assert log.append_soon(call("quiet", actor="spiffe://prod/operator/bob"))
    async with running(tmp_path) as log:
        await log.append(call())
        lines = await lines_of(log)
        assert any(json.loads(line)["resource"] == "quiet" for line in lines)
        told = [json.loads(line)["reason"] for line in lines if "audit/Dropped" in line]
        assert sum(int(reason.split()[0]) for reason in told) == 5000 - written


async def test_what_was_accepted_is_written_before_it_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        waiting = [asyncio.ensure_future(log.append(call())) for _ in range(50)]
        await asyncio.sleep(0)
    assert sorted(await asyncio.gather(*waiting)) == list(range(1, 51))
    with pytest.raises(McError):
        await log.append(call())


async def test_a_caller_that_gives_up_harms_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        gone = asyncio.ensure_future(log.append(call()))
        await asyncio.sleep(0)
        gone.cancel()
        await log.append(call())
        assert isinstance(verify_lines(await lines_of(log)), Verified)


async def test_a_forged_log_next_to_ours_is_not_followed(tmp_path: Path) -> None:
    await fill(tmp_path, 3)
    line, _ = line_of(call("forged"), Point(9, "a" * 64))
    (tmp_path / "audit-00000000000000000010.jsonl").write_text(line + "\n")
    async with running(tmp_path) as log:
        await log.append(call())
        assert events(await lines_of(log)) == ["audit/KeptAside"]


async def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    await fill(tmp_path, 1)
    path = files_of(tmp_path)[0]
    path.rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    async with running(tmp_path) as log:
        with pytest.raises(McError):
            await log.append(call())
