"""A process that a bench asks for things: a line of JSON goes in, a line of JSON comes back."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.bench.frame import Broken

LINE_BYTES_MAX = 1 << 24
ASK_S_MAX = 120.0
END_S_MAX = 10.0

T = TypeVar("T")
Answering = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Asked:
    process: Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, what: str, **words: Any) -> Any:
        assert self.process.stdin is not None
        line = json.dumps({"what": what, **words})
        self.process.stdin.write(f"{line}\n".encode())
        try:
            async with asyncio.timeout(ASK_S_MAX):
                return await self.heard()
        except TimeoutError as error:
            raise Broken(f"no answer to {what!r} within {ASK_S_MAX:g} s") from error

    async def heard(self) -> Any:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise Broken("the process that was asked has ended")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise Broken(str(answer["error"]))
        return answer


@asynccontextmanager
async def asked(module: str, *words: str) -> AsyncIterator[Asked]:
    """`python -m module words`, until the block is left. It ends when its input does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words), stdin=PIPE, stdout=PIPE, limit=LINE_BYTES_MAX
    )
    try:
        yield Asked(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def tell(found: object) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


async def answer(how: Answering) -> None:
    """The other side: answers each line until there are no more."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            tell(await how(json.loads(line)))
        except Exception as error:  # noqa: BLE001 - the bench says so and drops its figures
            tell({"error": f"{type(error).__name__}: {error}"})


async def at_once(works: Sequence[Callable[[], Awaitable[T]]], count: int) -> list[T]:
    """All of them, so many at a time; what they return, in their order."""
    left = deque(enumerate(works))
    found: dict[int, T] = {}

    async def worker() -> None:
        while left:
            number, work = left.popleft()
            found[number] = await work()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(worker())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [found[number] for number in range(len(works))]
