"""The volumes of a node, as `mcctl node show` has them: from itself, or from what others know."""

from typing import Any

from mcctl.show import Cell, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2

STYLES = {"healthy": "green", "full": "yellow"}
HOUR_S = 3600


async def volumes_of(client: Client, node: common_pb2.Node) -> list[dict[str, Any]]:
    """In full from the node itself; when it does not answer, what is known of it."""
    request = admin_pb2.ListVolumesRequest(node=node.facts.id)
    try:
        answer = await client.admin.ListVolumes(request)
    except McError as away:
        if away.reason not in ("UNREACHABLE", "DEADLINE", "NODE_UNKNOWN", "UNSUPPORTED"):
            raise
        known = [admin_pb2.Volume(facts=facts) for facts in node.facts.volumes]
        return [_fields(volume) | _UNKNOWN for volume in known]
    return [_fields(volume) for volume in answer.volumes]


_UNKNOWN = dict.fromkeys(("folder", "why", "bytes_total", "bytes_trash", "quarantined"))


def _fields(volume: admin_pb2.Volume) -> dict[str, Any]:
    facts = volume.facts
    age_s = facts.scrub_age_s
    return {
        "uuid": facts.uuid,
        "folder": volume.folder or None,
        "state": state_name(facts.state),
        "why": volume.why or None,
        "chunks": facts.chunks,
        "bytes_used": facts.bytes_used,
        "bytes_free": facts.bytes_free,
        "bytes_total": volume.bytes_total,
        "bytes_trash": volume.bytes_trash,
        "quarantined": volume.quarantined,
        "oldest_check_s": age_s if age_s >= 0 else None,
    }


def state_name(state: "common_pb2.VolumeState.ValueType") -> str:
    return common_pb2.VolumeState.Name(state).removeprefix("VOLUME_STATE_").lower()


def table(volumes: list[dict[str, Any]]) -> Table:
    columns = ("VOLUME", "STATE", ">CHUNKS", ">USED", ">FREE", ">TRASH", ">QUARANTINED")
    return Table((*columns, ">OLDEST CHECK", "WHY"), [_row(volume) for volume in volumes])


def _row(volume: dict[str, Any]) -> list[str | Cell]:
    state = volume["state"]
    age_s = volume["oldest_check_s"]
    return [
        volume["folder"] or volume["uuid"],
        Cell(state, STYLES.get(state, "bold red")),
        str(volume["chunks"]),
        human(volume["bytes_used"]),
        human(volume["bytes_free"]),
        "-" if volume["bytes_trash"] is None else human(volume["bytes_trash"]),
        "-" if volume["quarantined"] is None else str(volume["quarantined"]),
        "-" if age_s is None else f"{age_s / HOUR_S:.1f} h",
        volume["why"] or "-",
    ]
