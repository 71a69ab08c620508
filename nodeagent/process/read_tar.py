"""Samples of a tar to frames: `__key__`, and a column of bytes for each kind of file."""

from collections.abc import Iterator

import polars as pl

from nodeagent.core.pipeline.source import Source
from nodeagent.core.pipeline.tars import NoSample, Sample, samples
from nodeagent.process.chunk import Bad, Chunk, ReadChunk

KEY = "__key__"


def read_tar(
    source: Source, path: str, begin: int, end: int, *, batch_bytes: int, record_bytes_max: int
) -> Iterator[ReadChunk]:
    """Chunks of at least `batch_bytes`, but for the last."""
    held: list[Sample] = []
    bad: list[Bad] = []
    held_bytes = 0
    for found in samples(source, begin, end, sample_bytes_max=record_bytes_max):
        if isinstance(found, NoSample):
            bad.append(Bad(found.offset_bytes, found.why, found.name.encode(errors="replace")))
            continue
        held.append(found)
        held_bytes += found.size_bytes
        if held_bytes >= batch_bytes:
            yield ReadChunk(_chunk(held, path, begin), bad)
            held, bad, held_bytes = [], [], 0
    if held or bad:
        yield ReadChunk(_chunk(held, path, begin), bad)


def _chunk(held: list[Sample], path: str, begin: int) -> Chunk:
    kinds = dict.fromkeys(kind for sample in held for kind in sample.files)
    # Names that are not UTF-8 come with surrogates, which a frame cannot hold.
    keys = [s.key.encode(errors="surrogateescape").decode(errors="replace") for s in held]
    columns = [pl.Series(KEY, keys, dtype=pl.String)]
    columns += [
        pl.Series(kind, [sample.files.get(kind) for sample in held], dtype=pl.Binary)
        for kind in kinds
        if kind != KEY
    ]
    offsets = pl.Series([sample.offset_bytes for sample in held], dtype=pl.UInt64)
    return Chunk(pl.DataFrame(columns), offsets, path, begin)
