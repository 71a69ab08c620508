"""Which addresses a node asks for somebody else: public ones, and those that its operator named.
Never those where clouds tell a machine its secrets, whatever is named.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from multicloud.errors import FieldFault, McError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # AWS, GCP, Azure, and the agents of containers.
            "fd00:ec2::/32",  # AWS.
            "fd20:ce::/32",  # GCP.
            "168.63.129.16/32",  # Azure's agent.
            "100.100.100.200/32",  # Alibaba.
            "192.0.0.192/32",  # Oracle.
        ),
    )
)
# IPv6 addresses with an IPv4 address in them, and how many of the last bits follow it.
EMBEDDED: tuple[tuple[ipaddress.IPv6Network, int], ...] = (
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


def meant(text: str) -> Address:
    """The address that is reached in the end. ValueError when it is none."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and int(address) > 1:
        for network, bits in EMBEDDED:
            if address in network:
                return ipaddress.IPv4Address(int(address) >> bits & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast


@dataclass(frozen=True, slots=True)
class Allowed:
    """Names and networks of `[web] allow`."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    node: str = field(default="this node", compare=False)

    @classmethod
    def of(cls, entries: Iterable[str], node: str) -> Self:
        hosts, networks = set[str](), list[Network]()
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                if "/" in entry:
                    rule = "a host's name, an address or a network such as 10.1.0.0/16"
                    raise McError(
                        "CONFIG_INVALID",
                        f"{entry!r} names nothing that could be asked",
                        faults=[FieldFault("web.allow", rule)],
                    ) from None
                hosts.add(entry.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks), node)

    def demand(self, host: str, text: str) -> None:
        """NOT_ALLOWED unless a request for that host may go to that address."""
        address = meant(text)
        if any(address in network for network in METADATA):
            said = f"{host} is {text}, where clouds tell machines their secrets: it is never asked"
            raise McError("NOT_ALLOWED", said, next="name the server that has the data")
        named = host.lower().rstrip(".") in self.hosts
        if named or is_public(address) or any(address in network for network in self.networks):
            return
        raise McError(
            "NOT_ALLOWED",
            f"{host} is {text}, which is no public address",
            next=f"if jobs may read it, write {host} into [web] allow of {self.node}",
        )
