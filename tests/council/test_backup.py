"""A backup of all that was decided, and a council that is lost, opened anew with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.council.registers import State
from mcctl.cluster_backup import read, written
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2, job_pb2, records_pb2
from nodeagent.council.restoring import LEAP, merged
from nodeagent.rpc.access import ADMIN
from tests.council.test_council_nodes import say
from tests.council.town import Town, town
from tests.support.nodes import admin, channel, refused
from tests.support.people import People


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return People(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def asking(made: Town, number: int, people: People) -> AsyncIterator[Any]:
    async with channel(made.up[number], people.operator("ada", ADMIN)) as opened:
        yield admin(opened)


async def taken(ask: Any) -> records_pb2.ClusterBackup:
    found = records_pb2.ClusterBackup()
    async for answer in ask.BackupCluster(admin_pb2.BackupClusterRequest(), timeout=10):
        if answer.HasField("head"):
            found.head.CopyFrom(answer.head)
        found.registers.extend(answer.registers)
    return found


def asked(kept: records_pb2.ClusterBackup, *, lost: bool = False) -> Any:
    return iter(
        [
            admin_pb2.RestoreClusterRequest(
                head=kept.head, registers=kept.registers, members_lost=lost
            )
        ]
    )


async def test_a_cluster_whose_nodes_were_all_lost_has_its_decisions_back(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(1), "name/a", b"first")
        await say(made.council(1), "name/a", b"second")
        async with asking(made, 1, people) as ask:
            kept = await taken(ask)
            assert kept.head.current
            refusal = await refused(ask.RestoreCluster(asked(kept), timeout=10))
            assert refusal.reason == "ALREADY_EXISTS"
        await made.stop(1, 2, 3)
        for number in (1, 2, 3):
            made.wipe(number, "")
        await made.start(1, 2, 3)
        await made.until(lambda: made.agreed(3))
        assert made.council(2).list() == []
        async with asking(made, 2, people) as ask:
            answer = await ask.RestoreCluster(asked(kept), timeout=10)
        assert (answer.registers, answer.from_backup) == (1, 1)
        await made.until(lambda: made.agreed(3) and min(made.epochs()) > LEAP)
        for number in (1, 2, 3):
            register = await made.council(number).get("name/a")
            assert (register.value, register.version) == (b"second", LEAP + 2)
        await say(made.council(3), "name/a", b"third")


async def test_a_council_whose_members_are_lost_opens_on_who_is_left_when_that_is_said(
    people: People, tmp_path: Path
) -> None:
    async with town(people, tmp_path, (1, 2, 3)) as made:
        await made.until(lambda: made.agreed(3))
        await say(made.council(1), "name/a", b"kept")
        await made.until(lambda: all(made.council(n).list("name/") for n in (1, 2, 3)))
        await made.stop(2, 3)
        async with asking(made, 1, people) as ask:
            await made.until(lambda: not made.up[1].node.council.shown.status().majority)
            nothing = records_pb2.ClusterBackup()
            refusal = await refused(ask.RestoreCluster(asked(nothing), timeout=10))
            assert "node-2, node-3" in refusal.message
            assert "--members-lost" in refusal.next
            await ask.RestoreCluster(asked(nothing, lost=True), timeout=10)
        assert (await made.council(1).get("name/a")).value == b"kept"
        made.wipe(2, "")
        await made.start(2)
        await made.until(lambda: bool(made.council(2).list("name/")))


def register(key: str, version: int, value: bytes = b"") -> common_pb2.BackupRegister:
    return common_pb2.BackupRegister(key=key, version=version, value=value)


def test_of_each_register_the_newest_counts_and_jobs_without_a_ledger_stay_out() -> None:
    open_job = records_pb2.JobHeader(id="open").SerializeToString()
    done = records_pb2.JobOutcome(state=job_pb2.JOB_STATE_DONE)
    ended = records_pb2.JobHeader(id="ended", outcome=done).SerializeToString()
    found = merged(
        {"a": State(5, b"here"), "b": State(1, b"old"), "epoch": State(3, b"[]")},
        [
            register("a", 4, b"backup"),
            register("b", 2, b"backup"),
            register("job/open", 1, open_job),
            register("job/ended", 1, ended),
        ],
    )
    assert {key: (state.version - LEAP, state.value) for key, state in found.states.items()} == {
        "a": (5, b"here"),
        "b": (2, b"backup"),
        "job/ended": (1, ended),
    }
    assert (found.from_backup, found.jobs_left_out) == (2, ("open",))


def test_a_backup_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    file, head = tmp_path / "one.backup", common_pb2.BackupHead(format=1, cluster="c")
    kept = records_pb2.ClusterBackup(head=head, registers=[register("a", 1, b"x")])
    written(file, kept)
    assert read(file) == kept
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    for broken in (whole[:-1], whole[:-1] + b"\0", whole[:30]):
        file.write_bytes(broken)
        with pytest.raises(McError, match="is not what was written"):
            read(file)
    file.write_bytes(b"something else")
    with pytest.raises(McError, match="is no backup"):
        read(file)
