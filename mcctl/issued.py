"""What an authority has issued, a line each, beside its CA. The last about an identity counts."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from identity.names import Identity
from multicloud.errors import McError

FILE = "issued.jsonl"


@dataclass(frozen=True, slots=True)
class Issued:
    identity: str
    name: str  # What people call it.
    serial: str
    not_before_unix_s: int
    not_after_unix_s: int
    ca_serial: str  # Of the CA that signed: after a rotation this tells who is left behind.
    roles: tuple[str, ...] = ()
    cloud: str = ""  # From here on: nodes only.
    region: str = ""
    zone: str = ""
    address: str = ""
    watch: str = ""
    storage_only: bool = False

    @property
    def is_node(self) -> bool:
        return Identity.parse(self.identity).kind == "node"

    @property
    def id(self) -> str:
        return Identity.parse(self.identity).name


class IssuedLog:
    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def latest(self) -> list[Issued]:
        """The newest line about each identity, in the order in which they first appeared."""
        found: dict[str, Issued] = {}
        for one in self._lines():
            found[one.identity] = one
        return list(found.values())

    def nodes(self) -> list[Issued]:
        return [one for one in self.latest() if one.is_node]

    def operators(self) -> list[Issued]:
        return [one for one in self.latest() if not one.is_node]

    def add(self, one: Issued) -> None:
        line = json.dumps(asdict(one)).encode() + b"\n"
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def find(self, what: str) -> Issued:
        """The one identity that a URI, a node's id or a name means."""
        found = [one for one in self.latest() if what in (one.identity, one.id, one.name)]
        if not found:
            raise McError(
                "NOT_FOUND",
                f"this authority has issued nothing to {what!r}{_known(self.latest())}",
                next="name a node, an operator, or an identity (spiffe://…)",
            )
        if len(found) > 1:
            said = " and ".join(one.identity for one in found)
            raise McError("USAGE", f"{what!r} means {said}", next="name the identity in full")
        return found[0]

    def _lines(self) -> Iterable[Issued]:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        known = {field.name for field in fields(Issued)}
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return  # A crash cut the last line; what it was about has not been handed out.
            try:
                raw = json.loads(line)
                raw["roles"] = tuple(raw["roles"])
                yield Issued(**{name: value for name, value in raw.items() if name in known})
            except (ValueError, TypeError, KeyError) as error:
                raise McError(
                    "CONFIG_INVALID",
                    f"{self._path}:{number} is damaged: {error}",
                    next="restore the authority's folder from your backup",
                ) from error


def _known(some: Iterable[Issued]) -> str:
    names = ", ".join(one.name for one in some)
    return f"; it knows {names}" if names else ""
