"""Who may call what: one row for every RPC, default deny. An RPC without a row fails the build."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

NODE, SUBMITTER, OPERATOR, ADMIN, AUDITOR, METRICS = ROLES = (
    "node",
    "submitter",
    "operator",
    "admin",
    "auditor",
    "metrics",
)


@dataclass(frozen=True, slots=True)
class Rule:
    roles: frozenset[str]
    mutating: bool = False  # Audited before it acts; refused when the audit log cannot be written.
    passed_on: bool = False  # A node may pass it to the node that it names, for its caller.
    unmetered: bool = False  # Between nodes, and paced by themselves: no token bucket.
    bulk: bool = False  # A stream of data: no total deadline, large messages, no token bucket.


def _of(*roles: str) -> Rule:
    return Rule(frozenset(roles))


_NODES = _of(NODE)
_BULK = replace(_NODES, bulk=True)
_PACED = replace(_NODES, unmetered=True)
_LOOK = _of(SUBMITTER, OPERATOR, ADMIN, AUDITOR)
_READ = _of(SUBMITTER, OPERATOR, ADMIN)
_READ_BULK = replace(_READ, bulk=True)
_JOB = replace(_of(SUBMITTER, OPERATOR, ADMIN), mutating=True)
_OPERATE = replace(_of(OPERATOR, ADMIN), mutating=True)
_ADMIN = replace(_of(ADMIN), mutating=True)
_AUDIT = _of(ADMIN, AUDITOR)
_ANYONE = _of(*ROLES)


def _passed(rule: Rule) -> Rule:
    return replace(rule, passed_on=True)


ACCESS: Mapping[str, Rule] = {
    "/grpc.health.v1.Health/Check": _ANYONE,
    "/grpc.health.v1.Health/List": _ANYONE,
    "/grpc.health.v1.Health/Watch": replace(_ANYONE, bulk=True),
    **{
        f"/multicloud.v1.{name}": rule
        for name, rule in {
            "PeerService/Greet": _NODES,
            "WatchService/Observe": _BULK,
            "WatchService/Tell": _NODES,
            "CouncilService/Prepare": _PACED,
            "CouncilService/Accept": _PACED,
            "CouncilService/Seal": _NODES,
            "CouncilService/Install": _NODES,
            "CouncilService/ListRegisters": _NODES,
            "ChunkService/PutChunk": _BULK,
            "ChunkService/GetChunk": _BULK,
            "ChunkService/HaveChunks": _NODES,
            "ChunkService/VerifyChunks": _PACED,
            "ChunkService/DeleteChunks": _NODES,
            "ChunkService/PushChunk": _BULK,
            "ChunkService/UnpinChunks": _NODES,
            "ChunkService/NameChunks": _PACED,
            "TaskService/PullTasks": _BULK,
            "LedgerService/AppendFacts": _BULK,
            "LedgerService/ReadFacts": _BULK,
            "LedgerService/OpenEpoch": _NODES,
            "SourceService/ServeSource": replace(_JOB, bulk=True),
            "SourceService/FindSource": _NODES,
            "SourceService/ListSource": _BULK,
            "SourceService/ReadSource": _BULK,
            "JobService/PlanJob": _READ,
            "JobService/CreateJob": _JOB,
            "JobService/GetJob": _passed(_LOOK),
            "JobService/ListJobs": _LOOK,
            "JobService/WatchJob": replace(_LOOK, bulk=True),
            "JobService/PauseJob": _JOB,
            "JobService/ResumeJob": _JOB,
            "JobService/CancelJob": _JOB,
            "JobService/RetryJob": _JOB,
            "JobService/GetReceipt": replace(_LOOK, bulk=True),
            "JobService/ListQuarantine": _READ,
            "DatasetService/ListDatasets": _LOOK,
            "DatasetService/GetVersion": _LOOK,
            "DatasetService/ListFiles": _LOOK,
            "DatasetService/ReadFile": _READ_BULK,
            "DatasetService/ReadFiles": _READ_BULK,
            "DatasetService/VerifyVersion": replace(_LOOK, bulk=True),
            "DatasetService/RemoveVersion": _OPERATE,
            "DatasetService/RestoreVersion": _OPERATE,
            "ExportService/ExportVersion": replace(_OPERATE, bulk=True),
            "ExportService/ExportFiles": _BULK,
            "DatasetService/FindManifests": replace(_ADMIN, bulk=True),
            "DatasetService/RebuildVersion": _ADMIN,
            "AccessService/IssueKey": _ADMIN,
            "AccessService/ListKeys": _AUDIT,
            "AccessService/RevokeKey": _ADMIN,
            "InsightService/QueryHistory": _passed(_LOOK),
            "InsightService/GetTrace": _passed(_LOOK),
            "InsightService/KeepTraces": _NODES,
            "InsightService/GetLinks": _passed(_LOOK),
            "InsightService/WatchEvents": replace(_LOOK, bulk=True),
            "InsightService/ListSinks": _LOOK,
            "InsightService/EnableSink": _OPERATE,
            "InsightService/ListAlerts": _LOOK,
            "InsightService/SilenceAlert": _OPERATE,
            "InsightService/ResolveAlert": _OPERATE,
            "AdminService/GetStatus": _of(SUBMITTER, OPERATOR, ADMIN, AUDITOR, METRICS),
            "AdminService/ListNodes": _LOOK,
            "AdminService/GetNode": _passed(_LOOK),
            "AdminService/DrainNode": _passed(_OPERATE),
            "AdminService/UndrainNode": _passed(_OPERATE),
            "AdminService/RemoveNode": _ADMIN,
            "AdminService/GetRtt": _LOOK,
            "AdminService/ExplainPlacement": _READ,
            "AdminService/CheckNode": _passed(_of(OPERATOR, ADMIN, AUDITOR)),
            "AdminService/ListVolumes": _passed(_LOOK),
            "AdminService/VerifyChunk": _LOOK,
            "AdminService/ExamineNode": _passed(_OPERATE),
            "AdminService/GetConfig": _passed(_of(OPERATOR, ADMIN, AUDITOR)),
            "AdminService/ReloadConfig": _passed(_ADMIN),
            "AdminService/PrepareCertificate": _passed(_ADMIN),
            "AdminService/InstallCertificate": _passed(_ADMIN),
            "AdminService/InstallTrust": _passed(_ADMIN),
            "AdminService/AddRevocations": _ADMIN,
            "AdminService/ListRevocations": _AUDIT,
            "AdminService/ReadAudit": _passed(replace(_AUDIT, bulk=True)),
            "AdminService/ListAuditHeads": _passed(_AUDIT),
            "AdminService/BackupCluster": replace(_ADMIN, bulk=True),
            "AdminService/RestoreCluster": replace(_ADMIN, bulk=True),
            "AdminService/FinalizeFormat": _ADMIN,
        }.items()
    },
}
