"""What goes through the steps: the records of a range as a frame, and where each came from."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from multicloud.errors import McError
from nodeagent.core.pipeline.counts import Counts

RECORD_SHOWN_BYTES_MAX = 1 << 16  # Of a bad record, for the quarantine.


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that is put aside or dropped."""

    offset_bytes: int
    reason: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """`offsets` has one value for each record, or is None where records were made anew."""

    frame: pl.DataFrame
    offsets: pl.Series | None
    path: str
    begin: int  # Of the range: what stands for the offset of a record without one.
    text_only: bool = False  # From csv: types have to be read out of text.

    def keep(self, mask: pl.Series) -> "Chunk":
        offsets = None if self.offsets is None else self.offsets.filter(mask)
        return Chunk(self.frame.filter(mask), offsets, self.path, self.begin, self.text_only)

    def gather(self, order: pl.Series) -> "Chunk":
        offsets = None if self.offsets is None else self.offsets.gather(order)
        return Chunk(self.frame[order], offsets, self.path, self.begin, self.text_only)

    def with_frame(self, frame: pl.DataFrame) -> "Chunk":
        """The same records with other columns."""
        return Chunk(frame, self.offsets, self.path, self.begin, self.text_only)

    def remade(self, frame: pl.DataFrame) -> "Chunk":
        """Other records."""
        return Chunk(frame, None, self.path, self.begin)

    def clear(self) -> "Chunk":
        """None of its records."""
        return self.keep(pl.Series([False]).new_from_index(0, self.frame.height))

    def offset(self, row: int) -> int:
        return self.begin if self.offsets is None else int(self.offsets[row])


@dataclass(slots=True)
class ReadChunk:
    """What a reader found in a range: records, and what is none."""

    chunk: Chunk
    unread: list[Bad] = field(default_factory=list)
    misfits: list[Bad] = field(default_factory=list)  # Read, but not as the first step asks.

    def __len__(self) -> int:
        return self.chunk.frame.height + len(self.unread) + len(self.misfits)

    def first(self, count: int) -> "ReadChunk":
        """Of all that was found, the first ones, good or bad."""
        good = [self.chunk.offset(row) for row in range(self.chunk.frame.height)]
        bad = [one.offset_bytes for one in (*self.unread, *self.misfits)]
        found = sorted([*good, *bad])
        if len(found) <= count:
            return self
        end = found[count]
        kept = pl.Series([at < end for at in good], dtype=pl.Boolean)
        if not kept.any() and good and good[0] == good[-1] == end:  # One offset for a whole group.
            kept = pl.Series([row < count for row in range(len(good))], dtype=pl.Boolean)
        return ReadChunk(
            self.chunk.keep(kept),
            [one for one in self.unread if one.offset_bytes < end],
            [one for one in self.misfits if one.offset_bytes < end],
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one step over one chunk."""

    chunk: Chunk
    counts: Counts
    bad: list[Bad]


def split_bad(chunk: Chunk, reasons: pl.Series) -> tuple[Chunk, list[Bad]]:
    """The good ones, and the bad ones with their reasons; null is good."""
    wrong = reasons.is_not_null()
    if not wrong.any():
        return chunk, []
    rows = wrong.arg_true()
    records = json_lines(chunk.frame[rows])
    bad = [
        Bad(chunk.offset(row), reasons[row], record[:RECORD_SHOWN_BYTES_MAX])
        for row, record in zip(rows.to_list(), records, strict=True)
    ]
    return chunk.keep(~wrong), bad


def json_lines(frame: pl.DataFrame) -> Iterator[bytes]:
    """Each record as a JSON object, without its line end."""
    yield from to_jsonl(frame).split(b"\n")[: frame.height]


def to_jsonl(frame: pl.DataFrame) -> bytes:
    """Bytes become base64, which is how a field of type `binary` is read from JSON."""
    coded = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Binary):
            coded.append(pl.col(name).bin.encode("base64"))
        elif _holds_bytes(dtype):
            what = f"column {name} holds bytes inside {dtype}, which JSON cannot say"
            raise McError("RECORDS_BAD", what, next="leave it out with transform.select")
    if not frame.width:
        return b"{}\n" * frame.height
    out = io.BytesIO()  # Into bytes at once: as text it would be copied twice more.
    (frame.with_columns(coded) if coded else frame).write_ndjson(out)
    return out.getvalue()


def from_base64(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _holds_bytes(dtype: object) -> bool:
    if isinstance(dtype, pl.Binary):
        return True
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)
    return isinstance(dtype, pl.Struct) and any(_holds_bytes(f.dtype) for f in dtype.fields)
