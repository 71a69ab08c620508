"""What a pipeline is once it was checked: values only, with the same hash everywhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CANONICAL = "multicloud pipeline 1"  # Another number where the same text would mean something else.

INPUTS = ("auto", "raw", "jsonl", "csv", "parquet", "tar")
OUTPUTS = ("same", "jsonl", "parquet", "tar")
COMPRESSIONS = ("auto", "none", "gzip", "zstd")
ON_BAD = ("quarantine", "drop", "fail")


@dataclass(frozen=True, slots=True)
class Csv:
    """How fields are told apart, and whether a file may be cut at any line."""

    delimiter: str = ","
    header: bool = True  # False: the columns are called column_1, column_2…
    quoted_newlines: bool = True  # False: a line is a record, so large files are shared out.


@dataclass(frozen=True, slots=True)
class Step:
    use: str
    options: Mapping[str, Any] = field(default_factory=dict)  # Complete: defaults are filled in.
    on_bad: str = "fail"  # For steps that judge no record it means nothing.
    fail_above: float = 1.0  # A larger share of bad records stops the job.


@dataclass(frozen=True, slots=True)
class Output:
    format: str = "same"
    compression: str = "auto"


@dataclass(frozen=True, slots=True)
class Pipeline:
    input: str = "raw"
    csv: Csv = Csv()
    steps: tuple[Step, ...] = ()
    output: Output = Output()

    @property
    def passes_through(self) -> bool:
        """Bytes go out as they come in: no record is looked at, and none is counted."""
        return self.output.format == "same" and (self.input == "raw" or not self.steps)

    @property
    def calls(self) -> tuple[str, ...]:
        """The functions of the operator's that it calls."""
        return tuple(step.options["call"] for step in self.steps if step.use == "python")


def canonical(pipeline: Pipeline) -> str:
    """One text for one meaning: whatever is left out in a file stands here with its default."""
    csv, output = pipeline.csv, pipeline.output
    tree = {
        "pipeline": CANONICAL,
        "input": pipeline.input,
        "csv": {
            "delimiter": csv.delimiter,
            "header": csv.header,
            "quoted_newlines": csv.quoted_newlines,
        },
        "steps": [
            {
                "use": step.use,
                "on_bad": step.on_bad,
                "fail_above": step.fail_above,
                "options": [[key, _pairs(value)] for key, value in sorted(step.options.items())],
            }
            for step in pipeline.steps
        ],
        "output": {"format": output.format, "compression": output.compression},
    }
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _pairs(value: object) -> object:
    """Tables as lists of pairs: the order of fields is the order of columns, so it counts."""
    if isinstance(value, Mapping):
        return [[key, _pairs(item)] for key, item in value.items()]
    return value


def pipeline_hash(pipeline: Pipeline) -> str:
    """SHA-256 of the canonical text, in hex: stands in manifests."""
    return hashlib.sha256(canonical(pipeline).encode()).hexdigest()


def from_canonical(text: str) -> Pipeline:
    """The pipeline that this text is the canonical form of: how a worker is told."""
    tree = json.loads(text)
    assert tree["pipeline"] == CANONICAL, "written by this release"
    steps = tuple(
        Step(
            step["use"],
            {key: _table(step["use"], key, value) for key, value in step["options"]},
            step["on_bad"],
            step["fail_above"],
        )
        for step in tree["steps"]
    )
    return Pipeline(tree["input"], Csv(**tree["csv"]), steps, Output(**tree["output"]))


def _table(use: str, key: str, value: Any) -> Any:
    from nodeagent.core.pipeline.steps import STEPS, is_table

    return dict(value) if is_table(STEPS[use].options[key]) else value
