"""What of an earlier version may be taken over, decided by its manifest alone: nothing is read."""

from collections.abc import Iterable, Sequence

from multicloud import __version__
from multicloud.v1 import job_pb2, records_pb2, task_pb2
from nodeagent.core.pipeline.model import Pipeline


def why_not(head: records_pb2.ManifestHead, spec: job_pb2.JobSpec, pipeline: Pipeline) -> str:
    """Why nothing may be: what is made now could differ. Empty when it may."""
    for differs, what in (
        (head.source != spec.source, "its source was another one"),
        (head.pipeline_toml != spec.pipeline_toml, "its pipeline was another one"),
        (head.chunk_size_bytes != spec.chunk_size_bytes, "it was cut in another way"),
        (head.software != __version__, f"release {head.software or 'unknown'} made it"),
        (bool(pipeline.calls), "the pipeline calls functions, which may have changed"),
    ):
        if differs:
            return what
    return ""


def parts_of(
    asked: task_pb2.TaskInput, entries: Sequence[records_pb2.ManifestFile], *, passes_through: bool
) -> list[records_pb2.FilePart] | None:
    """What was made of that range, if the object is the one that was listed then; else None.

    Bytes that pass through are the object's, so that a range of it is some of its parts. What a
    pipeline made stands in a file of that range alone.
    """
    first = entries[0]
    if not asked.etag or (first.origin, first.origin_etag) != (asked.path, asked.etag):
        return None
    parts = [part for entry in entries for part in entry.parts]
    if not passes_through:
        return parts
    begin, end = asked.range.offset_bytes, asked.range.offset_bytes + asked.range.size_bytes
    found = [part for part in parts if begin <= part.at_bytes < end]
    at = begin
    for part in found:
        if part.at_bytes != at:
            return None
        at += part.size_bytes
    return found if at == end and first.bytes == asked.size_bytes else None


def files_of(
    asked: task_pb2.TaskInput,
    path: bytes,
    records: int,
    parts: Sequence[records_pb2.FilePart],
    place_of: dict[int, int],
) -> Iterable[task_pb2.ResultFile]:
    """As a result tells them; `place_of` has the place in it of each of the manifest's chunks."""
    for number, part in enumerate(parts or (records_pb2.FilePart(),)):
        yield task_pb2.ResultFile(
            path=path,
            chunk=place_of[part.chunk] if part.size_bytes else 0,
            offset_bytes=part.offset_bytes,
            size_bytes=part.size_bytes,
            blake3=part.blake3,
            records=0 if number else records,
            at_bytes=part.at_bytes,
            origin=asked.path,
            origin_etag=asked.etag,
            modified_unix_ms=asked.modified_unix_ms,
            mode=asked.mode,
        )
