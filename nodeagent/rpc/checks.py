"""The findings of `mcctl check` from a node's own side, each with the exact remedy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from multicloud.v1 import admin_pb2, common_pb2
from nodeagent.rpc.roster import Peer, Roster

OK, WARNING, ERROR = (
    admin_pb2.SEVERITY_OK,
    admin_pb2.SEVERITY_WARNING,
    admin_pb2.SEVERITY_ERROR,
)
DAY_S = 86_400
CERTIFICATE_WARN_DAYS, CERTIFICATE_ALARM_DAYS = 30, 7
CLOCK_WARN_MS = 1_000
DISK_WARN_SHARE = 0.05


def finding(
    code: str, subject: str, severity: "admin_pb2.Severity.ValueType", what: str, next_: str = ""
) -> admin_pb2.Finding:
    return admin_pb2.Finding(code=code, subject=subject, severity=severity, what=what, next=next_)


def certificate(name: str, end_unix_s: float, now_unix_s: float) -> admin_pb2.Finding:
    days = (end_unix_s - now_unix_s) / DAY_S
    what = f"valid for {days:.0f} more days" if days > 0 else "has expired"
    remedy = f"mcctl cluster renew {name}"
    if days > CERTIFICATE_WARN_DAYS:
        return finding("CERTIFICATE_OK", name, OK, what)
    severity = WARNING if days > CERTIFICATE_ALARM_DAYS else ERROR
    return finding("CERTIFICATE_ENDS", name, severity, what, remedy)


def disk(name: str, folder: Path) -> admin_pb2.Finding:
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total
    what = f"{usage.free >> 30} GiB of {usage.total >> 30} free below {folder}"
    if share >= DISK_WARN_SHARE:
        return finding("DISK_OK", name, OK, what)
    return finding("DISK_FULL", name, WARNING, what, "free room, or give the node a larger disk")


def audit(name: str, healthy: bool) -> admin_pb2.Finding:
    if healthy:
        return finding("AUDIT_OK", name, OK, "the audit log is written")
    what = "the audit log cannot be written, so nothing can be changed"
    remedy = "free the disk, or mend the rights of <state>/audit"
    return finding("AUDIT_UNWRITABLE", name, ERROR, what, remedy)


def links(roster: Roster, unanswered: dict[str, str]) -> Iterator[admin_pb2.Finding]:
    for peer in sorted(roster.peers.values(), key=lambda p: p.name):
        yield from _link(roster, peer)
    met = any(roster.state(p) == common_pb2.NODE_STATE_ALIVE for p in roster.peers.values())
    for address, why in sorted(unanswered.items()):
        yield finding(
            "JOIN_UNANSWERED",
            f"{roster.own.name} -> {address}",
            WARNING if met else ERROR,  # One that answers is enough.
            why,
            f"open TCP {address.rpartition(':')[2]} to {address}, or correct join.peers",
        )


def _link(roster: Roster, peer: Peer) -> Iterator[admin_pb2.Finding]:
    subject = f"{roster.own.name} -> {peer.name}"
    state = roster.state(peer)
    if state == common_pb2.NODE_STATE_REMOVED:
        return  # Nobody expects it.
    if state == common_pb2.NODE_STATE_LEFT:
        yield finding(
            "LINK_LEFT", subject, WARNING, "it has left", f"start nodeagentd on {peer.name}"
        )
    elif state in (common_pb2.NODE_STATE_DOWN, common_pb2.NODE_STATE_DEAD):
        what = peer.failure or "its observers do not hear it"
        remedy = f"look at {peer.name}: `systemctl status nodeagentd`, `journalctl -u nodeagentd`"
        yield finding("NODE_LOST", subject, ERROR, what, remedy)
    elif state == common_pb2.NODE_STATE_SUSPECT:
        what = "silent for more than a second: it pauses, or it is being lost"
        remedy = "wait some seconds: `mcctl events --follow` tells what becomes of it"
        yield finding("LINK_SILENT", subject, WARNING, what, remedy)
    elif peer.failure or state == common_pb2.NODE_STATE_UNREACHABLE:
        port = peer.address.rpartition(":")[2] or "7443"
        yield finding(
            "LINK_BROKEN",
            subject,
            ERROR,
            peer.failure or "it has not been heard for a while",
            f"allow TCP {port} from {roster.own.name} to {peer.name}"
            + (f" ({peer.address})" if peer.address else ""),
        )
    else:
        yield finding("LINK_OK", subject, OK, f"{peer.rtt_ms:.1f} ms, mTLS, pinned")
        yield from _clock(subject, peer)


def _clock(subject: str, peer: Peer) -> Iterator[admin_pb2.Finding]:
    offset_ms = peer.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) > CLOCK_WARN_MS:
        what = f"the clocks differ by {offset_ms / 1000:.1f} s"
        remedy = "let both keep time with NTP: `timedatectl set-ntp true`"
        yield finding("CLOCK_APART", subject, WARNING, what, remedy)
