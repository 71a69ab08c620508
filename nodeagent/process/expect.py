"""validate.expect: what values are expected to be, column by column."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from multicloud.errors import McError
from nodeagent.process.chunk import Chunk
from nodeagent.process.dtypes import word_of
from nodeagent.process.judge import Judged, column_of, first_reason, said


def expect(chunk: Chunk, options: Mapping[str, Any]) -> Judged:
    """validate.expect."""
    reasons: list[pl.Series] = []

    def column(name: str) -> pl.Series:
        return column_of(chunk, name, "validate.expect")

    reasons += [said(column(name).is_null(), f"{name}: is null") for name in options["not_null"]]
    for name, (least, most) in options["range"].items():
        found = column(name)
        if found.dtype.is_numeric() and isinstance(least, str):
            raise _unfit(name, found, "its range is of texts")
        if not found.dtype.is_numeric() and not isinstance(least, str):
            raise _unfit(name, found, "its range is of numbers")
        bound = found.cast(pl.String) if isinstance(least, str) else found
        outside = (bound < least) | (bound > most)
        if found.dtype.is_float():
            outside = outside | found.is_nan()
        reasons.append(said(outside, f"{name}: is not from {least} to {most}"))
    for name, pattern in options["regex"].items():
        found = column(name)
        if not isinstance(found.dtype, pl.String):
            raise _unfit(name, found, "a regular expression is for texts")
        missed = ~found.str.contains(pattern)
        reasons.append(said(missed, f"{name}: does not match {pattern}"))
    for name, values in options["one_of"].items():
        found = column(name)
        try:
            other = ~found.is_in(pl.Series(values, strict=True))
        except pl.exceptions.PolarsError as error:
            raise _unfit(name, found, "the values that may be are of another type") from error
        reasons.append(said(other, f"{name}: is none of the values that may be"))
    if options["unique"]:
        names = [column(name).name for name in options["unique"]]
        first = chunk.frame.select(pl.struct(names).is_first_distinct()).to_series()
        reasons.append(said(~first, f"{', '.join(names)}: is there before"))
    _bounded(chunk, options)
    return chunk, first_reason(reasons, chunk.frame.height)


def _bounded(chunk: Chunk, options: Mapping[str, Any]) -> None:
    height, least, most = chunk.frame.height, options["records_min"], options["records_max"]
    if height < least or (most and height > most):
        bound = f"at least {least}" if height < least else f"at most {most}"
        what = (
            f"validate.expect: a chunk of {chunk.path} has {height} records, {bound} are expected"
        )
        raise McError("RECORDS_BAD", what)


def _unfit(name: str, found: pl.Series, why: str) -> McError:
    return McError("RECORDS_BAD", f"validate.expect: {name} is {word_of(found.dtype)}, and {why}")
