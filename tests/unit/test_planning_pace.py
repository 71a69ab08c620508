"""How long a job will take is told by jobs that were done, and not made up."""

from multicloud.v1 import job_pb2, records_pb2
from nodeagent.jobs.planning_pace import BYTES_MIN, pace_bytes_per_s

RAW, PIPED = job_pb2.JobSpec(), job_pb2.JobSpec(pipeline_toml='input = "jsonl"')
LIMITED = job_pb2.JobSpec(bandwidth_bytes_per_s_max=1000)


def done(size_bytes: int, took_s: int, spec: job_pb2.JobSpec = RAW) -> records_pb2.JobHeader:
    header = records_pb2.JobHeader(spec=spec, created_unix_ms=1000)
    header.outcome.state = job_pb2.JOB_STATE_DONE
    header.outcome.counts.bytes_in = size_bytes
    header.outcome.ended_unix_ms = 1000 + took_s * 1000
    return header


def test_it_is_the_median_of_jobs_of_its_kind() -> None:
    before = [done(BYTES_MIN * n, 1) for n in (1, 2, 9)] + [done(BYTES_MIN * 100, 1, PIPED)]
    assert pace_bytes_per_s(before, RAW) == BYTES_MIN * 2
    assert pace_bytes_per_s(before, PIPED) == BYTES_MIN * 100
    assert pace_bytes_per_s(before[:3], PIPED) == BYTES_MIN * 2


def test_small_slowed_and_unfinished_jobs_tell_nothing() -> None:
    open_job = records_pb2.JobHeader()
    before = [done(BYTES_MIN - 1, 1), done(BYTES_MIN, 1, LIMITED), open_job]
    assert pace_bytes_per_s(before, RAW) == 0


def test_no_job_goes_faster_than_it_may() -> None:
    assert pace_bytes_per_s([done(BYTES_MIN, 1)], LIMITED) == 1000
    assert pace_bytes_per_s([], LIMITED) == 1000
