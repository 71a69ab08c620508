"""The process that owns a dev cluster: daemons, links, folder and context. All of it goes with it.

    python -m mcctl.dev.supervisor FOLDER TALK
It is started by `mcctl dev up`, which asks it by the socket TALK to come up. It ends when
it is told to (`dev down`, SIGTERM), or when whoever asked leaves before it is up.
"""

import asyncio
import contextlib
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcctl.dev import layout, lines
from mcctl.dev.cluster import Cluster
from mcctl.dev.folder import Folder
from mcctl.dev.network import Network
from mcctl.dev.processes import Known
from mcctl.dev.sweep import remove_context
from multicloud.context import Contexts
from multicloud.errors import McError

NODE_VERBS = ("kill", "stop", "start", "restart", "wipe", "pause", "resume")
GUARDIAN_S_MAX = 5.0
GUARDIAN_PAUSE_S = 0.2  # One that cannot even start must not keep a core busy.
FILES_WANTED = 1 << 16  # Each connection through a link takes two.

Tell = Callable[[str], Awaitable[None]]


@dataclass
class Supervisor:
    folder: Folder
    cluster_id: str = field(default_factory=lambda: secrets.token_hex(8))
    asked_to_stop: asyncio.Event = field(default_factory=asyncio.Event)
    context: str | None = None
    _cluster: Cluster | None = None
    _server: asyncio.Server | None = None
    _guardian: asyncio.subprocess.Process | None = None
    _pipe: tuple[int, int] = field(default_factory=os.pipe)
    _last_words: list[asyncio.StreamWriter] = field(default_factory=list)

    async def main(self, talk: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.asked_to_stop.set)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # The terminal may close.
        reader, writer = await asyncio.open_unix_connection(sock=talk, limit=lines.LINE_BYTES_MAX)
        request = await lines.read(reader)
        if request is None:
            return
        await self._answer(writer, self._live(request, reader, writer))

    async def _live(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """From the folder's creation to its removal."""
        places = layout.plan(request["nodes"], request["clouds"])
        contexts = Contexts()
        if self.folder.cluster in contexts.names():
            raise McError(
                "ALREADY_EXISTS",
                f"there is a context {self.folder.cluster} of another cluster already",
                next=f"choose another --name, or `mcctl context remove {self.folder.cluster}`",
            )
        self.folder.create(self.cluster_id, self._run())
        try:
            with self.folder.log.open("ab") as log:
                os.dup2(log.fileno(), sys.stderr.fileno())
            async with Network() as network, asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep_guardian())
                self._cluster = Cluster(
                    self.folder,
                    places,
                    network,
                    wan=request["wan"],
                    traces=request.get("traces", {}),
                    changed=self._record,
                    spawn=group.create_task,
                )
                try:
                    await self._up(contexts, reader, writer)
                    await self.asked_to_stop.wait()
                finally:
                    if self._server is not None:
                        self._server.close()
                    await self._cluster.stop_all()
                    keeper.cancel()
        except BaseExceptionGroup as failed:
            raise lines.leaf(failed) from failed
        finally:
            await self._leave()

    async def _up(
        self, contexts: Contexts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Comes up, unless whoever asked for it leaves before, or it is told to stop."""
        assert self._cluster is not None
        cluster = self._cluster

        async def come_up() -> None:
            await tell("making a CA, identities and links")
            context = await cluster.build()
            await cluster.start_all(tell)
            self.context = context.name
            self._record()
            contexts.save(context)
            self._server = await asyncio.start_unix_server(
                self._client, self.folder.socket, limit=lines.LINE_BYTES_MAX
            )

        async def tell(text: str) -> None:
            with contextlib.suppress(ConnectionError):  # `leaving` sees it, and ends all of this.
                await lines.write(writer, {"note": text})

        coming = asyncio.create_task(come_up())
        leaving = asyncio.create_task(reader.read(1))
        stopping = asyncio.create_task(self.asked_to_stop.wait())
        try:
            await asyncio.wait({coming, leaving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise McError("CANCELLED", "stopped before it was up")
            await self._came_up(coming)
            await lines.write(writer, {"done": cluster.describe(self.folder.cluster)})
            writer.close()
        finally:
            for task in (coming, leaving, stopping):
                task.cancel()
            await asyncio.wait({coming, leaving, stopping})

    async def _came_up(self, coming: asyncio.Task[None]) -> None:
        try:
            await coming
        except McError as failed:
            # What it says to look at goes with everything else; its last lines are in the message.
            again = "`mcctl dev up` again; with fewer --nodes if this machine is busy"
            raise McError(failed.reason, failed.message, next=again) from failed

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await lines.read(reader)
        if request is None:
            writer.close()
        elif request["do"] == "down":
            self._last_words.append(writer)  # Answered when nothing is left.
            self.asked_to_stop.set()
        else:
            await self._answer(writer, self._do(request), close=True)

    async def _do(self, request: dict[str, Any]) -> Any:
        assert self._cluster is not None
        cluster, do = self._cluster, request["do"]
        if do == "status":
            return cluster.describe(self.folder.cluster)
        if do in NODE_VERBS:
            return await cluster.node(do, request["node"])
        pairs = None
        if request.get("a"):
            one_way = request.get("one_way", False)
            pairs = cluster.pairs(request["a"], request.get("b"), one_way=one_way)
        if do == "heal":
            return await cluster.heal(pairs)
        assert pairs is not None
        if do == "cut":
            return await cluster.cut(pairs)
        assert do == "link", do
        return cluster.shape(pairs, request)

    async def _answer(
        self, writer: asyncio.StreamWriter, work: Awaitable[Any], *, close: bool = False
    ) -> None:
        """Performs it and says how it went. Who asks may have left meanwhile: that is no matter."""
        try:
            message = {"done": await work}
        except McError as error:
            message = {"error": lines.error_fields(error)}
        with contextlib.suppress(ConnectionError):
            if not writer.is_closing():
                await lines.write(writer, message)
        if close:
            writer.close()

    async def _keep_guardian(self) -> None:
        """There is always one: if it is killed, the next takes its place."""
        while True:
            self._guardian = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mcctl.dev.guardian"),
                *(str(self._pipe[0]), str(self.folder.path), self.cluster_id),
                pass_fds=[self._pipe[0]],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
            self._record()
            await self._guardian.wait()
            await asyncio.sleep(GUARDIAN_PAUSE_S)

    async def _leave(self) -> None:
        """Removes everything; the guardian sees that nothing is left to do, and goes."""
        if self._cluster is not None:
            self._cluster.release()
        remove_context(self.context, _config_home())
        self.folder.socket.unlink(missing_ok=True)
        await asyncio.to_thread(self.folder.remove, self.cluster_id)
        os.close(self._pipe[1])
        if self._guardian is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._guardian.wait(), GUARDIAN_S_MAX)
        for writer in self._last_words:
            with contextlib.suppress(ConnectionError):
                await lines.write(writer, {"done": {"name": self.folder.name}})
            writer.close()

    def _record(self) -> None:
        """Who runs, for whoever has to clean up."""
        if self.folder.cluster_id == self.cluster_id:
            self.folder.write_run(self._run())

    def _run(self) -> dict[str, Any]:
        daemons = self._cluster.daemons if self._cluster else {}
        guardian = self._guardian
        return {
            "supervisor": Known.of(os.getpid()).fields(),
            "guardian": Known.of(guardian.pid).fields() if guardian else None,
            "nodes": {n: d.known.fields() for n, d in daemons.items() if d.known is not None},
            "context": self.context,
            "config_home": _config_home(),
        }


def _config_home() -> str:
    return str(Contexts().home.parent)


def main() -> None:
    path, talk = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    os.chdir("/")  # Holds nobody's folder.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    asyncio.run(_main(path, talk))


async def _main(path: Path, talk: socket.socket) -> None:
    await Supervisor(Folder(path, path.name)).main(talk)


if __name__ == "__main__":
    main()
