"""Free ports on the loopback, held while the cluster lives, whoever listens on them or not."""

import random
import socket
from collections.abc import Iterator

from multicloud.errors import McError

PORT_MIN, PORT_MAX = 20_000, 32_000  # Below what operating systems hand out by themselves.
HOST = "127.0.0.1"


def hold(count: int, rng: random.Random) -> list[socket.socket]:
    """Binds `count` free ports and listens on none, so connecting to them is refused.

    Nobody else can take them, except who binds with SO_REUSEADDR and knows the number:
    our own links and daemons.
    """
    held: list[socket.socket] = []
    candidates = list(range(PORT_MIN, PORT_MAX))
    rng.shuffle(candidates)
    for raw in _bound(candidates):
        held.append(raw)
        if len(held) == count:
            return held
    for raw in held:
        raw.close()
    raise McError(
        "ADDRESS_IN_USE",
        f"{count} ports are needed between {PORT_MIN} and {PORT_MAX}, and {len(held)} are free",
        next="stop another dev cluster (`mcctl dev down --name …`), or start fewer nodes",
    )


def _bound(candidates: list[int]) -> Iterator[socket.socket]:
    for port in candidates:
        raw = socket.socket()
        try:
            raw.bind((HOST, port))
        except OSError:
            raw.close()
            continue
        # Only now: binding with it would also succeed on a port that another cluster holds.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield raw


def listening(port: int) -> socket.socket:
    """A socket that is bound to a held port and ready to listen."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    raw.bind((HOST, port))
    raw.setblocking(False)
    return raw


def number(held: socket.socket) -> int:
    port: int = held.getsockname()[1]
    return port
