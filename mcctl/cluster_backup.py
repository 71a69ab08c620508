"""`mcctl cluster backup` and `restore`: all that was decided, in one file, and back."""

import os
from collections.abc import AsyncIterator
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.message import DecodeError

from identity.certificate import rfc3339
from mcctl import reach, show
from mcctl.cli import run_async
from multicloud.errors import McError
from multicloud.v1 import admin_pb2, common_pb2, records_pb2

MAGIC = b"multicloud backup 1\n"
DIGEST_BYTES = 32
BATCH = 256  # Registers in a message; each has at most 32 KiB.
BATCH_BYTES = 1 << 20
QUESTION = (
    "Open the council anew on {node}? Whatever was decided and neither stands in the backup nor "
    "is known to {node} is lost."
)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; private, and never replaced.")],
) -> None:
    """Write all that was decided into a file: datasets, versions, removals, wrapped keys."""
    if file.exists():
        raise McError("USAGE", f"{file} exists", next="name a new file for each backup")
    found = run_async(_backup())
    written(file, found)
    names = [register.key.split("/")[0] for register in found.registers]
    fields = {
        "file": str(file),
        "cluster": found.head.cluster,
        "created": rfc3339(found.head.created_unix_ms / 1000),
        "current": found.head.current,
        "registers": len(names),
        "datasets": names.count("dataset"),
        "versions": names.count("version"),
        "keys": names.count("key"),
    }
    said = f"datasets {fields['datasets']}, versions {fields['versions']}, keys {fields['keys']}"
    lines = [f"{file}: cluster {found.head.cluster}; {said}"]
    if not found.head.current:
        lines.append("the council does not decide now: something decided lately may be missing")
    lines.append(
        "the keys in it open only with the cluster key, which is in the authority's folder"
    )
    show.emit(fields, lines)
    show.next_step("keep it apart from the nodes, beside a backup of the authority's folder")


def restore(
    file: Annotated[
        Path | None, typer.Argument(help="A backup; without one: what the node still knows.")
    ] = None,
    members_lost: Annotated[
        bool,
        typer.Option("--members-lost", help="The members that are away are lost for good."),
    ] = False,
) -> int:
    """Open a council that is lost anew, on the node that answers. Asks first."""
    kept = read(file) if file else records_pb2.ClusterBackup()
    fields = run_async(_restore(kept, members_lost=members_lost))
    if fields is None:
        show.note("nothing was restored")
        return 1
    lines = [
        f"the council is open on {fields['node']}: epoch {fields['epoch']}, "
        f"{fields['registers']} decisions, {fields['from_backup']} of them from the backup",
    ]
    if fields["jobs_left_out"]:
        jobs = ", ".join(fields["jobs_left_out"])
        lines.append(f"jobs that had not ended are not in it, submit them again: {jobs}")
    show.emit(fields, lines)
    show.next_step("`mcctl status` counts what is there")
    return 0


async def _backup() -> records_pb2.ClusterBackup:
    found = records_pb2.ClusterBackup()
    async with reach.client() as client:
        async for answer in client.admin.BackupCluster(admin_pb2.BackupClusterRequest()):
            if answer.HasField("head"):
                found.head.CopyFrom(answer.head)
            found.registers.extend(answer.registers)
    if not found.head.format:
        raise McError("FAILED", "the node ended the backup before it began")
    return found


async def _restore(kept: records_pb2.ClusterBackup, *, members_lost: bool) -> dict[str, Any] | None:
    async with reach.client() as client:
        status = await client.admin.GetStatus(admin_pb2.GetStatusRequest())
        node = client.node.name or client.node.address
        lost = not (status.council.majority and status.council.registers)
        if lost and not show.confirm(QUESTION.format(node=node)):
            return None
        answer = await client.admin.RestoreCluster(_requests(kept, members_lost=members_lost))
        return {
            "node": node,
            "epoch": answer.epoch,
            "registers": answer.registers,
            "from_backup": answer.from_backup,
            "jobs_left_out": list(answer.jobs_left_out),
        }


async def _requests(
    kept: records_pb2.ClusterBackup, *, members_lost: bool
) -> AsyncIterator[admin_pb2.RestoreClusterRequest]:
    request = admin_pb2.RestoreClusterRequest(head=kept.head, members_lost=members_lost)
    size_bytes = 0
    for register in kept.registers:
        request.registers.append(register)
        size_bytes += register.ByteSize()
        if len(request.registers) >= BATCH or size_bytes >= BATCH_BYTES:
            yield request
            request, size_bytes = admin_pb2.RestoreClusterRequest(), 0
    yield request


def written(file: Path, backup: records_pb2.ClusterBackup) -> None:
    """Durable when it returns; whoever finds the file finds all of it."""
    body = backup.SerializeToString(deterministic=True)
    draft = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(MAGIC + _digest(body) + body)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError as error:
        raise McError("FAILED", f"{file} cannot be written: {error.strerror}") from error


def read(file: Path) -> records_pb2.ClusterBackup:
    """DAMAGE unless it is exactly what was written."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise McError("USAGE", f"{file} cannot be read: {error.strerror}") from error
    begin = len(MAGIC) + DIGEST_BYTES
    digest, body = content[len(MAGIC) : begin], content[begin:]
    if not content.startswith(MAGIC):
        raise McError("USAGE", f"{file} is no backup of a cluster")
    if digest != _digest(body):
        raise McError("DAMAGE", f"{file} is not what was written", next="take another backup")
    found: common_pb2.BackupHead
    try:
        backup = records_pb2.ClusterBackup.FromString(body)
        found = backup.head
    except DecodeError as error:
        raise McError("DAMAGE", f"{file} does not read: {error}") from error
    if found.format != 1:
        said = f"{file} is of format {found.format}, which this release does not read"
        raise McError("UNSUPPORTED", said, next="read it with a newer release")
    return backup


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=DIGEST_BYTES).digest()
