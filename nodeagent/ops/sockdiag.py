"""The kernel's own round-trip times of TCP connections (tcpi_min_rtt), read through
NETLINK_SOCK_DIAG: no rights needed, no traffic, and no event loop's noise in them.

A blocking call, made in a thread. Where the system has no such thing the answer is empty.
"""

import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import closing, suppress

Remote = tuple[str, int]  # An address in its shortest form, as `ipaddress` writes it, and a port.

REPLY_S_MAX = 1.0
CONNECTIONS_MAX = 65_536  # Looked at in one call; a machine with more is not asked to the end.
PORTS_APART_MAX = 8  # So many ports are asked for one by one; of more the kernel tells all.
RTT_US_MAX = 10_000_000

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h
_PROTOCOL = 4  # NETLINK_SOCK_DIAG
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x1 | 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_INFO = 2
_ESTABLISHED = 1 << 1
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")  # Family, protocol, extensions, states.
_SOCKET_ID = struct.Struct("!HH16s16s12x")  # Ports and addresses of an inet_diag_sockid.
_MESSAGE_FIXED = 4  # Before the inet_diag_sockid of an inet_diag_msg.
_MESSAGE_BYTES = 72
_ATTRIBUTE = struct.Struct("=HH")
_MIN_RTT_AT = 148  # In tcp_info; an older kernel's is shorter.
_BUFFER_BYTES = 1 << 17


def min_rtts_ms(remotes: Collection[Remote]) -> dict[Remote, float]:
    """The least of all established connections to each of the remotes; who has none is left out."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None or not remotes:
        return {}
    wanted, least = frozenset(remotes), dict[Remote, float]()
    # Not in this kernel, or kept from us by a sandbox: then the application's figures count alone.
    with suppress(OSError), closing(socket.socket(family, socket.SOCK_RAW, _PROTOCOL)) as asking:
        asking.settimeout(REPLY_S_MAX)
        for remote, ms in _all(asking, _ports(wanted)):
            if remote in wanted:
                least[remote] = min(ms, least.get(remote, ms))
    return least


def _ports(remotes: Collection[Remote]) -> Collection[int]:
    ports = {port for _, port in remotes}
    return ports if len(ports) <= PORTS_APART_MAX else {0}


def _all(asking: socket.socket, ports: Collection[int]) -> Iterator[tuple[Remote, float]]:
    """(remote, milliseconds) of every connection to one of these ports; 0 is any."""
    seen = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        for port in ports:
            asking.send(_request(family, port))
            for message in _messages(asking):
                seen += 1
                if seen > CONNECTIONS_MAX:
                    return
                found = _connection(message)
                if found is not None:
                    yield found


def _request(family: int, port: int) -> bytes:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), _ESTABLISHED)
    body += _SOCKET_ID.pack(0, port, b"", b"")
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 0, 0) + body


def _messages(asking: socket.socket) -> Iterator[bytes]:
    """The bodies of one answer, to its end."""
    while True:
        datagram = asking.recv(_BUFFER_BYTES)
        at = 0
        while at + _HEADER.size <= len(datagram):
            length, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR or length < _HEADER.size:
                raise OSError("the kernel refused to list connections")
            yield datagram[at + _HEADER.size : at + length]
            at += _aligned(length)


def _connection(body: bytes) -> tuple[Remote, float] | None:
    if len(body) < _MESSAGE_BYTES:
        return None
    _, port, _, address = _SOCKET_ID.unpack_from(body, _MESSAGE_FIXED)
    info = _attribute(body, _INET_DIAG_INFO)
    if len(info) < _MIN_RTT_AT + 4:
        return None
    (rtt_us,) = struct.unpack_from("=I", info, _MIN_RTT_AT)
    if not 0 < rtt_us <= RTT_US_MAX:  # All bits are set while none was measured.
        return None
    return (_text(body[0], address), port), rtt_us / 1000


def _attribute(body: bytes, wanted: int) -> bytes:
    at = _MESSAGE_BYTES
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        if kind == wanted:
            return body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return b""


def _text(family: int, address: bytes) -> str:
    """As it is dialled: one IPv4 address has two forms, of which gRPC's sockets use the longer."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[:4])
    if address.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
