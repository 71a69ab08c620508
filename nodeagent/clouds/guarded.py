"""No endpoint is a machine's own metadata service: whoever asks that gets the machine's role.

The addresses are those of AWS, Google, Azure, Oracle, OpenStack (link-local) and Alibaba.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from multicloud.errors import McError

_FORBIDDEN = tuple(
    ip_network(text)
    for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "0.0.0.0/8")
)


def is_metadata(address: str) -> bool:
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in _FORBIDDEN if network.version == found.version)


def refuse_metadata(url: str) -> None:
    """Blocks while the name is looked up. One bad address among several is enough."""
    host = urlsplit(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        next_ = "correct the url of the endpoint, or this node's DNS"
        raise McError("UNREACHABLE", f"{host} has no address: {error}", next=next_) from None
    for *_, address in found:
        if is_metadata(str(address[0])):
            what = f"{url} leads to {address[0]}, where machines keep their own credentials"
            raise McError("NOT_ALLOWED", what, next="correct the url of the endpoint")
