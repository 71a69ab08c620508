"""The server itself: on this machine's loopback only, until whoever started it has seen enough."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from mcctl.web.app import make_app
from mcctl.web.asking import Cluster
from mcctl.web.door import Keys
from mcctl.web.live import Live
from multicloud.errors import McError

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 128
HEADER_BYTES_MAX = 16 * 1024
GOODBYE_S = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs it listens for signals."""
        yield


def bound(port: int) -> socket.socket:
    """A socket of loopback; port 0 is any that is free."""
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((LOOPBACK, port))
        found.listen()  # Whoever is told the address may come before the server has begun.
    except OSError as error:
        found.close()
        what = f"the dashboard cannot listen on {LOOPBACK}:{port}: {error.strerror}"
        raise McError("ADDRESS_IN_USE", what, next="choose another --port, or none") from error
    return found


async def serve_until_signal(
    cluster: Cluster, listening: socket.socket, opened: Callable[[str], None]
) -> None:
    """Until SIGINT or SIGTERM. `opened` is told each address that opens a browser."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    keys = Keys(listening.getsockname()[1], opened)
    opened(keys.url)
    await serve(cluster, listening, keys, ended)


async def serve(
    cluster: Cluster, listening: socket.socket, keys: Keys, ended: asyncio.Event
) -> None:
    live = Live(cluster)
    config = uvicorn.Config(
        make_app(cluster, keys, live),
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        timeout_graceful_shutdown=GOODBYE_S,
    )
    logging.getLogger("uvicorn.access").disabled = True  # Its lines would tell tokens.
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([listening]))
        polling = group.create_task(live.run())
        await ended.wait()
        server.should_exit = True
        await live.end()
        polling.cancel()
