"""One table of what can go wrong: reason, gRPC code, exit code, who retries, and what to do next.

Every error of the system is an `McError` with a reason of this table. Foreign
errors are mapped to one at the border where they come in (`status.py` for gRPC).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Retry(Enum):
    """What a caller may do about an error."""

    NEVER = "never"
    HERE = "here"  # Again at the same place, after `retry_after_s` if it is given.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Reason:
    code: str  # Name of a grpc.StatusCode
    exit: int
    retry: Retry
    next: str


_N, _H, _E = Retry.NEVER, Retry.HERE, Retry.ELSEWHERE

REASONS: Mapping[str, Reason] = {
    # Usage and configuration: exit 2
    "USAGE": Reason("INVALID_ARGUMENT", 2, _N, "see `mcctl --help`"),
    "BAD_REQUEST": Reason("INVALID_ARGUMENT", 2, _N, "correct the named fields"),
    "CONFIG_INVALID": Reason("INVALID_ARGUMENT", 2, _N, "correct the named lines, then `nodeagentd check-config`"),
    "PIPELINE_INVALID": Reason("INVALID_ARGUMENT", 2, _N, "correct the named lines, then `mcctl pipeline check FILE`"),
    "SECRET_EXPOSED": Reason("FAILED_PRECONDITION", 2, _N, "chmod 600 the named file"),
    "BUNDLE_INVALID": Reason("INVALID_ARGUMENT", 2, _N, "issue a new one: `mcctl cluster issue-node`"),
    "PASSPHRASE_WRONG": Reason("INVALID_ARGUMENT", 2, _N, "check MC_CA_PASSPHRASE_FILE or type it again"),
    "REQUEST_ID_REUSED": Reason("ALREADY_EXISTS", 2, _N, "use a new --request-id for another request"),
    "ALREADY_EXISTS": Reason("ALREADY_EXISTS", 2, _N, "choose another name, or remove the old one first"),
    "EXTRA_MISSING": Reason("FAILED_PRECONDITION", 2, _N, "install the named extra"),
    "POLICY_IMPOSSIBLE": Reason("FAILED_PRECONDITION", 2, _N, "add nodes in the named domains, or relax the policy"),
    "FOLDER_IN_USE": Reason("FAILED_PRECONDITION", 2, _N, "stop the other daemon, or give this one its own state folder"),
    "ADDRESS_IN_USE": Reason("FAILED_PRECONDITION", 2, _N, "free the port, or set another in the configuration"),
    # Reaching: exit 3
    "UNREACHABLE": Reason("UNAVAILABLE", 3, _E, "`mcctl check` names what stands between"),
    "NO_CONTEXT": Reason("FAILED_PRECONDITION", 3, _N, "`mcctl dev up` for a local cluster, or `mcctl context import FILE`"),
    "SOURCE_AWAY": Reason("UNAVAILABLE", 3, _H, "`mcctl submit --resume JOB` where the files are; the job waits until then"),
    "DRAINING": Reason("UNAVAILABLE", 3, _E, "try again, or another node with --node"),
    "STARTING": Reason("UNAVAILABLE", 3, _H, "try again in a second"),
    "DEADLINE": Reason("DEADLINE_EXCEEDED", 124, _H, "try again, or give more time with --timeout"),
    "CANCELLED": Reason("CANCELLED", 130, _N, "run it again when you want it"),
    # Rights: exit 4
    "WRONG_PEER": Reason("UNAUTHENTICATED", 4, _N, "the address belongs to another node or cluster: correct the address"),
    "NO_IDENTITY": Reason("UNAUTHENTICATED", 4, _N, "issue a certificate with exactly one identity"),
    "CERTIFICATE_EXPIRED": Reason("UNAUTHENTICATED", 4, _N, "`mcctl cluster renew` (nodes) or `issue-operator` (people)"),
    "REVOKED": Reason("PERMISSION_DENIED", 4, _N, "ask an admin for a new identity"),
    "REMOVED": Reason("PERMISSION_DENIED", 4, _N, "issue the machine a new identity: `mcctl cluster issue-node`, then `nodeagentd install`"),
    "NOT_ALLOWED": Reason("PERMISSION_DENIED", 4, _N, "ask an admin for one of the roles named"),
    "UNTRUSTED": Reason("PERMISSION_DENIED", 4, _N, "what was sent is not signed by a CA of this cluster"),
    # Finding: exit 5
    "NOT_FOUND": Reason("NOT_FOUND", 5, _N, "check the name"),
    "NODE_UNKNOWN": Reason("NOT_FOUND", 5, _N, "`mcctl nodes` lists the names"),
    # Limits
    "TOO_BUSY": Reason("RESOURCE_EXHAUSTED", 1, _H, "try again after the delay given"),
    "TOO_LARGE": Reason("RESOURCE_EXHAUSTED", 1, _N, "send less at once"),
    "STALLED": Reason("ABORTED", 1, _H, "try again; the stream stood still for too long"),
    # States
    "KEY_MISSING": Reason("FAILED_PRECONDITION", 1, _E, "read it through a node that has the cluster key; a dataset that was shredded is gone"),
    "NO_ROOM": Reason("RESOURCE_EXHAUSTED", 1, _E, "free room on the volume or add nodes; reads and deletes go on"),
    "VOLUME_FAILED": Reason("UNAVAILABLE", 1, _E, "look at the node's disk and its log, then restart nodeagentd; other copies serve meanwhile"),
    "VOLUME_READ_ONLY": Reason("UNAVAILABLE", 1, _E, "mount the volume writable, then restart nodeagentd; reads go on"),
    "VOLUME_WRONG": Reason("FAILED_PRECONDITION", 2, _N, "mount the right disk there, or name a new folder for a new volume"),
    "PINNED": Reason("FAILED_PRECONDITION", 1, _H, "a job or a promise needs it; try again when that has ended"),
    "SUPERSEDED": Reason("FAILED_PRECONDITION", 1, _N, "another steward goes on with the job; nothing is to be done"),
    "COPIES_MISSING": Reason("UNAVAILABLE", 1, _H, "`mcctl nodes` shows who is away; what was reached stays, try again"),
    "NO_MAJORITY": Reason("UNAVAILABLE", 3, _E, "start or reach the members named; reading, listing and storing go on"),
    "AUDIT_UNWRITABLE": Reason("FAILED_PRECONDITION", 1, _E, "free the disk or mend the permissions of the audit log; until then nothing is changed"),
    "WORKER_LOST": Reason("ABORTED", 1, _E, "it is tried again elsewhere; when it stays so, the step needs more memory or time than process.* gives"),
    "INPUT_BROKEN": Reason("FAILED_PRECONDITION", 1, _N, "the named object is not what its format asks for: mend it, or exclude it with --exclude"),
    "CHANGED": Reason("FAILED_PRECONDITION", 1, _N, "the named object is another one now: read it anew, in a job of its own"),
    "RECORDS_BAD": Reason("FAILED_PRECONDITION", 1, _N, "mend the data or the step named: `mcctl pipeline try` shows both; on_bad and fail_above say how much may be bad"),
    "UNSUPPORTED": Reason("UNIMPLEMENTED", 1, _N, "upgrade the node that answered"),
    "DAMAGE": Reason("DATA_LOSS", 1, _E, "`mcctl doctor` finds and mends"),
    "FAILED": Reason("FAILED_PRECONDITION", 1, _N, "see the message"),
    "INTERNAL": Reason("INTERNAL", 1, _N, "a defect: report it with the trace id and the node's log"),
}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One thing that is wrong with a request or a configuration."""

    field: str
    rule: str
    where: str = ""  # "file:line"
    nearest: str = ""  # The known name nearest to an unknown one.

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return f"{place}{self.field}: {self.rule}{hint}"


class McError(Exception):
    """What happened, to what, why; `next` says what to do."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        facts: Mapping[str, str] | None = None,
        faults: Sequence[FieldFault] = (),
        retry_after_s: float | None = None,
        next: str = "",
        trace_id: str = "",
    ) -> None:
        super().__init__(message)
        self.row = REASONS[reason]
        self.reason = reason
        self.message = message
        self.facts = dict(facts or {})
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s
        self.next = next or self.row.next
        self.trace_id = trace_id

    def __str__(self) -> str:
        return f"{self.message} [{self.reason}]"
