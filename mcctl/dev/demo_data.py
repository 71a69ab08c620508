"""A synthetic training set, a pipeline over it, and what must come out of that to the last byte.

The same size gives the same bytes: texts of made-up words, a few of them too short to keep, and in
each file one line that is no record.
"""

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
FILE_BYTES_MAX = 64 * MIB
FILES_MIN = 4
TEXTS = 2048  # Different ones; with its id each record is one of its kind.
TEXT_BYTES = 1024
SHORT_EVERY = 100

PIPELINE = """\
input = "jsonl"

[[step]]
use = "validate.schema"
fields = { id = "int64", text = "string" }
on_bad = "quarantine"

[[step]]
use = "transform.sql"
query = "SELECT id, lower(text) AS text FROM chunk WHERE length(text) > 10"
"""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What was made, and by path the SHA-256 of what a job makes of it."""

    folder: Path
    pipeline: Path
    bytes: int
    records: int  # Lines that are records.
    filtered: int
    bad: int
    expected: Mapping[str, str]


def make(folder: Path, mib: int) -> TrainingSet:
    """Writes it below `folder`: `data/` and `pipeline.toml`."""
    data, pipeline = folder / "data", folder / "pipeline.toml"
    data.mkdir()
    pipeline.write_text(PIPELINE)
    texts = list(_texts())
    count = max(FILES_MIN, mib * MIB // FILE_BYTES_MAX)
    size = mib * MIB // count
    expected, total, records, filtered = {}, 0, 0, 0
    for number in range(count):
        name = f"shard-{number:03}.jsonl"
        digest = hashlib.sha256()
        with (data / name).open("wb") as file:
            begun = records
            for lines, kept, seen, short in _lines(size, records, texts):
                file.write(lines)
                digest.update(kept)
                records, filtered = records + seen, filtered + short
            total += file.tell()
        assert records > begun, "a file holds records"
        expected[name] = digest.hexdigest()
    return TrainingSet(data, pipeline, total, records, filtered, count, expected)


def _texts() -> Iterator[str]:
    rng = random.Random(1)  # The set is to be the same every time.
    words = ["".join(rng.choices("aeioulnrst", k=rng.randint(2, 9))) for _ in range(500)]
    for _ in range(TEXTS):
        text = " ".join(rng.choices(words, k=TEXT_BYTES // 6))
        yield text[:TEXT_BYTES].capitalize()


def _lines(size: int, first_id: int, texts: list[str]) -> Iterator[tuple[bytes, bytes, int, int]]:
    """A file in pieces: its bytes, what is left of them, its records, and those too short."""
    came = [f',"text":"{text}"}}\n' for text in texts]
    left = [line.lower() for line in came]
    yield b'{"id": broken\n', b"", 0, 0
    done, at = 0, first_id
    while done < size:
        ids = range(at, at + len(texts))
        long = [(id_, id_ % len(texts)) for id_ in ids if id_ % SHORT_EVERY]
        lines = [f'{{"id":{id_}{came[text]}' for id_, text in long]
        lines += [f'{{"id":{id_},"text":"short"}}\n' for id_ in ids if not id_ % SHORT_EVERY]
        kept = "".join([f'{{"id":{id_}{left[text]}' for id_, text in long])
        piece = "".join(lines).encode()
        done, at = done + len(piece), ids.stop
        yield piece, kept.encode(), len(ids), len(ids) - len(long)


def digests(folder: Path) -> dict[str, str]:
    """By path, the SHA-256 of every file below."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
