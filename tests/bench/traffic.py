"""What processes send: bytes and segments of their TCP connections, as the kernel counts them.

A segment that carries data is about a message: what is said is small and not held back.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

Inode = int  # Names a socket of this machine.

# linux/netlink.h, linux/inet_diag.h, linux/tcp.h
_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301
_DONE, _INFO, _ESTABLISHED = 3, 2, 1 << 1
_HEADER = struct.Struct("=IHHII")
_INODE, _INODE_AT = struct.Struct("=I"), 68
_MESSAGE_BYTES = 72
_ATTRIBUTE = struct.Struct("=HH")
_BYTES_ACKED = (struct.Struct("=Q"), 120)
_DATA_SEGMENTS_OUT = (struct.Struct("=I"), 156)
_INFO_BYTES_MIN = 160
_BUFFER_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Sent:
    bytes: int
    segments: int


@dataclass(frozen=True, slots=True)
class Rate:
    bytes_per_s: float
    segments_per_s: float


async def rates(pids: Sequence[int], over_s: float) -> list[Rate]:
    """What each has sent, over connections that are open at the end."""
    before, begun_s = counted(pids), time.monotonic()
    await asyncio.sleep(over_s)
    after, took_s = counted(pids), time.monotonic() - begun_s
    return [_rate(old, new, took_s) for old, new in zip(before, after, strict=True)]


def _rate(old: Mapping[Inode, Sent], new: Mapping[Inode, Sent], took_s: float) -> Rate:
    nothing = Sent(0, 0)
    change = [(sent, old.get(inode, nothing)) for inode, sent in new.items()]
    return Rate(
        sum(now.bytes - then.bytes for now, then in change) / took_s,
        sum(now.segments - then.segments for now, then in change) / took_s,
    )


def counted(pids: Iterable[int]) -> list[dict[Inode, Sent]]:
    """Of each process, what it has sent on the connections that it has now."""
    everything = _all_sent()
    return [{i: everything[i] for i in inodes_of(pid) if i in everything} for pid in pids]


def inodes_of(pid: int) -> set[Inode]:
    """Of its sockets. A file that is closed meanwhile has none."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            name = os.readlink(entry)
            if name.startswith("socket:["):
                found.add(int(name[len("socket:[") : -1]))
    return found


def _all_sent() -> dict[Inode, Sent]:
    found = {}
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)) as asking:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ESTABLISHED)
            body += bytes(48)  # Any connection.
            asking.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _DUMP, 0, 0) + body)
            for message in _messages(asking):
                info = _info(message)
                if len(info) >= _INFO_BYTES_MIN:
                    (inode,) = _INODE.unpack_from(message, _INODE_AT)
                    counts = [kind.unpack_from(info, at)[0] for kind, at in _COUNTERS]
                    found[inode] = Sent(*counts)
    return found


_COUNTERS = (_BYTES_ACKED, _DATA_SEGMENTS_OUT)


def _messages(asking: socket.socket) -> Iterable[bytes]:
    while True:
        datagram, at = asking.recv(_BUFFER_BYTES), 0
        while at + _HEADER.size <= len(datagram):
            length, kind, *_ = _HEADER.unpack_from(datagram, at)
            if kind == _DONE:
                return
            if kind != _BY_FAMILY:
                raise OSError("the kernel refused to list connections")
            yield datagram[at + _HEADER.size : at + length]
            at += (length + 3) & ~3


def _info(message: bytes) -> bytes:
    at = _MESSAGE_BYTES
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _INFO:
            return message[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return b""
