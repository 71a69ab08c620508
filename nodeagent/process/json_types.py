"""Types of JSON records that disagree: the first value of a field decides; reasons in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

_INT64 = (-(1 << 63), (1 << 63) - 1)
_UINT64_MAX = (1 << 64) - 1
_BITS = {f"int{n}": (-(1 << n - 1), (1 << n - 1) - 1) for n in (8, 16, 32, 64)}
_BITS |= {f"uint{n}": (0, (1 << n) - 1) for n in (8, 16, 32, 64)}


def infer(records: Iterable[Any]) -> pa.Schema:
    """The type of each field by its first value that is not null. An integer gives way to a later
    float, and to a larger integer as far as there are types for it.
    """
    found: dict[str, pa.DataType] = {}
    for record in records:
        if isinstance(record, dict):
            for name, value in record.items():
                found[name] = _joined(found.get(name, pa.null()), _type(value))
    return pa.schema(list(found.items()))


def _type(value: Any) -> pa.DataType:
    match value:
        case None:
            return pa.null()
        case bool():
            return pa.bool_()
        case int():
            return pa.int64() if value <= _INT64[1] else pa.uint64()
        case float():
            return pa.float64()
        case str():
            return pa.string()
        case list():
            inner = pa.null()
            for item in value:
                inner = _joined(inner, _type(item))
            return pa.list_(inner)
    return pa.struct([pa.field(name, _type(item)) for name, item in value.items()])


def _joined(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if pa.types.is_null(first):
        return second
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_list(first) and pa.types.is_list(second):
        return pa.list_(_joined(first.value_type, second.value_type))
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        fields = {field.name: field.type for field in first}
        for field in second:
            fields[field.name] = _joined(fields.get(field.name, pa.null()), field.type)
        return pa.struct(list(fields.items()))
    if pa.types.is_integer(first) and pa.types.is_floating(second):
        return second
    if pa.types.is_integer(first) and pa.types.is_integer(second):
        return pa.uint64()
    return first


def misfit(record: Mapping[str, Any], schema: pa.Schema) -> str:
    """Which field of a record is of the wrong type; empty when none is."""
    for field in schema:
        why = _wrong(record.get(field.name), field.type)
        if why:
            return f"{field.name}: {why}"
    return ""


def _wrong(value: Any, kind: pa.DataType) -> str:
    if value is None:
        return ""
    must = f"is {_shown(value)}, must be {kind}"
    if pa.types.is_boolean(kind):
        return "" if isinstance(value, bool) else must
    if pa.types.is_integer(kind):
        if isinstance(value, bool) or not isinstance(value, int):
            return must
        least, most = _BITS[str(kind)]
        return "" if least <= value <= most else f"{must}: it is too large"
    if pa.types.is_floating(kind):
        return "" if isinstance(value, (int, float)) and not isinstance(value, bool) else must
    if pa.types.is_string(kind):
        return "" if isinstance(value, str) else must
    if pa.types.is_list(kind):
        if not isinstance(value, list):
            return must
        return next((why for item in value if (why := _wrong(item, kind.value_type))), "")
    if pa.types.is_struct(kind):
        if not isinstance(value, dict):
            return must
        return misfit(value, list(kind))
    return ""


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int():
            return f"the integer {value}" if abs(value) < 1 << 70 else "a very large integer"
        case float():
            return f"the number {value!r}"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"
