"""Another keeper for one that is gone: it has the ledger first, then it is named, and with it the
next epoch begins.
"""

import asyncio

import structlog

from coordinator.types import NodeId
from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.jobs.header import Headers
from nodeagent.jobs.keepers import Keepers
from nodeagent.jobs.steward_run import StewardRun

_log = structlog.stdlib.get_logger(__name__)
AGAIN_S = 1.0


async def replace(run: StewardRun, lost: NodeId, new: records_pb2.Keeper, headers: Headers) -> None:
    """What a worker tells the old keepers meanwhile may be missing: then a task is done twice."""
    job, epoch = run.header.id, run.header.epoch
    try:
        await _copy(run, new.node)

        def named(value: records_pb2.JobHeader) -> bool | None:
            if value.HasField("outcome") or value.epoch != epoch:
                return False
            left = [keeper for keeper in value.keepers if keeper.node != lost]
            del value.keepers[:]
            value.keepers.extend([*left, new])
            value.epoch = epoch + 1
            return None

        await headers.change(job, named)
    except McError as error:  # It is tried again as long as that keeper is gone.
        if error.reason == "SUPERSEDED":
            raise
        _log.warning("keeper_not_replaced", job=job, reason=error.reason, why=error.message)
        await asyncio.sleep(AGAIN_S)


async def _copy(run: StewardRun, node: NodeId) -> None:
    means = run.means
    own, channel = means.world.own, means.world.channel
    there = Keepers(run.header.id, [node], own, means.keeping, channel, means.world.rng)
    after = 0
    while rows := await means.keeping.read(run.header.id, after):
        after = rows[-1][0]
        facts = run.writing.under_this_epoch([fact for _, fact in rows])
        await there.append(facts, epoch=run.header.epoch)
