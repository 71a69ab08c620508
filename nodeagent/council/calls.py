"""How other members are asked over the wire, and how another node's copy is fetched."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from coordinator.council.registers import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Install,
    Prepare,
    Promised,
    Refused,
    Request,
    Seal,
    Sealed,
    Seat,
    State,
    Took,
)
from multicloud.errors import McError
from multicloud.v1 import council_pb2 as pb
from multicloud.v1 import council_pb2_grpc
from nodeagent.council.contract import EPOCH_KEY
from nodeagent.council.words import (
    check_members,
    from_ballot,
    from_epoch,
    from_key,
    from_state,
    to_ballot,
    to_epoch,
    to_register,
    to_seat,
    to_state,
)
from nodeagent.telemetry import inject

if TYPE_CHECKING:  # The generated stub exists for types only.
    Stub = council_pb2_grpc.CouncilServiceAsyncStub


@dataclass(slots=True)
class Calls:
    channel: Callable[[str], grpc.aio.Channel]  # To a node; UNREACHABLE when no way is known.
    explain: Callable[[grpc.aio.AioRpcError, str], McError]  # Error, node

    async def ask(self, seat: Seat, request: Request, timeout_s: float) -> Answer:
        """The member's answer; McError when there is none, or none that it could have given."""
        stub = council_pb2_grpc.CouncilServiceStub(self.channel(seat.node))
        try:
            match request:
                case Prepare():
                    return await _prepare(stub, seat, request, timeout_s)
                case Accept():
                    return await _accept(stub, seat, request, timeout_s)
                case Seal():
                    return await _seal(stub, seat, request, timeout_s)
                case Install():
                    return await _install(stub, seat, request, timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self.explain(error, seat.node) from error

    async def changes(
        self, node: str, after: int, timeout_s: float
    ) -> AsyncIterator[tuple[str, State]]:
        """What changed in another node's copy after that number, oldest first."""
        stub = council_pb2_grpc.CouncilServiceStub(self.channel(node))
        request = pb.ListRegistersRequest(after_sequence=after)
        try:
            async for answer in stub.ListRegisters(request, timeout=timeout_s, metadata=inject()):
                register = answer.register
                if register.key == EPOCH_KEY:
                    check_members(register.state.value)
                else:
                    from_key(register.key)
                yield register.key, from_state(register.state)
        except grpc.aio.AioRpcError as error:
            raise self.explain(error, node) from error


async def _prepare(stub: "Stub", seat: Seat, asked: Prepare, timeout_s: float) -> Answer:
    request = pb.PrepareRequest(to=to_seat(seat), key=asked.key, ballot=to_ballot(asked.ballot))
    answer = await stub.Prepare(request, timeout=timeout_s, metadata=inject())
    if answer.promised:
        return Promised(Accepted(from_ballot(answer.accepted_ballot), from_state(answer.accepted)))
    return _refused(answer.epoch, from_ballot(answer.promised_ballot))


async def _accept(stub: "Stub", seat: Seat, asked: Accept, timeout_s: float) -> Answer:
    request = pb.AcceptRequest(
        to=to_seat(seat), key=asked.key, ballot=to_ballot(asked.ballot), state=to_state(asked.state)
    )
    answer = await stub.Accept(request, timeout=timeout_s, metadata=inject())
    return (
        Took() if answer.accepted else _refused(answer.epoch, from_ballot(answer.promised_ballot))
    )


async def _seal(stub: "Stub", seat: Seat, asked: Seal, timeout_s: float) -> Answer:
    """A stream that breaks off raises: half of the registers are none."""
    carried: dict[str, Accepted] = {}
    request = pb.SealRequest(to=to_seat(seat), epoch=asked.epoch)
    async for one in stub.Seal(request, timeout=timeout_s, metadata=inject()):
        if one.HasField("refused"):
            return _refused(one.refused, Ballot())
        carried[from_key(one.key)] = Accepted(from_ballot(one.ballot), from_state(one.state))
    return Sealed(carried)


async def _install(stub: "Stub", seat: Seat, asked: Install, timeout_s: float) -> Answer:
    def parts() -> Iterator[pb.InstallRequest]:
        epoch, count = to_epoch(asked.epoch), len(asked.registers)
        yield pb.InstallRequest(to=to_seat(seat), epoch=epoch, registers=count)
        for key, accepted in asked.registers.items():
            yield pb.InstallRequest(register=to_register(key, accepted))

    answer = await stub.Install(parts(), timeout=timeout_s, metadata=inject())
    return Took() if answer.took else _refused(answer.epoch, Ballot())


def _refused(epoch: pb.CouncilEpoch, promised: Ballot) -> Refused:
    return Refused(from_epoch(epoch), epoch.sealed, promised)
