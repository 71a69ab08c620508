"""The council as the rest of the node uses it: decides by ballots, lists from this node's copy."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from coordinator.council.ballots import Change
from nodeagent.council.contract import Outcome, Register, check_change, check_key
from nodeagent.council.copy import Copy
from nodeagent.council.proposing import Proposer


@dataclass(slots=True)
class BallotCouncil:
    proposer: Proposer
    copy: Copy
    decide_s: Callable[[], float]

    async def get(self, key: str) -> Register:
        check_key(key)
        state = (await self.proposer.decide(Change(key), self.decide_s())).state
        self.copy.put(key, state)
        return Register(key, state.version, state.value, current=True)

    async def compare_and_set(
        self, key: str, expected_version: int, value: bytes, operation_id: str
    ) -> Outcome:
        check_change(key, value, operation_id)
        change = Change(key, expected_version, value, operation_id)
        decided = await self.proposer.decide(change, self.decide_s())
        self.copy.put(key, decided.state)
        if decided.version is not None:
            return Outcome(decided.version, value, changed=True)
        return Outcome(decided.state.version, decided.state.value, changed=False)

    def list(self, prefix: str = "") -> Sequence[Register]:
        return self.copy.list(prefix)

    def watch(self, prefix: str = "") -> AsyncIterator[Register]:
        return self.copy.watch(prefix)
