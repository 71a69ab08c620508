"""What must be true before a machine is changed. Each check names its remedy."""

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from identity.bundle import NodeBundle
from nodeagent.config.kinds import port_of
from nodeagent.config.model import Listen
from nodeagent.install.places import Places

STATE_BYTES_MIN = 1 << 30  # Less room than this serves nobody.
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    wrong: str = ""  # Empty: all is well.
    next: str = ""


def check_rights(user_id: int, systemd: Path) -> Iterator[Check]:
    wrong = f"this is user {user_id}, not root" if user_id else ""
    yield Check("root", wrong, "sudo nodeagentd install BUNDLE")
    wrong = "" if systemd.is_dir() else "this machine was not booted by systemd"
    yield Check("systemd", wrong, "run `nodeagentd run` under your own supervisor, or use --root")


def check_times(bundle: NodeBundle, now_unix_s: float) -> Iterator[Check]:
    """The bundle's time is judged by this machine's clock, and the clock by the bundle."""
    holder = bundle.holder
    wrong = expired = ""
    if now_unix_s < holder.not_before_unix_s:
        begin = _day(holder.not_before_unix_s)
        wrong = f"it says {_day(now_unix_s)}, but the bundle was issued {begin}"
    if now_unix_s > holder.not_after_unix_s:
        expired = f"the certificate ended {_day(holder.not_after_unix_s)}"
    yield Check("clock", wrong, "set the clock: timedatectl set-ntp true")
    yield Check("bundle", expired, "issue a new one: mcctl cluster issue-node; or mend the clock")


def check_room(places: Places, needed_bytes: int) -> Iterator[Check]:
    for name, path, needed in (
        ("room for the release", places.opt, needed_bytes),
        ("room for data", places.states[0], STATE_BYTES_MIN),
    ):
        there = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(there).free
        wrong = f"{there} has {free // _MIB} MiB free, {-(-needed // _MIB)} are needed"
        yield Check(name, "" if free >= needed else wrong, f"free some room under {there}")


def check_ports(listen: Listen) -> Iterator[Check]:
    for key in ("api", "watch", "http"):
        address = getattr(listen, key)
        if address:
            wrong = _taken(address)
            yield Check(
                f"port {port_of(address)}",
                wrong,
                f"stop what has it: ss -ltnp '( sport = :{port_of(address)} )'",
            )


def _taken(address: str) -> str:
    host = address.rpartition(":")[0].strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port_of(address)))
        except OSError as error:
            return f"{address} cannot be listened on: {os.strerror(error.errno or 0)}"
    return ""


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
