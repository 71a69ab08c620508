"""Lines of JSON to frames: Arrow reads a whole block at once; only where it will not is it asked
which lines it minds, so that good records never suffer from bad ones.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json

from nodeagent.core.pipeline.lines import Block, Found, TooLong
from nodeagent.process.chunk import RECORD_SHOWN_BYTES_MAX, Bad, Chunk, ReadChunk
from nodeagent.process.json_types import infer, misfit

BOM = b"\xef\xbb\xbf"
EXACT_INTEGER_MAX = float(1 << 53)  # Beyond it a float64 may not be the integer that was written.


def read_jsonl(
    found: Iterable[Found], path: str, begin: int, schema: pa.Schema | None
) -> Iterator[ReadChunk]:
    """One chunk for each block. `schema` is what the first step asks for, as JSON has it."""
    for one in found:
        if isinstance(one, TooLong):
            empty = Chunk(_to_frame(_none(schema), 0), _offsets([]), path, begin)
            why = f"is longer ({one.size_bytes} bytes) than a record may be"
            yield ReadChunk(empty, [Bad(one.offset_bytes, why, one.start)])
        else:
            yield _read(one, path, begin, schema)


def _read(block: Block, path: str, begin: int, schema: pa.Schema | None) -> ReadChunk:
    whole = block.data.splitlines(keepends=True) if b"\r" not in block.data else []
    if _is_plain(whole) and (table := _whole(block.data, schema)) is not None:
        starts = list(accumulate(map(len, whole), initial=block.offset_bytes))[:-1]
        return ReadChunk(Chunk(_to_frame(table, len(starts)), _offsets(starts), path, begin))
    lines, offsets = _lines(block)
    unread: list[Bad] = []
    misfits: list[Bad] = []
    table = _whole(b"\n".join(lines), schema) if _are_plain(lines) else None
    if table is None:
        records = [_loaded(line) for line in lines]
        asked = _asked(schema, infer(records))
        readable = [at for at, record in enumerate(records) if isinstance(record, dict)]
        refused = {readable[at] for at in _refused([lines[at] for at in readable], asked)}
        for at in sorted(refused | (set(range(len(lines))) - set(readable))):
            unread_why, why = _reason(lines[at], asked)
            bad = Bad(offsets[at], unread_why or why, lines[at][:RECORD_SHOWN_BYTES_MAX])
            # Without a declared schema whatever cannot be read is a fault of reading.
            (misfits if schema is not None and not unread_why else unread).append(bad)
        gone = {bad.offset_bytes for bad in (*unread, *misfits)}
        kept = [at for at, offset in enumerate(offsets) if offset not in gone]
        lines, offsets = [lines[at] for at in kept], [offsets[at] for at in kept]
        table = _strict(b"\n".join(lines), asked)
        assert table is not None, "each of the lines was read"
    chunk = Chunk(_to_frame(table, len(lines)), _offsets(offsets), path, begin)
    return ReadChunk(chunk, unread, misfits)


def _asked(declared: pa.Schema | None, found: pa.Schema) -> pa.Schema:
    """A type for every field: those that are declared, and for others that of their first value."""
    fields = list(declared) if declared is not None else []
    names = {field.name for field in fields}
    return pa.schema([*fields, *(field for field in found if field.name not in names)])


def _is_plain(lines: list[bytes]) -> bool:
    """Nothing but objects, one on each line, from its first byte to its last. So no object spans
    lines, and two on one line show as a record too many.
    """
    if not lines or set(map(itemgetter(0), lines)) != {0x7B}:
        return False
    last = lines[-1].removesuffix(b"\n")
    return last[-1:] == b"}" and set(map(itemgetter(-2), lines[:-1])) <= {0x7D}


def _are_plain(lines: list[bytes]) -> bool:
    return all(line[0] == 0x7B and line[-1] == 0x7D for line in lines)


def _lines(block: Block) -> tuple[list[bytes], list[int]]:
    """Lines that hold something, without their ends, and where each begins."""
    lines: list[bytes] = []
    offsets: list[int] = []
    at = block.offset_bytes
    for line in block.data.split(b"\n"):
        text = line.strip(b" \t\r")
        if at == 0:
            text = text.removeprefix(BOM)
        if text:
            lines.append(text)
            offsets.append(at)
        at += len(line) + 1
    return lines, offsets


def _whole(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    """All of them at once; None when one of them is not as it should be."""
    table = _strict(data, schema)
    if table is None:
        return None
    if texts := _dates_as_text(table.schema, schema):
        # Arrow takes what looks like a date for one; here a text stays the text it is.
        table = _strict(data, texts)
    if table is not None and _may_have_lost_digits(table, schema):
        return None
    return table


def _strict(data: bytes, schema: pa.Schema | None) -> pa.Table | None:
    """Of plain lines, a record each."""
    if not data:
        return _none(schema)
    try:
        data.decode()
        table = pyarrow.json.read_json(
            pa.BufferReader(data),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="infer"
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return table if table.num_rows == lines else None


def _refused(lines: list[bytes], schema: pa.Schema) -> list[int]:
    """Which lines Arrow does not read as `schema`, by halving: few bad ones cost little."""
    refused: list[int] = []
    waiting = [(0, len(lines))]
    while waiting:
        first, end = waiting.pop()
        some = lines[first:end]
        if _are_plain(some) and _strict(b"\n".join(some), schema) is not None:
            continue
        if end - first == 1:
            refused.append(first)
        else:
            middle = (first + end) // 2
            waiting += [(middle, end), (first, middle)]
    return refused


def _dates_as_text(found: pa.Schema, schema: pa.Schema | None) -> pa.Schema | None:
    """A schema that reads inferred timestamps as the texts they were; None when there is none."""
    fields = [pa.field(field.name, _texts(field.type)) for field in found]
    return None if pa.schema(fields) == found.remove_metadata() else pa.schema(fields)


def _texts(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_texts(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _texts(f.type)) for f in kind])
    return kind


def _may_have_lost_digits(table: pa.Table, schema: pa.Schema | None) -> bool:
    """Whether an integer too long for its type may have become a float that nobody declared."""
    declared = set(schema.names) if schema is not None else set()
    return any(
        bool((pl.Series(column).abs() >= EXACT_INTEGER_MAX).any())
        for name, column in zip(table.column_names, table.columns, strict=True)
        if name not in declared and pa.types.is_floating(column.type)
    )


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _reason(line: bytes, schema: pa.Schema) -> tuple[str, str]:
    """Why it is no record at all, or else why it does not fit."""
    try:
        value = json.loads(line)
    except UnicodeDecodeError:
        return "is not UTF-8", ""
    except ValueError as error:
        return f"is not JSON: {error}", ""
    except RecursionError:
        return "is nested too deeply", ""
    if not isinstance(value, dict):
        return f"is JSON but no object: {type(value).__name__}", ""
    return "", misfit(value, schema) or "has a value that cannot be stored, or a field twice"


def _to_frame(table: pa.Table, height: int) -> pl.DataFrame:
    if not table.num_columns:
        return pl.DataFrame(height=height)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _none(schema: pa.Schema | None) -> pa.Table:
    return (schema if schema is not None else pa.schema([])).empty_table()


def _offsets(offsets: list[int]) -> pl.Series:
    return pl.Series(offsets, dtype=pl.UInt64)
