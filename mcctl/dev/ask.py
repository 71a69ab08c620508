"""The commands' way to a supervisor: start one, find a running one, ask it, wait for its end."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mcctl
from mcctl.dev import lines
from mcctl.dev.folder import Folder
from mcctl.dev.processes import Known
from multicloud.errors import McError

GONE_POLL_S = 0.02
GONE_S_MAX = 20.0
NODE_EXTRA = ("grpc_health", "opentelemetry.sdk", "structlog")


async def up(folder: Folder, request: dict[str, Any], note: Callable[[str], None]) -> Any:
    """Starts a supervisor, and returns when all nodes are ready. Leaving ends it again."""
    _need_node_extra()
    if folder.path.exists():
        raise folder.in_the_way()
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as stderr:
        with theirs:
            process = await asyncio.to_thread(_spawn, folder, theirs.fileno(), stderr.fileno())
        try:
            return await lines.ask(ours, request, note)
        except asyncio.CancelledError:
            # It has seen us leave, and takes down what it had begun.
            await asyncio.to_thread(process.wait, GONE_S_MAX)
            raise
        except McError as failed:
            await asyncio.to_thread(process.wait, GONE_S_MAX)
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip()
            if failed.reason != "UNREACHABLE" or not said:
                raise
            raise McError("INTERNAL", f"the supervisor ended: {said}") from failed


async def ask(folder: Folder, request: dict[str, Any], note: Callable[[str], None]) -> Any:
    """What a running cluster answers; NOT_FOUND when there is none."""
    if folder.cluster_id is None:
        raise _absent(folder)
    try:
        return await lines.ask(folder.socket, request, note)
    except (FileNotFoundError, ConnectionError) as away:
        raise McError(
            "UNREACHABLE",
            f"the dev cluster {folder.cluster} is starting or ending just now",
            next="try again in a second",
        ) from away


async def down(folder: Folder, note: Callable[[str], None]) -> Any:
    """Returns when nothing is left, the supervisor included."""
    cluster_id = folder.cluster_id
    if cluster_id is None:
        raise _absent(folder)
    try:
        run = folder.read_run()
    except FileNotFoundError as gone:
        raise _absent(folder) from gone
    owners = [Known.read(run[who]) for who in ("supervisor", "guardian") if run[who]]
    try:
        answer = await lines.ask(folder.socket, {"do": "down"}, note)
    except (FileNotFoundError, ConnectionError):
        owners[0].kill(15)  # It does not listen yet, or not any more.
        answer = {"name": folder.name}
    async with asyncio.timeout(GONE_S_MAX):
        while any(owner.alive for owner in owners) or folder.cluster_id == cluster_id:  # noqa: ASYNC110
            # Processes that are not ours tell nobody that they end.
            await asyncio.sleep(GONE_POLL_S)
    return answer


def _spawn(folder: Folder, talk: int, stderr: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mcctl.dev.supervisor", str(folder.path), str(talk)],
        pass_fds=[talk],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,  # The terminal may close; the cluster stays.
        env={**os.environ, "PYTHONPATH": python_path()},
    )


def python_path() -> str:
    """With it a child finds our packages, wherever it runs and however they are installed."""
    package_root = str(Path(mcctl.__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))


def _need_node_extra() -> None:
    missing = []
    for module in NODE_EXTRA:
        with contextlib.suppress(ModuleNotFoundError):
            if find_spec(module) is not None:
                continue
        missing.append(module)
    if missing:
        raise McError(
            "EXTRA_MISSING",
            f"a dev cluster runs real daemons, which need {', '.join(missing)}",
            next="pip install 'multicloud[node]'",
        )


def _absent(folder: Folder) -> McError:
    option = "" if folder.name == "dev" else f" --name {folder.name}"
    return McError(
        "NOT_FOUND",
        f"there is no dev cluster {folder.cluster} ({folder.path})",
        next=f"`mcctl dev up{option}`",
    )
