"""One step over one chunk: every step but `python`, which lives in a process of its own."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from multicloud.errors import McError
from nodeagent.core.pipeline.counts import Counts
from nodeagent.core.pipeline.model import Step
from nodeagent.process import expect, judge, sql
from nodeagent.process.chunk import Bad, Chunk, Outcome, json_lines, split_bad
from nodeagent.process.dtypes import word_of

Options = Mapping[str, Any]
HASHED = float(1 << 64)
# All control characters (Cc) but tab and line feed; a carriage return goes, too.
CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"


def apply(step: Step, chunk: Chunk) -> Outcome:
    """Raises RECORDS_BAD when the step cannot be done with these records at all."""
    try:
        if step.use in JUDGES:
            judged, reasons = JUDGES[step.use](chunk, step.options)
            # Whoever looks at a bad record wants to see it as it came.
            _, bad = split_bad(chunk, reasons)
            good = judged.keep(reasons.is_null()) if bad else judged
            return accounted(step, chunk.frame.height, good, bad)
        if step.use in KEEPERS:
            kept = KEEPERS[step.use](chunk, step.options)
            left = chunk.frame.height - kept.frame.height
            return Outcome(kept, Counts(step.use, chunk.frame.height, kept.frame.height, left), [])
        made = MAKERS[step.use](chunk, step.options)
        return Outcome(made, Counts(step.use, chunk.frame.height, made.frame.height), [])
    except pl.exceptions.PolarsError as error:
        what = f"{step.use}: {sql.one_line(error)}, in {chunk.path}"
        raise McError("RECORDS_BAD", what) from error


def accounted(step: Step, height: int, good: Chunk, bad: list[Bad]) -> Outcome:
    """What becomes of bad records is the step's `on_bad`."""
    if bad and step.on_bad == "fail":
        what = f"{step.use}: {bad[0].reason}, in {good.path} at byte {bad[0].offset_bytes}"
        raise McError("RECORDS_BAD", what)
    dropped = len(bad) if step.on_bad == "drop" else 0
    counts = Counts(
        step.use, height, good.frame.height, 0, records_dropped=dropped,
        records_quarantined=len(bad) - dropped,
    )  # fmt: skip
    return Outcome(good, counts, [] if dropped else bad)


def _select(chunk: Chunk, options: Options) -> Chunk:
    _needs(chunk, options["columns"], "transform.select")
    return chunk.with_frame(chunk.frame.select(options["columns"]))


def _rename(chunk: Chunk, options: Options) -> Chunk:
    _needs(chunk, options["columns"], "transform.rename")
    return chunk.with_frame(chunk.frame.rename(dict(options["columns"])))


def _sql(chunk: Chunk, options: Options) -> Chunk:
    return chunk.remade(sql.run(options["query"], chunk.frame))


def _normalise(chunk: Chunk, options: Options) -> Chunk:
    _needs(chunk, options["columns"], "text.normalise")
    columns = []
    for name in options["columns"]:
        if not isinstance(chunk.frame[name].dtype, pl.String):
            what = f"text.normalise: {name} is {word_of(chunk.frame[name].dtype)}, not string"
            raise McError("RECORDS_BAD", what)
        text = pl.col(name).str.normalize(options["form"])
        if options["control"]:
            text = text.str.replace_all(CONTROL, "")
        if options["spaces"]:
            text = text.str.replace_all(r"\s+", " ").str.strip_chars()
        columns.append(text.str.to_lowercase() if options["lower"] else text)
    return chunk.with_frame(chunk.frame.with_columns(columns))


def _filter(chunk: Chunk, options: Options) -> Chunk:
    return chunk.keep(sql.holds(options["where"], chunk.frame))


def _dedupe(chunk: Chunk, options: Options) -> Chunk:
    names = options["by"] or chunk.frame.columns
    _needs(chunk, names, "dedupe")
    if not names or not chunk.frame.height:
        return chunk
    return chunk.keep(chunk.frame.select(pl.struct(names).is_first_distinct()).to_series())


def _sample(chunk: Chunk, options: Options) -> Chunk:
    _needs(chunk, options["by"], "sample")
    below = options["share"] * HASHED
    hashed = _hasher(["sample", options["seed"]])
    deciding = chunk.frame.select(options["by"]) if options["by"] else chunk.frame
    kept = [hashed(line) < below for line in json_lines(deciding)]
    return chunk.keep(pl.Series(kept, dtype=pl.Boolean))


def _shuffle(chunk: Chunk, options: Options) -> Chunk:
    """By hashes of positions: the same with every release of every library."""
    hashed = _hasher(["shuffle", options["seed"], chunk.path, chunk.begin])
    order = sorted(range(chunk.frame.height), key=lambda at: hashed(at.to_bytes(8, "big")))
    return chunk.gather(pl.Series(order, dtype=pl.UInt32))


def _hasher(key: list[object]) -> Callable[[bytes], int]:
    """64 bits of a record, or of whatever, that depend on the key."""
    begun = hashlib.blake2b(digest_size=8, key=hashlib.sha256(json.dumps(key).encode()).digest())

    def hashed(data: bytes) -> int:
        one = begun.copy()
        one.update(data)
        return int.from_bytes(one.digest(), "big")

    return hashed


def _needs(chunk: Chunk, names: list[str] | Mapping[str, Any], step: str) -> None:
    missing = [name for name in names if name not in chunk.frame.columns]
    if missing:
        there = ", ".join(chunk.frame.columns) or "none"
        what = f"{step}: {chunk.path} has no column {', '.join(missing)}; there are {there}"
        raise McError("RECORDS_BAD", what)


JUDGES: Mapping[str, Callable[[Chunk, Options], judge.Judged]] = {
    "validate.schema": judge.schema,
    "validate.expect": expect.expect,
    "transform.cast": judge.cast,
}
KEEPERS: Mapping[str, Callable[[Chunk, Options], Chunk]] = {
    "filter": _filter,
    "dedupe": _dedupe,
    "sample": _sample,
}
MAKERS: Mapping[str, Callable[[Chunk, Options], Chunk]] = {
    "transform.sql": _sql,
    "transform.select": _select,
    "transform.rename": _rename,
    "text.normalise": _normalise,
    "shuffle.chunk": _shuffle,
}
