"""A job as people see it: from its header alone, or with what its steward knows."""

from collections.abc import Mapping
from datetime import UTC, datetime

from coordinator.survival import policy_survival
from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs import bucket_cost
from nodeagent.jobs.following.run import FollowRun
from nodeagent.jobs.plane_world import JobWorld
from nodeagent.jobs.steward_figures import counts_of
from nodeagent.jobs.steward_run import StewardRun
from nodeagent.jobs.steward_seen import shown
from nodeagent.jobs.steward_seen import told as limited
from nodeagent.rpc.admin.placing import survival_message
from nodeagent.rpc.policies import policy_of


def told(header: records_pb2.JobHeader, world: JobWorld, why: str = "") -> job_pb2.Job:
    """From the header alone. `why` nobody says more; figures of a job that goes on are absent."""
    created_s = header.created_unix_ms / 1000
    end_ms = header.outcome.ended_unix_ms
    end_s = end_ms / 1000 if end_ms else world.clock_unix_s()
    cost = job_pb2.Cost()
    cost.CopyFrom(header.outcome.cost)
    plan = header.planned
    cost.planned_usd, cost.prices_date = plan.planned_usd, plan.prices_date
    cost.planned_seconds = plan.planned_seconds
    cost.planned_edges.extend(plan.planned_edges)
    bucket_cost.told(plan, header.outcome.counts, cost)
    state = job_pb2.JOB_STATE_PAUSED if header.paused else job_pb2.JOB_STATE_RUNNING
    return job_pb2.Job(
        id=header.id,
        spec=header.spec,
        state=header.outcome.state or state,
        version=header.version,
        keepers=[world.name_of(keeper.node) for keeper in header.keepers],
        steward=world.name_of(header.steward),
        epoch=header.epoch,
        blocked=[why] if why else [],
        counts=header.outcome.counts,
        seconds=max(0.0, end_s - created_s),
        trace_id=header.trace_id,
        error=header.outcome.error,
        source_done=header.HasField("outcome"),
        bottleneck=header.outcome.bottleneck if header.outcome.HasField("bottleneck") else None,
        cost=cost,
        survival=survival_message(policy_survival(policy_of(header.spec.policy))),
        submitter=header.submitter,
        base_version=header.base_version,
        batch=header.batch if header.HasField("batch") else None,
        created_time=datetime.fromtimestamp(created_s, UTC).isoformat(timespec="seconds"),
    )


def following(run: FollowRun, world: JobWorld) -> job_pb2.Job:
    """Of a standing job that this node follows for."""
    job = told(run.header, world, run.waits)
    job.batch_job = run.batch_job
    if run.away and not run.header.paused:
        job.state = job_pb2.JOB_STATE_WAITING
    return job


def running(run: StewardRun, world: JobWorld) -> job_pb2.Job:
    """Of a job that this node is the steward of."""
    job = told(run.header, world)
    figures = run.figures
    figures.sample(run.steward.ledger, world.clock_s(), run.seen)
    job.state = _state(run)
    job.source_done = run.source_is_done
    job.blocked.extend(run.waits())
    job.counts.CopyFrom(counts_of(figures.totals))
    spent = figures.cost()
    job.cost.spent_usd = spent.spent_usd
    job.cost.edges.extend(spent.edges)
    job.cost.doubled_bytes = spent.doubled_bytes
    job.counts.bytes_in = figures.bytes_in
    bucket_cost.told(run.header.planned, job.counts, job.cost)
    job.stages.extend(figures.stages(_waiting(run)))
    job.links.extend(shown(run.seen.links()))
    if (limit := limited(run.seen.limit())) is not None:
        job.bottleneck.CopyFrom(limit)
    return job


def _waiting(run: StewardRun) -> Mapping[str, str]:
    """What each stage waits for."""
    unsafe = len(run.figures.unsafe)
    return {
        "ingest": run.source.away,
        "distribute": run.seen.degraded(),
        "store": f"{unsafe} tasks cannot be made safe yet" if unsafe else "",
    }


def _state(run: StewardRun) -> "job_pb2.JobState.ValueType":
    if run.header.paused:
        return job_pb2.JOB_STATE_PAUSED
    if run.source.away and not run.seen.live("ingest"):
        return job_pb2.JOB_STATE_WAITING
    if not run.steward.ledger.listed:
        return job_pb2.JOB_STATE_LISTING
    return job_pb2.JOB_STATE_RUNNING
