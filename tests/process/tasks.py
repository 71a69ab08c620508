"""Running pipelines in the tests' own process: files in memory, and what came out of them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from nodeagent.core.pipeline.counts import Counts, total
from nodeagent.core.pipeline.cut import Part, cut, rule_for
from nodeagent.core.pipeline.model import Pipeline, Step
from nodeagent.core.pipeline.parse import parse
from nodeagent.core.pipeline.source import BytesSource
from nodeagent.process.chunk import Chunk, Outcome
from nodeagent.process.engine import Engine
from nodeagent.process.events import Closed, Data, Done, Event, Opened, Quarantined
from nodeagent.process.read import Bounds

BOUNDS = Bounds(chunk_bytes=1 << 20, record_bytes_max=2 << 20)


class NoCaller:
    def call(self, step: Step, chunk: Chunk) -> Outcome:
        raise AssertionError(f"nobody calls {step.options['call']} here")


@dataclass
class Result:
    """Parts of one path are joined in order, as a manifest joins them."""

    files: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, int | None] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)

    def add(self, events: list[Event]) -> None:
        path = ""
        for event in events:
            match event:
                case Opened(path=opened):
                    path = opened
                    self.files.setdefault(path, b"")
                case Data(data=data):
                    self.files[path] += data
                case Closed(records=records):
                    self.records[path] = (
                        None if records is None else (self.records.get(path) or 0) + records
                    )
                case Quarantined():
                    self.quarantined.append(event)
                case Done(counts=counts):
                    self.counts = total([c for c in (self.counts, list(counts)) if c])


def pipeline(text: str) -> Pipeline:
    found, faults = parse(tomllib.loads(text))
    assert not faults, [str(fault) for _, fault in faults]
    return found


def run(
    text: str, files: Mapping[str, bytes], target_bytes: int = 1 << 20, bounds: Bounds = BOUNDS
) -> Result:
    """Each task apart, as workers do."""
    found = pipeline(text)
    result = Result()
    engine = Engine(found, NoCaller(), bounds)
    page = [(path, len(data)) for path, data in files.items()]

    def opened(part: Part) -> BytesSource:
        return BytesSource(files[part.path])

    for task in cut(page, rule_for(found, target_bytes)):
        events = list(engine.run(task, opened))
        assert events == list(engine.run(task, opened)), "the same task gives the same bytes"
        result.add(events)
    assert all(counts.reconciles() for counts in result.counts)
    assert all(
        a.records_out == b.records_in
        for a, b in zip(result.counts, result.counts[1:], strict=False)
    )
    return result
