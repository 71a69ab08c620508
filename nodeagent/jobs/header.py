"""A job's header: the register that says who keeps its ledger, who is steward, how it ended.

Every change is one decision of the council; whoever comes second is told what stands.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from blake3 import blake3
from google.protobuf.message import DecodeError

from multicloud.errors import McError
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.council.contract import Council, Register

ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # Without those that look like others.
ID_CHARS = 20
JOBS = "job/"
REQUESTS = "request/"


@dataclass(frozen=True, slots=True)
class Header:
    """What a register held, and the version to change it by."""

    value: records_pb2.JobHeader
    version: int

    @property
    def id(self) -> str:
        return self.value.id

    @property
    def stands(self) -> bool:
        """A standing job: it has no tasks of its own, and makes a job of every batch."""
        return self.value.spec.HasField("follow")

    @property
    def decided(self) -> bool:
        return self.value.HasField("outcome")


def new_id() -> str:
    return "".join(secrets.choice(ID_LETTERS) for _ in range(ID_CHARS))


def request_digest(spec: job_pb2.JobSpec) -> bytes:
    return blake3(spec.SerializeToString(deterministic=True)).digest()


@dataclass(slots=True)
class Headers:
    council: Council

    def all(self) -> Iterator[Header]:
        """By this node's copy, which may be seconds old."""
        return self._listed(JOBS)

    def known(self, job: str) -> Header | None:
        return next((header for header in self._listed(JOBS + job) if header.id == job), None)

    def _listed(self, prefix: str) -> Iterator[Header]:
        """A register that is no header hides no other; whoever follows them tells of it."""
        for register in self.council.list(prefix):
            with suppress(McError):
                yield read_header(register)

    async def get(self, job: str) -> Header:
        """As it is decided now."""
        register = await self.council.get(JOBS + job)
        if not register.version:
            raise McError("NOT_FOUND", f"there is no job {job}", next="`mcctl jobs` lists them")
        return read_header(register)

    async def earlier(self, request_id: str, digest: bytes) -> Header | None:
        """The job that a request has made; REQUEST_ID_REUSED when it was another request."""
        if not request_id:
            return None
        claimed = (await self.council.get(_request_key(request_id))).value
        if not claimed:
            return None
        job = _same_request(request_id, claimed, digest)
        register = await self.council.get(JOBS + job)
        return read_header(register) if register.version else None

    async def create(self, header: records_pb2.JobHeader) -> Header:
        """A new job, or the one that the same request made before."""
        if header.request_id:
            earlier = await self._claimed(header)
            if earlier is not None:
                return earlier
        wanted = header.SerializeToString()
        made = await self.council.compare_and_set(JOBS + header.id, 0, wanted, uuid4().hex)
        return Header(records_pb2.JobHeader.FromString(made.value), made.version)

    async def _claimed(self, header: records_pb2.JobHeader) -> Header | None:
        """The request's id belongs to one job for ever. None: to this one."""
        key = _request_key(header.request_id)
        claim = header.id.encode() + b" " + header.request_digest
        found = await self.council.compare_and_set(key, 0, claim, f"claim-{header.id}")
        if found.changed:
            return None
        job = _same_request(header.request_id, found.value, header.request_digest)
        register = await self.council.get(JOBS + job)
        if register.version:
            return read_header(register)
        header.id = job  # Whoever claimed it died before it made the job: we make it.
        return None

    async def change(
        self, job: str, edit: Callable[[records_pb2.JobHeader], bool | None]
    ) -> Header:
        """Reads, edits, decides; again when somebody else came first. `edit` says False when
        nothing is to be changed any more.
        """
        while True:
            header = await self.get(job)
            value = records_pb2.JobHeader()
            value.CopyFrom(header.value)
            if edit(value) is False or value == header.value:
                return header
            decided = await self.council.compare_and_set(
                JOBS + job, header.version, value.SerializeToString(), uuid4().hex
            )
            if decided.changed:
                return Header(value, decided.version)


def _request_key(request_id: str) -> str:
    return REQUESTS + blake3(request_id.encode()).hexdigest(16)


def _same_request(request_id: str, claimed: bytes, digest: bytes) -> str:
    """The job that has claimed the id."""
    job, _, known = claimed.partition(b" ")
    if known != digest:
        said = f"the request id {request_id!r} made job {job.decode()}, another one"
        raise McError("REQUEST_ID_REUSED", said, facts={"job": job.decode()})
    return job.decode()


def read_header(register: Register) -> Header:
    """DAMAGE when it holds none, or that of another job."""
    try:
        value = records_pb2.JobHeader.FromString(register.value)
    except DecodeError as error:
        raise McError("DAMAGE", f"the register {register.key} holds no job") from error
    if register.key != JOBS + value.id:
        raise McError("DAMAGE", f"the register {register.key} holds job {value.id!r}")
    return Header(value, register.version)


def undecided(headers: Iterable[Header]) -> list[Header]:
    return [header for header in headers if not header.decided]
