"""Every step that a pipeline may use: its options with kind, default and reason.

This is the only list: the check of a file, `mcctl pipeline steps` and the hash go by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What an option takes; the text is for people."""

    TEXT = "text"
    FLAG = "true or false"
    WHOLE = "a whole number from 0"
    SHARE = "a number from 0 to 1"
    SECONDS = "seconds, from 0.01 to 3600"
    BYTES = "bytes, from 1 MiB to 64 GiB"
    COLUMNS = "a list of columns"
    TYPES = "a table of column = type"
    NAMES = "a table of old = new"
    RANGES = "a table of column = [least, most]"
    PATTERNS = "a table of column = regular expression"
    CHOICES = "a table of column = [values]"
    CALL = "module:function"
    EXTRA = "keep, drop or bad"
    FORM = "NFC, NFD, NFKC or NFKD"


TABLES = frozenset({Kind.TYPES, Kind.NAMES, Kind.RANGES, Kind.PATTERNS, Kind.CHOICES})
WORDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.EXTRA: ("keep", "drop", "bad"),
    Kind.FORM: ("NFC", "NFD", "NFKC", "NFKD"),
}

REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Option:
    kind: Kind
    why: str
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class StepKind:
    why: str
    options: Mapping[str, Option]
    judges: bool = False  # Single records may be bad: it takes on_bad and fail_above.
    example: str = ""


def is_table(option: Option) -> bool:
    return option.kind in TABLES


TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64", "string", "binary", "date", "datetime", "any",
)  # fmt: skip

STEPS: Mapping[str, StepKind] = {
    "validate.schema": StepKind(
        "Every record has these fields with these types. `type?` lets a field be null or missing; `list<type>` is a list.",
        {
            "fields": Option(Kind.TYPES, "What must be there."),
            "extra": Option(Kind.EXTRA, "Fields that are not named: keep them, drop them, or call the record bad.", "keep"),
        },
        judges=True,
        example='fields = { id = "int64", text = "string" }',
    ),
    "validate.expect": StepKind(
        "Values are as expected. Null passes all but not_null.",
        {
            "not_null": Option(Kind.COLUMNS, "Columns that have a value in every record.", []),
            "range": Option(Kind.RANGES, "The least and the most, both allowed.", {}),
            "regex": Option(Kind.PATTERNS, "What a text must contain; ^ and $ tie it to its ends.", {}),
            "one_of": Option(Kind.CHOICES, "The values that may be.", {}),
            "unique": Option(Kind.COLUMNS, "Together never the same twice in a chunk; the first one is good.", []),
            "records_min": Option(Kind.WHOLE, "A chunk with fewer records fails its task.", 0),
            "records_max": Option(Kind.WHOLE, "A chunk with more records fails its task; 0 is no bound.", 0),
        },
        judges=True,
        example='not_null = ["id"]\nrange = { score = [0, 1] }',
    ),
    "transform.sql": StepKind(
        "Polars SQL over the records of a chunk, which is the table `chunk`.",
        {"query": Option(Kind.TEXT, "One SELECT.")},
        example='query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"',
    ),
    "transform.select": StepKind(
        "Keeps these columns, in this order.",
        {"columns": Option(Kind.COLUMNS, "Which.")},
        example='columns = ["id", "text"]',
    ),
    "transform.cast": StepKind(
        "Changes types; a value that does not fit makes its record bad.",
        {"columns": Option(Kind.TYPES, "The new type of each; any is none.")},
        judges=True,
        example='columns = { id = "int64" }',
    ),
    "transform.rename": StepKind(
        "Gives columns other names.",
        {"columns": Option(Kind.NAMES, "The new name of each.")},
        example='columns = { body = "text" }',
    ),
    "filter": StepKind(
        "Keeps the records for which an SQL condition holds; null does not.",
        {"where": Option(Kind.TEXT, "The condition.")},
        example='where = "length(text) > 10 AND lang = \'en\'"',
    ),
    "dedupe": StepKind(
        "Keeps the first of equal records of a chunk.",
        {"by": Option(Kind.COLUMNS, "Equal in these; none named: in all.", [])},
        example='by = ["text"]',
    ),
    "sample": StepKind(
        "Keeps about this share. The record alone decides, so every run and every cut keeps the same ones.",
        {
            "share": Option(Kind.SHARE, "0.1 keeps one of ten."),
            "by": Option(Kind.COLUMNS, "What decides: equal values stay together; none named: all columns.", []),
            "seed": Option(Kind.WHOLE, "Another seed keeps others.", 0),
        },
        example="share = 0.1",
    ),
    "shuffle.chunk": StepKind(
        "Puts the records of a chunk into an order that looks like chance and is the same at every run.",
        {"seed": Option(Kind.WHOLE, "Another seed, another order.", 0)},
        example="seed = 7",
    ),
    "text.normalise": StepKind(
        "One spelling for equal texts.",
        {
            "columns": Option(Kind.COLUMNS, "Which; each holds text."),
            "form": Option(Kind.FORM, "The Unicode form.", "NFC"),
            "control": Option(Kind.FLAG, "Take out control characters but tab and line end.", True),
            "spaces": Option(Kind.FLAG, "One space for each run of blanks, none at the ends.", False),
            "lower": Option(Kind.FLAG, "Lower case.", False),
        },
        example='columns = ["text"]\nspaces = true',
    ),
    "python": StepKind(
        "A function of the operator's, allow-listed on the nodes: takes a record as a dict; returns one, a list of them, or None to drop it. It runs in a process of its own that can be killed.",
        {
            "call": Option(Kind.CALL, "Which."),
            "timeout_s": Option(Kind.SECONDS, "A call that takes longer is ended, and its record is bad.", 30.0),
            "memory_bytes_max": Option(Kind.BYTES, "More than this is refused to its process.", 1 << 30),
            "output_bytes_max": Option(Kind.BYTES, "A record that becomes larger is bad.", 16 << 20),
        },
        judges=True,
        example='call = "acme.clean:normalise"\ntimeout_s = 30',
    ),
}  # fmt: skip
