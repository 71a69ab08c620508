"""Who may serve a job's source: whoever submitted the job, and those who may operate all jobs."""

from dataclasses import dataclass

from multicloud.errors import McError
from multicloud.v1 import records_pb2
from nodeagent.council.contract import Council
from nodeagent.rpc.access import ADMIN, OPERATOR
from nodeagent.rpc.call import Caller


@dataclass(frozen=True, slots=True)
class Owners:
    council: Council

    async def may_serve(self, job: str, uri: str, caller: Caller) -> None:
        """NOT_FOUND when there is no such job, NOT_ALLOWED when it is somebody else's."""
        key = f"job/{job}"
        kept = [found for found in self.council.list(key) if found.key == key]
        # The copy may be older than the job.
        value = kept[0].value if kept else (await self.council.get(key)).value
        if not value:
            raise McError("NOT_FOUND", f"there is no job {job}", next="`mcctl jobs` lists them")
        header = records_pb2.JobHeader.FromString(value)
        if header.spec.source != uri:
            said = f"job {job} reads {header.spec.source}, not {uri}"
            raise McError("BAD_REQUEST", said, next="resume it where those files are")
        mine = caller.uri == header.submitter
        if not mine and not caller.holder.roles & {OPERATOR, ADMIN}:
            said = f"job {job} was submitted by {header.submitter}, not by {caller.uri}"
            raise McError("NOT_ALLOWED", said, next="ask an operator to serve it")
        if header.HasField("outcome"):
            raise McError("NOT_FOUND", f"job {job} has ended; nothing of it is read any more")
