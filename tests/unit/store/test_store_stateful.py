"""Whatever is asked of a store, in any order, over restarts and flipped bits: it answers as the
model does and is left as the model is.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multicloud.errors import McError
from nodeagent.store.contract import Pin, Put, Store
from nodeagent.store.local.store import LocalStore
from nodeagent.store.memory import MemoryStore
from tests.unit.store.local_world import OPTIONS, path_of, spoil
from tests.unit.store.store_model import FRESH_S, Model
from tests.unit.store.store_world import Clock, bytes_of, chunk_of, ids_of, put

T = TypeVar("T")
CHUNKS = [chunk_of(number, 2) for number in range(4)]
NUMBER_OF = {chunk.id: number for number, chunk in enumerate(CHUNKS)}
numbers = st.integers(0, len(CHUNKS) - 1)
holders = st.sampled_from(["job-1", "job-2", "peer"])
lasting_s = st.sampled_from([0.0, 50.0, 2 * FRESH_S])
# In memory where there is such a folder: an example makes a volume of 256 shelves.
FAST = next((path for path in (Path("/dev/shm"),) if path.is_dir()), None)


class StoreMachine(RuleBasedStateMachine):
    """For the store in memory; below for the one on a disk."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.model = Model(self.clock.now_s)
        self.told: list[int] = []
        self.open_puts: list[tuple[int, Put]] = []

    @initialize()
    def begin(self) -> None:
        self.store = self.run(self.opened())
        self.store.on_damage(lambda held, why: self.told.append(NUMBER_OF[held.chunk_id]))

    def run(self, call: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await call

        return self.loop.run_until_complete(awaited())

    def answer(self, call: Awaitable[T]) -> T | str:
        try:
            return self.run(call)
        except McError as error:
            return error.reason

    async def opened(self) -> Store:
        return MemoryStore("memory", clock=self.clock)

    def spoil(self, number: int) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.spoil(CHUNKS[number].id, 150)

    # --- what can be asked ---

    @rule(number=numbers, holder=st.one_of(st.none(), holders), lasting_s=lasting_s)
    def put_it(self, number: int, holder: str | None, lasting_s: float) -> None:
        until_s = lasting_s and self.clock.now_s + lasting_s
        pin = None if holder is None else Pin(holder, until_s)
        done = self.run(put(self.store, CHUNKS[number], pin))
        assert ("already" if done.already else "new") == self.model.put(number, holder, until_s)

    @rule(number=numbers, half=st.booleans())
    def begin_put(self, number: int, half: bool) -> None:
        file = CHUNKS[number].file
        writing = self.run(self.store.put(len(file)))
        self.run(writing.write(file[: len(file) // 2] if half else file))
        self.open_puts.append((number, writing))

    @rule(commit=st.booleans())
    def end_put(self, commit: bool) -> None:
        if not self.open_puts:
            return
        number, writing = self.open_puts.pop(0)
        if not commit:
            self.run(writing.abort())
            return
        answer = self.answer(writing.commit(CHUNKS[number].envelope(), None))
        if answer != "DAMAGE":  # That is what half a file is.
            assert not isinstance(answer, str)
            assert ("already" if answer.already else "new") == self.model.put(number, None, 0)

    @rule(number=numbers)
    def read(self, number: int) -> None:
        answer = self.answer(bytes_of(self.store, CHUNKS[number]))
        if isinstance(answer, bytes):
            assert answer == CHUNKS[number].file
            answer = "read"
        assert answer == self.model.read(number)

    @rule(number=numbers)
    def verify(self, number: int) -> None:
        answer = self.answer(self.store.verify(CHUNKS[number].id, b"nonce"))
        assert (answer if isinstance(answer, str) else "read") == self.model.verify(number)

    @rule(asked=st.lists(numbers, unique=True), holder=holders, lasting_s=lasting_s)
    def have(self, asked: list[int], holder: str, lasting_s: float) -> None:
        until_s = lasting_s and self.clock.now_s + lasting_s
        found = self.run(self.store.have([CHUNKS[n].id for n in asked], Pin(holder, until_s)))
        expected = self.model.have(asked, holder, until_s)
        assert [NUMBER_OF[held.chunk_id] for held in found] == expected

    @rule(holder=holders)
    def unpin(self, holder: str) -> None:
        self.run(self.store.unpin(holder))
        self.model.unpin(holder)

    @rule(number=numbers)
    def trash(self, number: int) -> None:
        answer = self.answer(self.store.trash(CHUNKS[number].id, "no root"))
        assert str(answer) == self.model.trash_it(number)

    @rule(number=numbers)
    def revive(self, number: int) -> None:
        answer = self.answer(self.store.revive(CHUNKS[number].id))
        assert (answer if isinstance(answer, str) else "revived") == self.model.revive(number)

    @rule(number=numbers)
    def purge(self, number: int) -> None:
        answer = self.answer(self.store.purge(CHUNKS[number].id))
        freed = "freed" if answer == len(CHUNKS[number].file) else str(answer)
        assert freed == self.model.purge(number)

    # --- what happens to it ---

    @rule(number=numbers)
    def flip(self, number: int) -> None:
        if number in self.model.living and self.model.living[number].good:
            self.spoil(number)
            self.model.living[number].good = False

    @rule(passed_s=st.sampled_from([1.0, 60.0, FRESH_S]))
    def wait(self, passed_s: float) -> None:
        self.clock.now_s += passed_s
        self.model.now_s = self.clock.now_s

    # --- how it is left ---

    @invariant()
    def is_as_the_model(self) -> None:
        model, store = self.model, self.store
        living = sorted(model.living, key=lambda number: CHUNKS[number].id)
        assert [NUMBER_OF[one] for one in self.run(ids_of(store.list()))] == living
        found = self.run(store.find([chunk.id for chunk in CHUNKS]))
        for held in found:
            assert held.verified_unix_s == model.living[NUMBER_OF[held.chunk_id]].checked_s
        trashed = {NUMBER_OF[one.held.chunk_id] for one in self.run(store.trashed())}
        assert trashed == model.trash.keys()
        evidence = sorted(NUMBER_OF[one.chunk_id] for one in self.run(store.evidence()))
        assert evidence == sorted(model.evidence)
        assert self.told == model.told
        for number, chunk in enumerate(CHUNKS):
            pins = {pin.holder for pin in self.run(store.pins(chunk.id))}
            assert pins == model.holders(number)
        health = store.health()
        size = len(CHUNKS[0].file)
        assert (health.chunks, health.bytes_used) == (len(living), len(living) * size)
        assert (health.bytes_trash, health.quarantined) == (len(trashed) * size, len(evidence))
        oldest = min((copy.checked_s for copy in model.living.values()), default=None)
        assert health.oldest_check_unix_s == oldest

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class LocalMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-", dir=FAST))

    async def opened(self) -> Store:
        return await LocalStore.open(
            str(self.folder / "v"), node="node-1", options=OPTIONS, clock=self.clock
        )

    def spoil(self, number: int) -> None:
        spoil(path_of(self.folder / "v", CHUNKS[number].id), 150)

    @rule(without_index=st.booleans())
    def reopen(self, without_index: bool) -> None:
        self.run(self.store.close())
        self.open_puts.clear()
        if without_index:
            for path in (self.folder / "v").glob("index.db*"):
                path.unlink()
            for copy in (*self.model.living.values(), *self.model.trash.values()):
                copy.checked_s = 0.0
        self.begin()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


TestMemoryStoreMachine = StoreMachine.TestCase
TestMemoryStoreMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLocalStoreMachine = LocalMachine.TestCase
TestLocalStoreMachine.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
