"""Examines a node's volumes and chunks, mends what it can, and says what is left to a person."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import admin_pb2
from nodeagent.core.chunk import header
from nodeagent.rpc.checks import ERROR, OK, WARNING, finding
from nodeagent.store.contract import Health, Reading, VolumeState
from nodeagent.upkeep.contract import Keys
from nodeagent.upkeep.upkeep import Upkeep
from nodeagent.upkeep.walk import walk

MEND_S = 20.0  # What is not repaired by then is told as open.
SHOWN_MAX = 20  # Damaged chunks that are told one by one.
HEADERS_MAX = 1000  # Chunks whose key is looked for.
HOUR_S = 3600.0
_STATES = {
    VolumeState.FULL: ("NO_ROOM", WARNING, "free room on its disk, or add a volume or nodes"),
    VolumeState.READ_ONLY: (
        "VOLUME_READ_ONLY",
        ERROR,
        "look at `dmesg`, mount it writable, then `systemctl restart nodeagentd`",
    ),
    VolumeState.FAILED: (
        "VOLUME_FAILED",
        ERROR,
        "look at `dmesg` and replace the disk if it fails again, then "
        "`systemctl restart nodeagentd`; other copies serve meanwhile",
    ),
}
_FOREIGN = "look at them, and move away or mend what is no chunk; nothing here deletes it"


@dataclass(slots=True)
class Doctor:
    name: str
    upkeep: Upkeep
    healths: Callable[[], Mapping[str, Health]]
    read: Callable[[bytes], Awaitable[Reading]]
    keys: Keys
    clock_unix_s: Callable[[], float] = time.time

    async def examine(self, *, scrub: bool, collect: bool) -> list[admin_pb2.Finding]:
        parts = (
            self._volumes(),
            self._damage(),
            self._evidence(),
            self._trash(collect),
            self._keys(),
            self._checks(scrub),
            self._troubles(),
        )
        found: list[admin_pb2.Finding] = []
        for part in parts:
            try:
                found += [one async for one in part]
            except McError as error:  # One part that cannot be looked at hides no other.
                found.append(
                    finding("UPKEEP_HINDERED", self.name, ERROR, error.message, error.next)
                )
        return found

    async def _volumes(self) -> AsyncIterator[admin_pb2.Finding]:
        for uuid, health in self.healths().items():
            subject = f"{self.name}, volume {uuid}"
            share = f"{health.chunks} chunks, {health.bytes_free} bytes free"
            if health.state in _STATES:
                code, severity, remedy = _STATES[health.state]
                yield finding(code, subject, severity, health.why or health.state.value, remedy)
            elif health.why:
                yield finding("VOLUME_UNTIDY", subject, WARNING, health.why, _FOREIGN)
            else:
                yield finding("VOLUME_OK", subject, OK, share)

    async def _damage(self) -> AsyncIterator[admin_pb2.Finding]:
        repair, damages = self.upkeep.repair, self.upkeep.damages
        before = dict(damages.open)
        try:
            async with asyncio.timeout(MEND_S):
                await repair.tried(list(before)[:SHOWN_MAX])
        except TimeoutError:
            pass  # They are told as open.
        for chunk_id, damage in list(before.items())[:SHOWN_MAX]:
            subject = f"{self.name}, chunk {chunk_id.hex()}"
            now = damages.open.get(chunk_id)
            if now is None:
                done = "it was had again from another node, and its bytes are good"
                yield _done("DAMAGE_MENDED", subject, damage.why, done)
            elif now.lost:
                remedy = "start the nodes that are away: one of them may have a copy"
                what = f"no good copy was found anywhere ({damage.why})"
                yield finding("CHUNK_LOST", subject, ERROR, what, remedy)
            else:
                remedy = "it is tried again by itself; `mcctl events` tells what stands in the way"
                yield finding("DAMAGE", subject, ERROR, damage.why, remedy)
        rest = len(damages.open) - SHOWN_MAX
        if rest > 0:
            what = f"{rest} more chunks are damaged"
            yield finding("DAMAGE", self.name, ERROR, what, "wait for their repair")

    async def _evidence(self) -> AsyncIterator[admin_pb2.Finding]:
        gone = await self.upkeep.evidence.pass_once()
        kept = await self.upkeep.chunks.evidence()
        if gone:
            done = f"{gone} damaged files were deleted: enough good copies are proven"
            yield _done("EVIDENCE_GONE", self.name, "evidence of damage was old enough", done)
        if kept:
            what = f"{len(kept)} damaged files are kept in quarantine"
            remedy = "they go by themselves when enough good copies are proven; a disk that "
            remedy += "damages more and more is to be replaced"
            yield finding("EVIDENCE_KEPT", self.name, WARNING, what, remedy)

    async def _trash(self, collect: bool) -> AsyncIterator[admin_pb2.Finding]:
        collected = await self.upkeep.collect.pass_once(asked=collect)
        inspected = await self.upkeep.inspector.pass_once()
        if collected.trashed.chunks:
            what = f"nothing names {collected.trashed.chunks} chunks"
            done = f"they are in the trash, {collected.trashed.file_bytes} bytes"
            yield _done("TRASHED", self.name, what, done)
        if collected.held_back.chunks:
            what = f"nothing names {collected.held_back.chunks} chunks, and {collected.why}"
            remedy = f"is it right that so much is gone? Then `mcctl doctor {self.name} --gc`"
            yield finding("TRASH_HELD_BACK", self.name, WARNING, what, remedy)
        if inspected.revived:
            done = f"{inspected.revived} chunks are out of the trash again"
            yield _done("TRASH_REVIVED", self.name, "the trash held what is needed", done)
        if inspected.purged:
            done = f"{inspected.purged} chunks were deleted, {inspected.bytes_freed} bytes"
            yield _done("TRASH_EMPTIED", self.name, "the trash held what nobody needs", done)
        bytes_trash = sum(health.bytes_trash for health in self.healths().values())
        why = f"; not looked into: {inspected.why}" if bytes_trash and inspected.why else ""
        yield finding("TRASH", self.name, OK, f"{bytes_trash} bytes in the trash{why}")

    async def _keys(self) -> AsyncIterator[admin_pb2.Finding]:
        known = await self.keys.known()
        if not known:
            return  # A node without keys cannot tell.
        missing = looked = 0
        async for held in walk(self.upkeep.chunks):
            if looked == HEADERS_MAX:
                break
            looked += 1
            key_id = await self._key_of(held.chunk_id)
            missing += key_id is not None and key_id not in known
        if missing:
            what = f"of {missing} of {looked} chunks the dataset key is not in the keyring"
            remedy = "put the keyring back from a backup; chunks of a shredded dataset stay noise"
            yield finding("KEY_MISSING", self.name, ERROR, what, remedy)
        else:
            yield finding("KEYS_OK", self.name, OK, f"the keys of {looked} chunks are there")

    async def _key_of(self, chunk_id: bytes) -> bytes | None:
        """None where it cannot be told: the chunk is gone or damaged, or of a newer format."""
        try:
            reading = await self.read(chunk_id)
            await reading.close()
            return header.decode(reading.envelope.header).key_id
        except McError as error:
            if error.reason in ("NOT_FOUND", "DAMAGE", "UNSUPPORTED"):
                return None
            raise

    async def _checks(self, scrub: bool) -> AsyncIterator[admin_pb2.Finding]:
        scrubbing = self.upkeep.scrub
        progress, age_s = scrubbing.progress, scrubbing.oldest_age_s()
        within_s = self.upkeep.settings().scrub_within_s
        what = f"{progress.chunks} chunks, the oldest check is {age_s / HOUR_S:.1f} hours old"
        what += f", {progress.waiting} wait for theirs"
        if scrub:
            scrubbing.hurry()
            yield _done("SCRUB", self.name, what, "every chunk is being read again from now on")
        elif age_s > within_s:
            remedy = "raise upkeep.scrub_bytes_per_s_max, or let nodes have less to do"
            yield finding("SCRUB_LATE", self.name, WARNING, what, remedy)
        else:
            yield finding("SCRUB_OK", self.name, OK, what)

    async def _troubles(self) -> AsyncIterator[admin_pb2.Finding]:
        for part, why in self.upkeep.troubles().items():
            remedy = "mend what it names; it is tried again by itself"
            yield finding("UPKEEP_HINDERED", f"{self.name}, {part}", WARNING, why, remedy)


def _done(code: str, subject: str, what: str, done: str) -> admin_pb2.Finding:
    found = finding(code, subject, OK, what)
    found.done = done
    return found
