"""The S3 endpoint of a real node: joined with its datasets, its council and its audit log."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from identity.store import NodeIdentity
from nodeagent.config.live import LiveConfig
from nodeagent.council.making import NodeCouncil
from nodeagent.jobs.plane_making import NodeJobs
from nodeagent.ops.audit import AuditLog
from nodeagent.rpc.guard import Observer
from nodeagent.s3.access_service import AccessService
from nodeagent.s3.door import Door
from nodeagent.s3.keys import AccessKeys
from nodeagent.s3.trail import Trail

_log = structlog.stdlib.get_logger(__name__)


class Surroundings(Protocol):
    """What a node has made already when it comes to this."""

    @property
    def live(self) -> LiveConfig: ...
    @property
    def identity(self) -> NodeIdentity: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def council(self) -> NodeCouncil: ...
    @property
    def jobs(self) -> NodeJobs: ...


class NodeS3:
    """`services` issue keys on every node; `run` serves where `listen.s3` says so."""

    def __init__(self, node: Surroundings, observer: Observer) -> None:
        config = node.live.current
        self._identity, self._config = node.identity, config
        keys = AccessKeys(node.council.part.council, node.identity.cluster_key)
        trail = Trail(node.audit, node.identity.cluster)
        self._door = Door(node.jobs.datasets.reading, keys, trail, observer, config.s3)
        self.services: Mapping[str, Sequence[object]] = {"AccessService": [AccessService(keys)]}

    async def run(self) -> None:
        """Until it is cancelled."""
        config = self._config
        if not config.listen.s3:
            return
        from nodeagent.s3.serving import Certificates, Serving  # uvicorn, where it is needed.

        certificates = Certificates(self._identity, config.s3.certificate, config.s3.key)
        serving = Serving(
            config.listen.s3,
            self._door,
            certificates.context,
            config.limits.handshake_timeout_s,
            config.s3.connections_max,
            config.s3.stall_s,
        )
        async with serving.open():
            _log.info("s3_serves", address=config.listen.s3)
            await asyncio.Event().wait()

    async def emptied(self) -> None:
        await self._door.emptied()
