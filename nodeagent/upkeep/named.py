"""What is live by all who may say so: the list in a file, and whoever knows the datasets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coordinator.policy import Policy
from nodeagent.upkeep.contract import Live, Roots, Witness
from nodeagent.upkeep.live_file import LiveFile, LiveFileWitness


class Namer(Roots, Witness, Protocol):
    """Both at once."""


@dataclass(slots=True)
class AllRoots:
    """A chunk is live when one of them names it, and none of them may fail to say."""

    file: Path
    namers: list[Namer] = field(default_factory=list)

    async def read(self, *, anew: bool = True) -> Live | None:
        found = [await one.read(anew=anew) for one in (LiveFile(self.file), *self.namers)]
        told = [live for live in found if live is not None]
        if not told:
            return None
        if len(told) == 1:
            return told[0]
        chunks: dict[bytes, Policy] = {}
        for live in told:
            for chunk_id, policy in live.chunks.items():
                known = chunks.get(chunk_id)
                if known is None or known.replicas < policy.replicas:
                    chunks[chunk_id] = policy
        as_of_unix_s = min(live.as_of_unix_s for live in told)
        return Live(chunks, as_of_unix_s, max(live.others for live in told))

    async def names(self, chunk_ids: Collection[bytes]) -> tuple[Mapping[bytes, bool], float]:
        witnesses: list[Witness] = [*self.namers]
        if not witnesses or self.file.exists():
            witnesses.append(LiveFileWitness(self.file))
        told = [await one.names(chunk_ids) for one in witnesses]
        named = {one: any(names.get(one, False) for names, _ in told) for one in chunk_ids}
        return named, min(as_of for _, as_of in told)
