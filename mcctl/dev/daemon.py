"""One daemon of a dev cluster: a process that is started and stopped, and never outlives us."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

from mcctl.dev.issue import HOST, Member
from mcctl.dev.processes import Known
from multicloud.errors import McError

State = Literal["stopped", "starting", "running", "paused", "killed", "exited"]
READY_S_MAX = 120.0  # On a machine that others keep busy; whoever ends is told at once.
READY_POLL_S = 0.05
STOP_S_MAX = 40.0  # The drain of 30 s and what follows it.
ANSWER_S_MAX = 2.0
LOG_LINES_SHOWN = 3
LAUNCHER = Path(__file__).with_name("launch.py")


class Daemon:
    """`command` runs a node by its configuration file; tests give another."""

    def __init__(
        self,
        node: Member,
        command: Callable[[Path], list[str]],
        ended: Callable[[str], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.node = node
        self.state: State = "stopped"
        self.exit_code: int | None = None
        self.known: Known | None = None
        self._command = command
        self._ended = ended
        self._spawn = spawn
        self._process: asyncio.subprocess.Process | None = None
        self._wanted: State = "stopped"
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        """Starts it; `ready` waits until it answers."""
        if self.alive:
            raise McError("FAILED", f"{self.node.name} runs already", next="`mcctl dev status`")
        arguments = [str(LAUNCHER), str(os.getpid()), *self._command(self.node.config_file)]
        with self.node.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                env=_environment(),
            )
        self.known = Known.of(self._process.pid)
        self.state, self._wanted, self.exit_code = "starting", "exited", None
        self._watching = self._spawn(self._watch(self._process))

    async def ready(self) -> None:
        """Returns when /readyz says so; raises when it has ended or takes too long."""
        try:
            async with asyncio.timeout(READY_S_MAX):
                while not await self._answers():
                    if not self.alive:
                        raise self._failed(f"ended with code {self.exit_code}")
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError as late:
            raise self._failed(f"was not ready within {READY_S_MAX:g} s") from late
        if self.state == "starting":
            self.state = "running"

    async def stop(self, within_s: float = STOP_S_MAX) -> bool:
        """SIGTERM, as systemd does it. False when it had to be killed after all."""
        if not self.alive:
            return True
        self.resume()  # A paused process could not hear it.
        self._signal(signal.SIGTERM, "stopped")
        if await self._gone(within_s):
            return True
        await self.kill()
        return False

    async def kill(self) -> None:
        """SIGKILL, as power loss does it."""
        self._signal(signal.SIGKILL, "killed")
        await self._gone(None)

    def pause(self) -> None:
        """SIGSTOP: it is there, and silent."""
        if self.state != "running":
            raise McError("FAILED", f"{self.node.name} is {self.state}, so it cannot be paused")
        self._signal(signal.SIGSTOP, "exited")
        self.state = "paused"

    def resume(self) -> None:
        if self.state == "paused":
            self._signal(signal.SIGCONT, "exited")
            self.state = "running"

    def wipe(self) -> None:
        """A new disk: the state is gone, the identity stays."""
        assert not self.alive
        shutil.rmtree(self.node.state_dir)
        self.node.state_dir.mkdir(mode=0o700)

    def _signal(self, number: signal.Signals, wanted: State) -> None:
        if self._process is not None:
            self._wanted = wanted
            with contextlib.suppress(
                ProcessLookupError
            ):  # It has ended; `_watch` is about to say so.
                os.killpg(self._process.pid, number)

    async def _gone(self, within_s: float | None) -> bool:
        if self._watching is None:
            return True
        done, _ = await asyncio.wait([self._watching], timeout=within_s)
        return bool(done)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        self.exit_code = await process.wait()
        self._process = self.known = None
        self.state = self._wanted
        await self._ended(self.node.name)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                reader, writer = await asyncio.open_connection(HOST, self.node.http_port)
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                status = await reader.readline()
                writer.close()
        except OSError:  # Also TimeoutError: nobody listens yet, or it is busy.
            return False
        return status.split()[1:2] == [b"200"]

    def _failed(self, how: str) -> McError:
        tail = self.node.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        said = "".join(f"\n  {line[:300]}" for line in tail)
        return McError("FAILED", f"{self.node.name} {how}{said}", next=f"see {self.node.log}")


def node_command(config_file: Path) -> list[str]:
    return [sys.executable, "-m", "nodeagent", "run", "--config", str(config_file)]


def _environment() -> dict[str, str]:
    """Ours, without what would change a node's configuration behind its file's back."""
    return {k: v for k, v in os.environ.items() if not (k.startswith("MC_") and "__" in k)}
