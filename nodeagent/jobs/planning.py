"""How a job's listing is cut into tasks: the same on every node, by what its header says."""

import tomllib

from multicloud.errors import McError
from multicloud.v1 import common_pb2, job_pb2, task_pb2
from nodeagent.core.pipeline.cut import CutRule, Part, cut, rule_for
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.core.pipeline.parse import parse
from nodeagent.jobs.facts import Cut, path_text

CHUNK_BYTES_DEFAULT = 64 << 20  # Written into the header at submit, so that it may change here.


def pipeline_of(spec: job_pb2.JobSpec) -> Pipeline:
    """It was checked completely at submit; here it is only read."""
    try:
        pipeline, faults = parse(tomllib.loads(spec.pipeline_toml))
    except tomllib.TOMLDecodeError as error:
        raise McError("PIPELINE_INVALID", f"the job's pipeline does not parse: {error}") from error
    if faults:
        raise McError("PIPELINE_INVALID", f"the job's pipeline is wrong: {faults[0][1]}")
    return pipeline


def cut_of(spec: job_pb2.JobSpec) -> Cut:
    rule = rule_for(pipeline_of(spec), spec.chunk_size_bytes or CHUNK_BYTES_DEFAULT)
    return lambda page: _tasks(page, rule)


def _tasks(page: task_pb2.ListingPage, rule: CutRule) -> list[list[task_pb2.TaskInput]]:
    listed = {path_text(one.path): one for one in page.objects}
    sizes = [(path_text(one.path), one.size_bytes) for one in page.objects]
    return [[_input(part, listed[part.path]) for part in parts] for parts in cut(sizes, rule)]


def _input(part: Part, listed: task_pb2.ListedObject) -> task_pb2.TaskInput:
    return task_pb2.TaskInput(
        path=listed.path,
        etag=listed.etag,
        range=common_pb2.ByteRange(offset_bytes=part.offset_bytes, size_bytes=part.size_bytes),
        size_bytes=listed.size_bytes,
        modified_unix_ms=listed.modified_unix_ms,
        mode=listed.mode,
        checksum=listed.checksum,
    )
