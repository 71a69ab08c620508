"""Cutting: from a page of a listing to tasks. Everyone who has page and rule cuts alike.

A range is bytes only. A record belongs to the range that holds its first byte; what can only be
read from its start (compressed, csv with line ends in quotes) belongs to the range of byte 0 as a
whole. So no cut is wrong, whatever a file turns out to be; a good one only makes good tasks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodeagent.core.pipeline.kinds import by_name
from nodeagent.core.pipeline.model import Pipeline

PACK_FILES_MAX = 4096  # In one task, however small they are.


@dataclass(frozen=True, slots=True)
class CutRule:
    """Fixed at submit and kept in the job's header."""

    target_bytes: int
    input: str = "raw"
    csv_lines: bool = False  # A line of csv is a record.
    whole_parquet: bool = False  # Its output keeps its path, and parts of parquet cannot be joined.
    pack_files_max: int = PACK_FILES_MAX


@dataclass(frozen=True, slots=True)
class Part:
    """A range of an object. Parts of one object in order are the object."""

    path: str
    offset_bytes: int
    size_bytes: int
    index: int  # Of the range in its object: the number in part-00000.
    object_bytes: int

    @property
    def end(self) -> int:
        return self.offset_bytes + self.size_bytes

    @property
    def first(self) -> bool:
        return self.index == 0

    @property
    def last(self) -> bool:
        return self.end == self.object_bytes


Parts = tuple[Part, ...]  # Of one task, in the order of its output.


def rule_for(pipeline: Pipeline, target_bytes: int) -> CutRule:
    return CutRule(
        target_bytes,
        "raw" if pipeline.passes_through else pipeline.input,
        not pipeline.csv.quoted_newlines,
        pipeline.output.format == "same",
    )


def chunk_bytes_for(target_bytes: int) -> int:
    """What steps see at once: a range, and what its last record has beyond it."""
    return target_bytes + target_bytes // 4


def can_split(path: str, rule: CutRule) -> bool:
    """Whether more than one range of it would have something to do, as far as its name tells."""
    if rule.input == "raw":
        return True
    named = by_name(path)
    form = named.format if rule.input == "auto" else rule.input
    if named.is_stream or (form == "csv" and not rule.csv_lines):
        return False
    return not (form == "parquet" and rule.whole_parquet)


def parts_of(path: str, size_bytes: int, rule: CutRule) -> Iterator[Part]:
    """Ranges of the target size from the start; an empty object is one empty part.

    They depend on nothing behind them, so a file that only grew keeps its first ones.
    """
    if size_bytes <= rule.target_bytes or not can_split(path, rule):
        yield Part(path, 0, size_bytes, 0, size_bytes)
        return
    for index, offset in enumerate(range(0, size_bytes, rule.target_bytes)):
        yield Part(path, offset, min(rule.target_bytes, size_bytes - offset), index, size_bytes)


def cut(objects: Iterable[tuple[str, int]], rule: CutRule) -> Iterator[Parts]:
    """Tasks of one page: paths with sizes, in its order. Small files share a task."""
    packed: list[Part] = []
    packed_bytes = 0
    for path, size_bytes in objects:
        for part in parts_of(path, size_bytes, rule):
            small = part.size_bytes < rule.target_bytes and part.size_bytes == size_bytes
            if not small:
                yield (part,)
                continue
            full = packed_bytes + part.size_bytes > rule.target_bytes
            if packed and (full or len(packed) >= rule.pack_files_max):
                yield tuple(packed)
                packed, packed_bytes = [], 0
            packed.append(part)
            packed_bytes += part.size_bytes
    if packed:
        yield tuple(packed)
