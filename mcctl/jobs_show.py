"""How a job looks: fields for scripts, its line in a list, its sums for people, its exit code."""

from collections.abc import Sequence
from typing import Any

from mcctl.place import survives
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human, human_ms
from multicloud.v1 import job_pb2

DONE, FAILED, CANCELLED = (
    job_pb2.JOB_STATE_DONE,
    job_pb2.JOB_STATE_FAILED,
    job_pb2.JOB_STATE_CANCELLED,
)
ENDED = (DONE, FAILED, CANCELLED)
STYLES = {
    "done": "green",
    "failed": "bold red",
    "cancelled": "dim",
    "waiting": "yellow",
    "paused": "yellow",
}
COUNTS = [field.name for field in job_pb2.JobCounts.DESCRIPTOR.fields]
EXIT_FAILED = 1
EXIT_PARTLY = 6


def state_name(state: "job_pb2.JobState.ValueType") -> str:
    return job_pb2.JobState.Name(state).removeprefix("JOB_STATE_").lower()


def fields(job: job_pb2.Job) -> dict[str, Any]:
    """As documented for `mcctl job show -o json`."""
    return {
        "job": job.id,
        "dataset": job.spec.dataset,
        "version": job.version,
        "state": state_name(job.state),
        "blocked": list(job.blocked),
        **{name: getattr(job.counts, name) for name in COUNTS},
        "seconds": round(job.seconds, 3),
        "trace_id": job.trace_id or None,
        "error": job.error or None,
        "source": job.spec.source,
        "base_version": job.base_version or None,
        "follow": _follow(job),
        "batch": _batch(job),
        "source_done": job.source_done,
        "submitter": job.submitter,
        "created": job.created_time or None,
        "keepers": list(job.keepers),
        "steward": job.steward or None,
        "epoch": job.epoch,
        "stages": [_stage(stage) for stage in job.stages],
        "bottleneck": _bottleneck(job),
        "links": [_link(link) for link in job.links],
        "usd": usd(job.cost),
        "survives": survives(job.survival),
    }


def _follow(job: job_pb2.Job) -> dict[str, Any] | None:
    rule = job.spec.follow
    if not job.spec.HasField("follow"):
        return None
    return {field.name: getattr(rule, field.name) for field in rule.DESCRIPTOR.fields}


def _batch(job: job_pb2.Job) -> dict[str, Any] | None:
    """The newest of a standing job, or that which a job is."""
    found = job.batch if job.batch.number else job.spec.batch
    if not found.number:
        return None
    return {
        "standing_job": found.standing_job,
        "number": found.number,
        "job": job.batch_job or (None if job.batch.number else job.id),
        "changed_until_unix_ms": found.changed_until_unix_ms,
        "files": found.files,
        "bytes": found.bytes,
    }


def _bottleneck(job: job_pb2.Job) -> dict[str, Any] | None:
    found = job.bottleneck
    if not found.stage:
        return None
    return {
        "stage": found.stage,
        "link": _link(found.link) if found.HasField("link") else None,
        "share": round(found.share, 4),
        "sentence": found.sentence,
    }


def _link(link: job_pb2.LinkUse) -> dict[str, Any]:
    return {
        "from": link.from_node,
        "to": link.to_node,
        "bytes": link.bytes,
        "waited_share": round(min(1.0, link.waited_s / link.seconds), 4) if link.seconds else 0.0,
    }


def _stage(stage: job_pb2.StageProgress) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "bytes_done": stage.bytes_done,
        "bytes_planned": stage.bytes_planned,
        "bytes_per_s": round(stage.bytes_per_s, 1),
        "bytes_queued": stage.queued_bytes,
        "waiting_for": stage.waiting_for or None,
    }


def usd(cost: job_pb2.Cost) -> dict[str, Any]:
    return {
        "planned": round(cost.planned_usd, 4),
        "spent": round(cost.spent_usd, 4),
        "prices_of": cost.prices_date or None,
    }


def exit_code(job: job_pb2.Job, *, strict: bool) -> int:
    """Of a job that has ended; 0 for one that has not."""
    if job.state in (FAILED, CANCELLED):
        return EXIT_FAILED
    partly = job.counts.objects_skipped or job.counts.records_quarantined
    if job.state == DONE and partly:
        return EXIT_FAILED if strict or job.spec.strict else EXIT_PARTLY
    return 0


def named(job: job_pb2.Job) -> str:
    return f"{job.spec.dataset}@{job.version}" if job.version else job.spec.dataset


def table(jobs: Sequence[job_pb2.Job]) -> Block:
    rows: list[list[str | Cell]] = [
        [
            job.id,
            named(job),
            _state(job),
            f"{job.counts.chunks_safe} of {job.counts.chunks}",
            human(job.counts.bytes_in),
            clock(job.seconds),
            job.submitter or "-",
            job.error or "; ".join(job.blocked) or "-",
        ]
        for job in jobs
    ]
    columns = ("JOB", "DATASET", "STATE", ">CHUNKS SAFE", ">READ", ">TIME", "BY", "WHY")
    return Table(columns, rows) if rows else "no jobs"


def screen(job: job_pb2.Job) -> list[Block]:
    """Everything that a person asks of one job, in a few lines."""
    if job.spec.HasField("follow"):
        return _standing(job)
    counts, state = job.counts, state_name(job.state)
    after = f" after {clock(job.seconds)}" if job.seconds else ""
    blocks: list[Block] = [
        Cell(f"job {job.id}: {state}{after}: {named(job)}", STYLES.get(state, "bold")),
        f"from {job.spec.source}",
        f"objects: {counts.objects_listed} listed, {counts.objects_ingested} ingested, "
        f"{counts.objects_skipped} skipped ({human(counts.bytes_in)} read)",
    ]
    if job.spec.batch.number:
        blocks.append(
            f"batch {job.spec.batch.number} of standing job {job.spec.batch.standing_job}"
        )
    if job.base_version:
        blocks.append(
            f"since {job.spec.dataset}@{job.base_version}: {counts.objects_taken} objects are "
            f"unchanged ({human(counts.bytes_taken)} not read), {human(counts.bytes_reused)} read "
            f"were there, {human(counts.bytes_sent)} sealed and sent"
        )
    if counts.records_in:
        blocks.append(
            f"records: {counts.records_in} in, {counts.records_out} out, "
            f"{counts.records_filtered} filtered, {counts.records_dropped} dropped, "
            f"{counts.records_quarantined} quarantined"
        )
    blocks.append(
        f"chunks: {counts.chunks}, {counts.chunks_acked} acked, {counts.chunks_safe} safe "
        f"({human(counts.bytes_sealed)} sealed)"
    )
    if job.cost.prices_date:
        blocks.append(dollars(job.cost))
    if job.survival.sentence:
        blocks.append(job.survival.sentence)
    blocks += [_stage_line(stage) for stage in job.stages]
    if job.bottleneck.sentence:
        blocks.append(Cell(job.bottleneck.sentence, "cyan"))
    blocks += [Cell(f"waiting: {why}", "yellow") for why in job.blocked]
    if job.error:
        blocks.append(Cell(job.error, "bold red"))
    if job.trace_id:
        blocks.append(f"trace {job.trace_id}")
    return blocks


def _standing(job: job_pb2.Job) -> list[Block]:
    rule, last, state = job.spec.follow, job.batch, state_name(job.state)
    sooner = [f"at {rule.files} new files"] if rule.files else []
    sooner += [f"at {human(rule.bytes)} in new files"] if rule.bytes else []
    blocks: list[Block] = [
        Cell(f"standing job {job.id}: {state}: {job.spec.dataset}", STYLES.get(state, "bold")),
        f"follows {job.spec.source}" + (f" from {job.steward}" if job.steward else ""),
        f"a version every {human_ms(rule.every_ms)} if anything is new"
        + "".join(f", or {word}" for word in sooner),
        f"files are settled {human_ms(rule.settle_ms)} after their last change; "
        f"all are listed every {human_ms(rule.rescan_ms)}",
    ]
    if last.number:
        of = f" (job {job.batch_job})" if job.batch_job else ""
        blocks.append(f"batch {last.number}{of}: {last.files} files, {human(last.bytes)}")
    if job.survival.sentence:
        blocks.append(job.survival.sentence)
    blocks += [Cell(f"now: {why}", "yellow") for why in job.blocked]
    if job.error:
        blocks.append(Cell(job.error, "bold red"))
    return blocks


def _stage_line(stage: job_pb2.StageProgress) -> str:
    done, planned, rate = stage.bytes_done, stage.bytes_planned, stage.bytes_per_s
    of = f" of {human(planned)}" if planned else ""
    pace = f", {human(round(rate))}/s" if rate else ""
    left = f", {clock((planned - done) / rate)} left" if rate and planned > done else ""
    queued = f", {human(stage.queued_bytes)} queued" if stage.queued_bytes else ""
    why = f"; waits: {stage.waiting_for}" if stage.waiting_for else ""
    return f"{stage.stage}: {human(done)}{of}{pace}{left}{queued}{why}"


def dollars(cost: job_pb2.Cost) -> str:
    return (
        f"${cost.spent_usd:.2f} spent of ${cost.planned_usd:.2f} planned, "
        f"at prices of {cost.prices_date}"
    )


def _state(job: job_pb2.Job) -> Cell:
    word = state_name(job.state)
    return Cell(word, STYLES.get(word, ""))


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
