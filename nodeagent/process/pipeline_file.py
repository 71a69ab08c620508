"""A pipeline file: read, and checked completely before anything runs, each fault with its line."""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace

from multicloud.errors import FieldFault, McError
from nodeagent.config.lines import lines
from nodeagent.core.pipeline.model import Pipeline
from nodeagent.core.pipeline.parse import Fault, Key, parse

FILE_BYTES_MAX = 1 << 20

EXAMPLE = """# What happens to records on their way. `mcctl pipeline steps` lists every step.
input = "auto"                     # raw | jsonl | csv | parquet | tar; auto: by name and content

[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
on_bad = "quarantine"              # quarantine | drop | fail
fail_above = 0.01                  # a job with more than 1 % bad records stops

[[step]]
use = "transform.sql"              # the records of a chunk are the table `chunk`
query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"

[output]
format = "parquet"                 # same (keeps paths) | jsonl | parquet | tar
"""


def checked(text: str, name: str, allowed: Collection[str] | None) -> Pipeline:
    """The pipeline of a file called `name`. Raises PIPELINE_INVALID with every fault of it.

    `allowed`: the functions that `python` steps may call; None: whoever asks cannot know. This
    imports Polars when there are steps.
    """
    if len(text) > FILE_BYTES_MAX:
        raise _invalid(name, [FieldFault("file", f"is longer than {FILE_BYTES_MAX} bytes", name)])
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(name, [_toml_fault(error, name)]) from error
    except RecursionError as error:
        raise _invalid(name, [FieldFault("file", "is nested too deeply", name)]) from error
    pipeline, found = parse(tree)
    if not found and pipeline.steps:
        from nodeagent.process.check import check

        found = check(pipeline, allowed)
    if found:
        where = lines(text)
        raise _invalid(name, [_placed(fault, name, where) for fault in found])
    return pipeline


def _placed(found: Fault, name: str, where: Mapping[Key, int]) -> FieldFault:
    key, fault = found
    line = next((where[key[:n]] for n in range(len(key), 0, -1) if key[:n] in where), 1)
    return replace(fault, where=f"{name}:{line}")


def _toml_fault(error: tomllib.TOMLDecodeError, name: str) -> FieldFault:
    """tomllib tells the place in words: "… (at line 3, column 5)"."""
    text, _, place = str(error).partition(" (at line ")
    line = place.partition(",")[0]
    return FieldFault("file", f"is no TOML: {text}", f"{name}:{line}" if line.isdigit() else name)


def _invalid(name: str, faults: list[FieldFault]) -> McError:
    many = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
    return McError("PIPELINE_INVALID", f"the pipeline {name} has {many}", faults=faults)
