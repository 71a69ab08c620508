"""CouncilService: this node as a member, and its copy, for other nodes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from coordinator.council.registers import (
    NEXT_KEY,
    Accept,
    Accepted,
    Answer,
    Install,
    Prepare,
    Promised,
    Refused,
    Seal,
    Sealed,
    Took,
)
from multicloud.errors import FieldFault, McError
from multicloud.v1 import council_pb2 as pb
from nodeagent.council.copy import Copy
from nodeagent.council.member import Member
from nodeagent.council.words import (
    check_members,
    from_ballot,
    from_epoch,
    from_key,
    from_register,
    from_seat,
    from_state,
    to_ballot,
    to_epoch,
    to_state,
)
from nodeagent.rpc.call import Call


@dataclass(slots=True)
class CouncilService:
    member: Member
    copy: Copy

    async def prepare(self, request: pb.PrepareRequest, call: Call) -> pb.PrepareResponse:
        asked = Prepare(from_key(request.key), from_ballot(request.ballot))
        match await self.member.answer(from_seat(request.to), asked):
            case Promised(Accepted(ballot, state)):
                return pb.PrepareResponse(
                    promised=True, accepted_ballot=to_ballot(ballot), accepted=to_state(state)
                )
            case answer:
                refused = _refused(answer)
                return pb.PrepareResponse(
                    promised_ballot=to_ballot(refused.promised),
                    epoch=to_epoch(refused.epoch, sealed=refused.sealed),
                )

    async def accept(self, request: pb.AcceptRequest, call: Call) -> pb.AcceptResponse:
        ballot = from_ballot(request.ballot)
        asked = Accept(from_key(request.key), ballot, from_state(request.state))
        if asked.key == NEXT_KEY and asked.state.version:
            check_members(asked.state.value)
        match await self.member.answer(from_seat(request.to), asked):
            case Took():
                return pb.AcceptResponse(accepted=True)
            case answer:
                refused = _refused(answer)
                return pb.AcceptResponse(
                    promised_ballot=to_ballot(refused.promised),
                    epoch=to_epoch(refused.epoch, sealed=refused.sealed),
                )

    async def seal(self, request: pb.SealRequest, call: Call) -> AsyncIterator[pb.SealResponse]:
        match await self.member.answer(from_seat(request.to), Seal(request.epoch)):
            case Sealed(registers):
                for key, accepted in registers.items():
                    state, ballot = to_state(accepted.state), to_ballot(accepted.ballot)
                    yield pb.SealResponse(key=key, ballot=ballot, state=state)
            case answer:
                refused = _refused(answer)
                yield pb.SealResponse(refused=to_epoch(refused.epoch, sealed=refused.sealed))

    async def install(
        self, requests: AsyncIterator[pb.InstallRequest], call: Call
    ) -> pb.InstallResponse:
        first = await anext(requests, None)
        if first is None or not first.HasField("epoch"):
            raise _malformed("epoch", "comes first")
        epoch, registers = from_epoch(first.epoch), {}
        async for request in requests:
            if not request.HasField("register"):
                raise _malformed("register", "is all that comes after the epoch")
            key, accepted = from_register(request.register)
            registers[key] = accepted
        if len(registers) != first.registers:
            raise _malformed("registers", f"{first.registers} were to come, {len(registers)} came")
        answer = await self.member.answer(from_seat(first.to), Install(epoch, registers))
        self.copy.learn(self.member.epoch)
        return pb.InstallResponse(epoch=to_epoch(self.member.epoch), took=isinstance(answer, Took))

    async def list_registers(
        self, request: pb.ListRegistersRequest, call: Call
    ) -> AsyncIterator[pb.ListRegistersResponse]:
        for register in self.copy.since(request.after_sequence):
            if register.key.startswith(request.prefix):
                yield pb.ListRegistersResponse(register=register)


def _refused(answer: Answer) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def _malformed(field: str, rule: str) -> McError:
    said = "the messages of Install are in no order"
    return McError("BAD_REQUEST", said, faults=[FieldFault(field, rule)])
