"""The options that `plan` and `submit` share, and the job's specification that they make.

What can be wrong on this machine (the source, the pipeline's file, sizes) is said here, before
anybody is asked.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mcctl.place import spread_rule
from mcctl.sizes import is_time, size_bytes, time_ms
from multicloud.errors import McError
from multicloud.v1 import job_pb2
from nodeagent.jobs.sources.uris import DIRECT, LAPTOP, NODE, file_uri, parse

REPLICAS = 3
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file or folder here; node://NAME/path on a node; s3://BUCKET/prefix/, gs://…, "
        "az://ACCOUNT/CONTAINER/prefix/; https://….",
        show_default=False,
    ),
]
DatasetName = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Of the dataset.", show_default=False)
]
PipelineFile = Annotated[
    Path | None,
    typer.Option("--pipeline", metavar="FILE", help="What happens to the records; else nothing."),
]
Replicas = Annotated[int, typer.Option("--replicas", min=1, help="How many copies.")]
Spread = Annotated[
    list[str] | None,
    typer.Option(
        "--spread", metavar="LEVEL=N", help="So many node, zone, region or cloud; repeatable."
    ),
]
Near = Annotated[
    str, typer.Option("--near", metavar="REGION", help="One copy near there: aws/us-east-1.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="REGION", help="Only there: aws/eu-west-1, gcp/*; repeatable."),
]
Ack = Annotated[
    int, typer.Option("--ack", min=0, help="Copies that make a chunk acked; 0: as usual.")
]
BucketCopy = Annotated[
    str,
    typer.Option(
        "--bucket-copy",
        metavar="BUCKET",
        help="One copy more in a bucket that a node serves: any, or s3://name/prefix.",
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Only such paths; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="No such paths; repeatable."),
]
BwLimit = Annotated[
    str, typer.Option("--bwlimit", metavar="RATE", help="Bytes a second at the most: 200M.")
]
MaxUsd = Annotated[
    float, typer.Option("--max-usd", min=0, help="A job that would cost more stops; 0: no limit.")
]
Anew = Annotated[
    bool,
    typer.Option("--no-incremental", help="Read all of it, also what has not changed."),
]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="A standing job: a new version whenever files are new."),
]
Settle = Annotated[
    str, typer.Option("--settle", metavar="TIME", help="--follow: files unchanged for so long.")
]
Batch = Annotated[
    list[str] | None,
    typer.Option(
        "--batch",
        metavar="WHEN",
        help="--follow: a version at most every 1m, or sooner at 1GiB or 1000files; repeatable.",
    ),
]
RequestId = Annotated[
    str, typer.Option("--request-id", metavar="ID", help="The same twice is one job.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Skipped or quarantined input is a failure (exit 1).")
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes come from; `folder` is set where this machine has to serve them."""

    uri: str
    folder: Path | None = None


def origin(word: str) -> Origin:
    """A local path, or the name of a place that nodes read themselves."""
    kind, colon, _ = word.partition("://")
    if not colon:
        return Origin(*_here(word))
    if kind == LAPTOP:
        raise McError("USAGE", f"{word!r}: write a path of this machine as it is, without file://")
    if kind not in (NODE, *DIRECT):
        known = ", ".join(f"{word}://" for word in (NODE, *DIRECT))
        raise McError("USAGE", f"{word!r} is no source", next=f"name a path, or one of {known}")
    return Origin(parse(word).uri)


def _here(word: str) -> tuple[str, Path]:
    path = Path(word).expanduser()
    try:
        real = path.resolve(strict=True)  # The same folder has one name, however it is reached.
    except OSError as error:
        raise McError("NOT_FOUND", f"{word} cannot be read: {error.strerror}") from error
    return file_uri(socket.gethostname(), os.fsencode(real)), real


def origin_of(job: job_pb2.Job) -> Origin:
    """The source of a job that is there already, when it is of this machine or of a node."""
    known = parse(job.spec.source)
    if known.kind != LAPTOP:
        return Origin(job.spec.source)
    here = socket.gethostname()
    folder = Path(os.fsdecode(known.path))
    if known.host != here or not folder.exists():
        what = f"the files of {job.id} are {folder} on {known.host}"
        why = f"and this is {here}" if known.host != here else "and nothing is there now"
        raise McError("NOT_FOUND", f"{what}, {why}", next="run it where the files are")
    return Origin(job.spec.source, folder)


def spec(
    source: Origin,
    *,
    name: str,
    pipeline: Path | None,
    replicas: int,
    spread: list[str] | None,
    near: str,
    allow: list[str] | None,
    ack: int,
    bucket_copy: str,
    include: list[str] | None,
    exclude: list[str] | None,
    bwlimit: str,
    max_usd: float,
    strict: bool,
    anew: bool = False,
    follow: job_pb2.Follow | None = None,
) -> job_pb2.JobSpec:
    """What the job is, from what was typed."""
    if ack > replicas:
        said = f"--ack {ack} copies cannot be had of --replicas {replicas}"
        raise McError("USAGE", said, next=f"give --ack {replicas} or less")
    return job_pb2.JobSpec(
        dataset=name,
        source=source.uri,
        pipeline_toml=_pipeline(pipeline) if pipeline else "",
        policy=job_pb2.Policy(
            replicas=replicas,
            ack_copies=ack,
            spread=[spread_rule(text, replicas) for text in spread or ()],
            near_region=near,
            allow_regions=allow or (),
            bucket_copy_uri=bucket_copy,
        ),
        bandwidth_bytes_per_s_max=size_bytes(bwlimit) if bwlimit else 0,
        usd_max=max_usd,
        include=include or (),
        exclude=exclude or (),
        strict=strict,
        anew=anew,
        follow=follow,
    )


SETTLE = "5s"
EVERY_MS, RESCAN_MS = 60_000, 30_000
FILES = "files"


def following(
    source: Origin, *, follow: bool, settle: str, batch: list[str] | None
) -> job_pb2.Follow | None:
    """How a standing job closes batches; None for a job that is none."""
    if not follow:
        if batch or settle != SETTLE:
            said = "--batch and --settle are of standing jobs"
            raise McError("USAGE", said, next="add --follow")
        return None
    if source.folder is not None:
        said = "--follow needs a source that is always there, and this machine may go"
        raise McError("USAGE", said, next="name a folder of a node: node://NAME/path")
    rule = job_pb2.Follow(settle_ms=time_ms(settle), every_ms=EVERY_MS, rescan_ms=RESCAN_MS)
    for word in batch or ():
        count = word.removesuffix(FILES).strip()
        if word.endswith(FILES) and count.isdecimal():
            rule.files = int(count)
        elif is_time(word):
            rule.every_ms = time_ms(word)
        else:
            rule.bytes = size_bytes(word)
    return rule


def _pipeline(file: Path) -> str:
    """Its text. Where the library is installed it is checked completely; nodes do so always."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise McError("NOT_FOUND", f"the pipeline {file} cannot be read: {why}") from error
    try:
        from nodeagent.process.trial import read_pipeline
    except ModuleNotFoundError:  # The plain SDK has no libraries of pipelines.
        return text
    read_pipeline(file, None)
    return text
