"""The steps that judge single records: each gives a column of reasons, null for a good record."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from multicloud.errors import McError
from nodeagent.process.chunk import Chunk
from nodeagent.process.dtypes import FieldType, field_type, word_of

Judged = tuple[Chunk, pl.Series]  # The chunk as it goes on, and why which record does not.


def schema(chunk: Chunk, options: Mapping[str, Any]) -> Judged:
    """validate.schema: declared fields first, in their order, then the others."""
    frame = chunk.frame
    columns: list[pl.Series] = []
    reasons: list[pl.Series] = []
    for name, word in options["fields"].items():
        asked = field_type(word)
        column, wrong = _fitted(frame, name, asked, text_only=chunk.text_only)
        columns.append(column)
        if wrong is not None:
            reasons.append(wrong)
    extra = [name for name in frame.columns if name not in options["fields"]]
    if options["extra"] == "bad" and extra:
        reasons += [said(frame[name].is_not_null(), f"{name}: is not expected") for name in extra]
    if options["extra"] == "keep":
        columns += [frame[name] for name in extra]
    judged = replace(chunk, frame=pl.DataFrame(columns), text_only=False)
    return judged, first_reason(reasons, frame.height)


def _fitted(
    frame: pl.DataFrame, name: str, asked: FieldType, *, text_only: bool
) -> tuple[pl.Series, pl.Series | None]:
    """A column as it is asked for, and the records whose value it cannot be."""
    if name not in frame.columns:
        column = pl.Series(name, [None], dtype=asked.polars).new_from_index(0, frame.height)
        missing = pl.Series([True]).new_from_index(0, frame.height)
        return column, None if asked.optional else said(missing, f"{name}: is missing")
    found = frame[name]
    fitted = found
    if found.dtype != asked.polars and not asked.any:
        fitted = converted(found, asked.polars, text=text_only, widen_only=True)
    if text_only and not isinstance(asked.polars, pl.String | pl.Null):
        # Of csv: an empty field is no value.
        wrong = fitted.is_null() & found.is_not_null() & (found != "")
    else:
        wrong = fitted.is_null() & found.is_not_null()
    reasons = []
    if wrong.any():
        reasons.append(said(wrong, f"{name}: is {word_of(found.dtype)}, must be {asked.word}"))
    if not asked.optional and fitted.null_count():
        reasons.append(said(fitted.is_null() & ~wrong, f"{name}: is null or missing"))
    return fitted, first_reason(reasons, frame.height) if reasons else None


def cast(chunk: Chunk, options: Mapping[str, Any]) -> Judged:
    """transform.cast: a value that does not fit is bad; nothing is rounded or cut silently."""
    reasons: list[pl.Series] = []
    columns: list[pl.Series] = []
    for name, word in options["columns"].items():
        asked, found = field_type(word), column_of(chunk, name, "transform.cast")
        if asked.any:
            continue
        fitted = converted(found, asked.polars, text=True, widen_only=False)
        wrong = fitted.is_null() & found.is_not_null()
        if chunk.text_only:
            wrong = wrong & (found != "")
        columns.append(fitted)
        reasons.append(said(wrong, f"{name}: {word_of(found.dtype)} does not fit {asked.word}"))
        if not asked.optional:
            reasons.append(said(fitted.is_null() & ~wrong, f"{name}: is null"))
    return chunk.with_frame(chunk.frame.with_columns(columns)), first_reason(
        reasons, chunk.frame.height
    )


def converted(found: pl.Series, asked: pl.DataType, *, text: bool, widen_only: bool) -> pl.Series:
    """Null wherever a value is not exactly one of the type asked for."""
    source = found.dtype
    empty = pl.Series(found.name, [None], dtype=asked).new_from_index(0, len(found))
    if isinstance(source, pl.Null):
        return empty
    try:
        return _converted(found, asked, text=text, widen_only=widen_only)
    except pl.exceptions.PolarsError:
        return empty  # There is no way from that type to this one.


def _converted(found: pl.Series, asked: pl.DataType, *, text: bool, widen_only: bool) -> pl.Series:
    source = found.dtype
    if isinstance(source, pl.String):
        if isinstance(asked, pl.Date):
            return found.str.to_date("%Y-%m-%d", strict=False)
        if isinstance(asked, pl.Datetime):
            moments = found.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
            return moments.dt.replace_time_zone(None)
        if isinstance(asked, pl.Binary):
            return found.str.decode("base64", strict=False)
        if not text:
            raise pl.exceptions.InvalidOperationError("a text is no number")
        if isinstance(asked, pl.Boolean):
            known = {"true": True, "false": False, "1": True, "0": False}
            return found.str.to_lowercase().replace_strict(
                known, default=None, return_dtype=pl.Boolean
            )
    if isinstance(source, pl.List) and isinstance(asked, pl.List):
        fitted = found.cast(asked, strict=False)
        lost = (
            found.list.eval(pl.element().is_null()).list.sum()
            != fitted.list.eval(pl.element().is_null()).list.sum()
        )
        return fitted.set(lost.fill_null(False), None)
    numeric = source.is_numeric() and asked.is_numeric()
    if widen_only and not (
        numeric
        or (text and isinstance(source, pl.String))
        or isinstance(source, pl.Binary | pl.Categorical | pl.Enum)
        or (isinstance(source, pl.Datetime) and isinstance(asked, pl.Datetime))
    ):
        raise pl.exceptions.InvalidOperationError("another type")
    fitted = found.cast(asked, strict=False)
    if numeric:
        if widen_only and source.is_float() and asked.is_integer():
            raise pl.exceptions.InvalidOperationError("a float is no integer")
        exact = asked.is_float() and source.is_float()  # Only precision goes.
        if not exact:
            fitted = fitted.set((fitted.cast(source, strict=False) != found).fill_null(False), None)
    return fitted


def column_of(chunk: Chunk, name: str, step: str) -> pl.Series:
    if name not in chunk.frame.columns:
        there = ", ".join(chunk.frame.columns) or "no column"
        what = f"{step}: {chunk.path} has no column {name}; it has {there}"
        raise McError("RECORDS_BAD", what)
    return chunk.frame[name]


def said(wrong: pl.Series, reason: str) -> pl.Series:
    """The reason where it is wrong; a comparison with null is not wrong."""
    mask = wrong.fill_null(False)
    return pl.select(pl.when(mask).then(pl.lit(reason)).otherwise(None).alias("r")).to_series()


def first_reason(reasons: list[pl.Series], height: int) -> pl.Series:
    if not reasons:
        return pl.Series([None], dtype=pl.String).new_from_index(0, height)
    return pl.select(pl.coalesce(reasons).alias("r")).to_series()
