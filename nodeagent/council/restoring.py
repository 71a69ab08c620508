"""All that was decided, given out for a backup; and a council that is lost, opened anew.

- Where a majority has decided anything, or members may come back and nobody says otherwise, it is
  refused. A council that is new and empty, as of nodes that were all set up again, gives way.
- Of each register the newest counts, of the backup or of what this node still knows. All go up by
  a leap, epoch and versions, so that nothing that anybody knew before can be taken for newer.
- Jobs that had not ended and that only the backup knows stay out: their ledgers are not in it.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass

from coordinator.council.registers import NEXT_KEY, Accepted, Ballot, Epoch, Install, State, Took
from multicloud import __version__
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2, records_pb2
from nodeagent.council.contract import EPOCH_KEY, check_change
from nodeagent.council.part import CouncilPart
from nodeagent.council.shown import Shown
from nodeagent.rpc.call import Call

FORMAT = 1
PROBE = "backup"  # A register that nobody sets: whether the council answers.
LEAP = 1000  # More than could have been decided that nobody here knows of.
BATCH_BYTES = 1 << 20
REGISTERS_MAX = 1_000_000
JOBS, REQUESTS = "job/", "request/"

Register = common_pb2.BackupRegister


@dataclass(frozen=True, slots=True)
class Merged:
    states: Mapping[str, State]
    from_backup: int
    jobs_left_out: tuple[str, ...]


def merged(known: Mapping[str, State], backup: Iterable[Register]) -> Merged:
    """What the new council holds."""
    found = {key: state for key, state in known.items() if key not in (EPOCH_KEY, NEXT_KEY)}
    left_out: list[str] = []
    fresh = 0
    for register in backup:
        here = found.get(register.key)
        if here is not None and here.version >= register.version:
            continue
        if here is None and _is_open_job(register):
            left_out.append(register.key.removeprefix(JOBS))
            continue
        found[register.key] = State(register.version, register.value)
        fresh += 1
    leapt = {key: State(state.version + LEAP, state.value) for key, state in found.items()}
    return Merged(leapt, fresh, tuple(left_out))


def _is_open_job(register: Register) -> bool:
    if not register.key.startswith(JOBS):
        return False
    return not records_pb2.JobHeader.FromString(register.value).HasField("outcome")


@dataclass(slots=True)
class BackupAdmin:
    cluster: str
    part: CouncilPart
    shown: Shown
    clock_unix_s: Callable[[], float] = time.time

    async def backup_cluster(
        self, request: admin_pb2.BackupClusterRequest, call: Call
    ) -> AsyncIterator[admin_pb2.BackupClusterResponse]:
        current = True
        try:
            await self.part.council.get(PROBE)
        except McError:
            current = False  # What this node knows is better than nothing.
        head = common_pb2.BackupHead(
            format=FORMAT,
            cluster=self.cluster,
            created_unix_ms=int(self.clock_unix_s() * 1000),
            epoch=self.part.copy.epoch.number,
            current=current,
            software=__version__,
        )
        answer, size = admin_pb2.BackupClusterResponse(head=head), 0
        for one in self.part.copy.list():
            answer.registers.add(key=one.key, version=one.version, value=one.value)
            size += len(one.value)
            if size >= BATCH_BYTES:
                yield answer
                answer, size = admin_pb2.BackupClusterResponse(), 0
        yield answer

    async def restore_cluster(
        self, requests: AsyncIterator[admin_pb2.RestoreClusterRequest], call: Call
    ) -> admin_pb2.RestoreClusterResponse:
        first = await anext(requests, admin_pb2.RestoreClusterRequest())
        self._check(first)
        registers = list(first.registers)
        async for request in requests:
            registers += request.registers
            if len(registers) > REGISTERS_MAX:
                raise McError("TOO_LARGE", f"a backup has at most {REGISTERS_MAX} registers")
        for one in registers:
            check_change(one.key, one.value, "restore")
        found = merged(self.part.copy.states, registers)
        epoch = await self._open(found, max(first.head.epoch, self.part.copy.epoch.number) + LEAP)
        return admin_pb2.RestoreClusterResponse(
            epoch=epoch.number,
            registers=len(found.states),
            from_backup=found.from_backup,
            jobs_left_out=found.jobs_left_out,
        )

    def _check(self, first: admin_pb2.RestoreClusterRequest) -> None:
        head = first.head
        if head.cluster and (head.cluster, head.format) != (self.cluster, FORMAT):
            said = f"the backup is of cluster {head.cluster!r}, format {head.format}; this is "
            raise McError("BAD_REQUEST", f"{said}{self.cluster!r} and reads format {FORMAT}")
        status = self.shown.status()
        if status.majority and status.registers:
            said = "the council is there and has decided things: there is nothing to restore"
            raise McError("ALREADY_EXISTS", said, next="`mcctl status`")
        away = ", ".join(seat.node for seat in status.members if not seat.there)
        if not status.majority and away and not first.members_lost:
            said = f"the council waits for {away}, who may come back with all that was decided"
            remedy = "start them; only if they are lost for good, add --members-lost"
            raise McError("FAILED", said, next=remedy)

    async def _open(self, found: Merged, number: int) -> Epoch:
        seat = self.part.member.seat
        if seat is None:
            raise self.part.member.trouble or McError("FAILED", "this node cannot sit in a council")
        epoch = Epoch(number, (seat,))
        ballot = Ballot(number, 0, seat.node)
        carried = {key: Accepted(ballot, state) for key, state in found.states.items()}
        answer = await self.part.member.answer(seat, Install(epoch, carried))
        if not isinstance(answer, Took):
            raise McError("FAILED", "this node has joined another council meanwhile")
        self.part.copy.learn(epoch)
        for key, state in found.states.items():
            self.part.copy.put(key, state)
        return epoch
