"""What of a pipeline can only be checked with its libraries: SQL, columns, patterns, allowed calls.

Columns are followed from step to step as far as they are known: from the first validate.schema or
transform.select on. A step that names a column which nobody declared is refused before it runs.
"""

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from nodeagent.core.pipeline.model import Pipeline, Step
from nodeagent.core.pipeline.parse import Fault, Faults, Key, near
from nodeagent.process import sql
from nodeagent.process.dtypes import field_type, word_of

# A column whose type is not known is None; no columns known at all is None, too.
Columns = dict[str, pl.DataType | None] | None


def allows(allowed: Collection[str], call: str) -> bool:
    """By its full name, or with its whole module: `acme.clean:*`."""
    return call in allowed or f"{call.partition(':')[0]}:*" in allowed


def check(pipeline: Pipeline, allowed: Collection[str] | None) -> list[Fault]:
    """Nothing is run, and no function of the operator's is imported."""
    faults = Faults()
    columns: Columns = None
    for at, step in enumerate(pipeline.steps):
        key: Key = ("step", at)
        columns = _STEPS.get(step.use, _same)(faults, key, step, columns)
        call = step.options.get("call", "")
        if call and allowed is not None and not allows(allowed, call):
            rule = f"{call} is not allow-listed; nodes run only what process.calls names"
            faults.add((*key, "call"), rule, near(call, allowed))
    return faults.found


def _known(faults: Faults, key: Key, name: str, columns: Columns) -> bool:
    if columns is None or name in columns:
        return True
    there = ", ".join(columns) or "none"
    faults.add(key, f"{name} is no column here; there are {there}", near(name, columns))
    return False


def _all_known(faults: Faults, key: Key, names: Collection[str], columns: Columns) -> None:
    for name in names:
        _known(faults, key, name, columns)


def _same(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    """Steps that name columns in `by`, or none, and change none."""
    _all_known(faults, (*key, "by"), step.options.get("by", ()), columns)
    return columns


def _schema(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    declared = _types(step.options["fields"])
    for name in declared:
        _known(faults, (*key, "fields", name), name, columns)
    kept = columns if columns is not None and step.options["extra"] == "keep" else {}
    return {**declared, **{n: d for n, d in kept.items() if n not in declared}}


def _cast(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    for name in step.options["columns"]:
        _known(faults, (*key, "columns", name), name, columns)
    return None if columns is None else {**columns, **_types(step.options["columns"])}


def _types(words: Mapping[str, str]) -> dict[str, pl.DataType | None]:
    asked = {name: field_type(word) for name, word in words.items()}
    return {name: None if kind.any else kind.polars for name, kind in asked.items()}


def _select(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    names = step.options["columns"]
    _all_known(faults, (*key, "columns"), names, columns)
    return {name: (columns or {}).get(name) for name in names}


def _rename(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    new = step.options["columns"]
    for name in new:
        _known(faults, (*key, "columns", name), name, columns)
    if columns is None:
        return None
    after = [new.get(name, name) for name in columns]
    if twice := next((name for name in after if after.count(name) > 1), ""):
        faults.add((*key, "columns"), f"two columns would be called {twice}")
    return {new.get(name, name): dtype for name, dtype in columns.items()}


def _normalise(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    for name in step.options["columns"]:
        if _known(faults, (*key, "columns"), name, columns) and columns is not None:
            dtype = columns[name]
            if dtype is not None and not isinstance(dtype, pl.String):
                faults.add((*key, "columns"), f"{name} is {word_of(dtype)}, not string")
    return columns


def _expect(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    options = step.options
    for option in ("not_null", "unique"):
        _all_known(faults, (*key, option), options[option], columns)
    for option in ("range", "regex", "one_of"):
        for name in options[option]:
            _known(faults, (*key, option, name), name, columns)
    for name, pattern in options["regex"].items():
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.PolarsError as error:
            faults.add((*key, "regex", name), f"is a pattern that cannot be used: {_first(error)}")
    most = options["records_max"]
    if most and options["records_min"] > most:
        faults.add((*key, "records_min"), "is more than records_max")
    return columns


def _sql(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    try:
        found = sql.columns_of(step.options["query"], _empty(columns))
    except sql.SqlFault as fault:
        _sql_fault(faults, (*key, "query"), fault, columns)
        return None
    return {**found} if columns is not None else None


def _filter(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    try:
        sql.check_condition(step.options["where"], _empty(columns))
    except sql.SqlFault as fault:
        _sql_fault(faults, (*key, "where"), fault, columns)
    return columns


def _sql_fault(faults: Faults, key: Key, fault: sql.SqlFault, columns: Columns) -> None:
    if fault.unknown:
        if columns is not None and fault.unknown not in columns:
            _known(faults, key, fault.unknown, columns)
        elif columns is not None:
            faults.add(key, str(fault))
        return  # Where nothing is known, any column may be there.
    if fault.typed and (columns is None or None in columns.values()):
        return  # Types were guessed.
    faults.add(key, str(fault))


def _empty(columns: Columns) -> pl.DataFrame:
    """Records like those that will come, none of them."""
    known = {name: dtype or pl.String() for name, dtype in (columns or {}).items()}
    return pl.DataFrame(schema=known)


def _python(faults: Faults, key: Key, step: Step, columns: Columns) -> Columns:
    return None  # Nobody knows what it makes of a record.


def _first(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "").strip()


_STEPS: Mapping[str, Any] = {
    "validate.schema": _schema,
    "validate.expect": _expect,
    "transform.sql": _sql,
    "transform.select": _select,
    "transform.cast": _cast,
    "transform.rename": _rename,
    "text.normalise": _normalise,
    "filter": _filter,
    "python": _python,
}
