"""The council of a single process, for tests and as the shortest reading of the contract."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from coordinator.council.registers import NOTHING, State
from nodeagent.council.contract import Outcome, Register, check_change, check_key


@dataclass(slots=True)
class InMemoryCouncil:
    _states: dict[str, State] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def get(self, key: str) -> Register:
        check_key(key)
        state = self._states.get(key, NOTHING)
        return Register(key, state.version, state.value, current=True)

    async def compare_and_set(
        self, key: str, expected_version: int, value: bytes, operation_id: str
    ) -> Outcome:
        check_change(key, value, operation_id)
        state = self._states.get(key, NOTHING)
        made = state.version_by(operation_id)
        if made is not None:
            return Outcome(made, value, changed=True)
        if state.version != expected_version:
            return Outcome(state.version, state.value, changed=False)
        self._states[key] = state.changed(value, operation_id)
        async with self._changed:
            self._changed.notify_all()
        return Outcome(expected_version + 1, value, changed=True)

    def list(self, prefix: str = "") -> Sequence[Register]:
        return [
            Register(key, state.version, state.value)
            for key, state in sorted(self._states.items())
            if key.startswith(prefix)
        ]

    async def watch(self, prefix: str = "") -> AsyncIterator[Register]:
        seen: dict[str, int] = {}
        while True:
            for register in self.list(prefix):
                if register.version > seen.get(register.key, 0):
                    seen[register.key] = register.version
                    yield register
            async with self._changed:
                await self._changed.wait_for(
                    lambda: any(r.version > seen.get(r.key, 0) for r in self.list(prefix))
                )
