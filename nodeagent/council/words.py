"""The council's words on the wire and on disk. What comes in is bounded, or refused by name."""

from coordinator.council.registers import (
    OPERATIONS_KEPT,
    VALUE_BYTES_MAX,
    Accepted,
    Ballot,
    Epoch,
    Operation,
    Seat,
    State,
    members_of,
)
from multicloud.errors import FieldFault, McError
from multicloud.v1 import council_pb2
from nodeagent.council.contract import EPOCH_KEY, KEY, OPERATION_CHARS_MAX

NUMBER_MAX = (1 << 53) - 1
MEMBERS_MAX = 9
NAME_CHARS_MAX = 80


def _refuse(field: str, rule: str) -> McError:
    return McError(
        "BAD_REQUEST", "a word of the council is malformed", faults=[FieldFault(field, rule)]
    )


def _number(value: int, field: str) -> int:
    if value > NUMBER_MAX:
        raise _refuse(field, f"at most {NUMBER_MAX}")
    return value


def _name(value: str, field: str) -> str:
    if len(value) > NAME_CHARS_MAX:
        raise _refuse(field, f"at most {NAME_CHARS_MAX} characters")
    return value


def from_key(key: str) -> str:
    if not KEY.fullmatch(key) or key == EPOCH_KEY:
        raise _refuse("key", "1 to 200 letters, digits, '.', '_', '@', ':', '/', '-'")
    return key


def check_members(value: bytes) -> None:
    """What the registers `next` and `epoch` hold: some members, each once."""
    try:
        seats = members_of(value)
    except (ValueError, TypeError) as error:
        raise _refuse("value", "a list of members") from error
    if not 0 < len(set(seats)) == len(seats) <= MEMBERS_MAX or not all(
        isinstance(word, str) and len(word) <= NAME_CHARS_MAX
        for seat in seats
        for word in (seat.node, seat.volume)
    ):
        raise _refuse("value", f"1 to {MEMBERS_MAX} members, each once")


def to_seat(seat: Seat) -> council_pb2.CouncilMember:
    return council_pb2.CouncilMember(node=seat.node, volume=seat.volume)


def from_seat(member: council_pb2.CouncilMember) -> Seat:
    return Seat(_name(member.node, "node"), _name(member.volume, "volume"))


def to_ballot(ballot: Ballot) -> council_pb2.Ballot:
    return council_pb2.Ballot(epoch=ballot.epoch, round=ballot.round, proposer=ballot.proposer)


def from_ballot(ballot: council_pb2.Ballot) -> Ballot:
    epoch, round_ = _number(ballot.epoch, "epoch"), _number(ballot.round, "round")
    return Ballot(epoch, round_, _name(ballot.proposer, "proposer"))


def to_state(state: State) -> council_pb2.RegisterState:
    made = [council_pb2.RegisterOperation(id=o.id, version=o.version) for o in state.operations]
    return council_pb2.RegisterState(version=state.version, value=state.value, operations=made)


def from_state(state: council_pb2.RegisterState) -> State:
    if len(state.value) > VALUE_BYTES_MAX:
        raise _refuse("value", f"at most {VALUE_BYTES_MAX} bytes")
    if len(state.operations) > OPERATIONS_KEPT:
        raise _refuse("operations", f"at most {OPERATIONS_KEPT}")
    if any(len(o.id) > OPERATION_CHARS_MAX for o in state.operations):
        raise _refuse("operations", f"ids of at most {OPERATION_CHARS_MAX} characters")
    made = tuple(Operation(o.id, _number(o.version, "version")) for o in state.operations)
    return State(_number(state.version, "version"), state.value, made)


def to_epoch(epoch: Epoch, *, sealed: bool = False) -> council_pb2.CouncilEpoch:
    members = [to_seat(seat) for seat in epoch.members]
    return council_pb2.CouncilEpoch(epoch=epoch.number, members=members, sealed=sealed)


def from_epoch(epoch: council_pb2.CouncilEpoch) -> Epoch:
    if len(epoch.members) > MEMBERS_MAX:
        raise _refuse("members", f"at most {MEMBERS_MAX}")
    members = tuple(from_seat(member) for member in epoch.members)
    if len(set(members)) != len(members) or bool(members) != bool(epoch.epoch):
        raise _refuse("members", "each once, and some in every epoch but 0")
    return Epoch(_number(epoch.epoch, "epoch"), members)


def to_register(key: str, accepted: Accepted) -> council_pb2.Register:
    return council_pb2.Register(
        key=key, state=to_state(accepted.state), ballot=to_ballot(accepted.ballot)
    )


def from_register(register: council_pb2.Register) -> tuple[str, Accepted]:
    state = from_state(register.state)
    return from_key(register.key), Accepted(from_ballot(register.ballot), state)
