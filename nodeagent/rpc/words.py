"""The brain's messages on the wire, and back. What does not parse as one is refused by name."""

from collections.abc import Mapping

from coordinator.messages import Answer, DigestEntry, Message, News, Probe, Sync, Vote
from coordinator.types import Coordinate, Domain, Facts, Record, Status
from multicloud.errors import McError
from multicloud.v1 import common_pb2, watch_pb2

ID_DIGITS = 16
RTTS_MAX = 64
POSITION_MAX = 16
GENERATION_MAX = (1 << 53) - 1

_KINDS: Mapping[str, "watch_pb2.VoteKind.ValueType"] = {
    "silent": watch_pb2.VOTE_KIND_SILENT,
    "refused": watch_pb2.VOTE_KIND_REFUSED,
    "recovered": watch_pb2.VOTE_KIND_RECOVERED,
}
_KIND_NAMES = {number: name for name, number in _KINDS.items()}


def to_word(message: Message) -> watch_pb2.Word:
    match message:
        case Probe(sequence, sent_s, suspects):
            probe = watch_pb2.Probe(sequence=sequence, sent_s=sent_s, suspects=suspects)
            return watch_pb2.Word(probe=probe)
        case Answer():
            return watch_pb2.Word(answer=_answer(message))
        case Vote(subject, observer, kind):
            vote = watch_pb2.Vote(
                subject=_record(subject), observer=_number(observer), kind=_KINDS[kind]
            )
            return watch_pb2.Word(vote=vote)
        case News(records, facts):
            news = watch_pb2.News(records=map(_record, records), facts=map(to_facts, facts))
            return watch_pb2.Word(news=news)
        case Sync():
            return watch_pb2.Word(sync=_sync(message))


def from_word(word: watch_pb2.Word) -> Message:
    """BAD_REQUEST when it is none."""
    try:
        return _from_word(word)
    except (ValueError, KeyError) as error:
        raise McError("BAD_REQUEST", f"a word of the watch is malformed: {error}") from error


def _from_word(word: watch_pb2.Word) -> Message:
    match word.WhichOneof("kind"):
        case "probe":
            return Probe(word.probe.sequence, word.probe.sent_s, word.probe.suspects)
        case "answer":
            a = word.answer
            coordinate = _from_coordinate(a.coordinate) if a.HasField("coordinate") else None
            record = _from_record(a.record)
            return Answer(a.sequence, a.probe_sent_s, record, a.held_s, a.lag_s, coordinate)
        case "vote":
            v = word.vote
            return Vote(_from_record(v.subject), _id(v.observer), _KIND_NAMES[v.kind])
        case "news":
            records = tuple(map(_from_record, word.news.records))
            return News(records, tuple(map(from_facts, word.news.facts)))
        case "sync":
            return _from_sync(word.sync)
        case _:
            raise ValueError("it is of no kind")


def _number(node: str) -> int:
    return int(node, 16)


def _id(number: int) -> str:
    return f"{number:0{ID_DIGITS}x}"


def _record(record: Record) -> watch_pb2.MemberRecord:
    return watch_pb2.MemberRecord(
        node=_number(record.node),
        generation=record.generation,
        incarnation=record.incarnation,
        status=int(record.status),  # type: ignore[arg-type]
    )


def _from_record(record: watch_pb2.MemberRecord) -> Record:
    if max(record.generation, record.incarnation) > GENERATION_MAX:
        raise ValueError("a generation beyond all bounds")
    status = Status(record.status)
    return Record(_id(record.node), record.generation, record.incarnation, status)


def _answer(answer: Answer) -> watch_pb2.Answer:
    return watch_pb2.Answer(
        sequence=answer.sequence,
        probe_sent_s=answer.probe_sent_s,
        record=_record(answer.record),
        held_s=answer.held_s,
        lag_s=answer.lag_s,
        coordinate=_coordinate(answer.coordinate) if answer.coordinate else None,
    )


def _coordinate(coordinate: Coordinate) -> watch_pb2.Coordinate:
    return watch_pb2.Coordinate(
        position=coordinate.position,
        height_ms=coordinate.height_ms,
        error=coordinate.error,
        adjustment_ms=coordinate.adjustment_ms,
    )


def _from_coordinate(coordinate: watch_pb2.Coordinate) -> Coordinate:
    position = tuple(coordinate.position[:POSITION_MAX])
    return Coordinate(position, coordinate.height_ms, coordinate.error, coordinate.adjustment_ms)


def _sync(sync: Sync) -> watch_pb2.Sync:
    return watch_pb2.Sync(
        digest=[
            watch_pb2.DigestEntry(record=_record(e.record), facts_version=e.facts_version)
            for e in sync.digest
        ],
        facts=map(to_facts, sync.facts),
        wanted=map(_number, sync.wanted),
        answer=sync.answer,
        first=sync.first,
        last=sync.last,
    )


def _from_sync(sync: watch_pb2.Sync) -> Sync:
    entries = (DigestEntry(_from_record(e.record), e.facts_version) for e in sync.digest)
    return Sync(
        tuple(entries),
        tuple(map(from_facts, sync.facts)),
        tuple(map(_id, sync.wanted)),
        sync.answer,
        sync.first,
        sync.last,
    )


def to_facts(facts: Facts) -> watch_pb2.MemberFacts:
    return watch_pb2.MemberFacts(
        node=_number(facts.node),
        generation=facts.generation,
        version=facts.version,
        name=facts.name,
        domain=common_pb2.Domain(
            cloud=facts.domain.cloud, region=facts.domain.region, zone=facts.domain.zone
        ),
        draining=facts.draining,
        bytes_total=facts.bytes_total,
        bytes_free=facts.bytes_free,
        bytes_in_flight=facts.bytes_in_flight,
        service_ms=facts.service_ms,
        rtts_ms=facts.rtts_ms,
        coordinate=_coordinate(facts.coordinate) if facts.coordinate else None,
        more=facts.more,
    )


def from_facts(facts: watch_pb2.MemberFacts) -> Facts:
    if len(facts.rtts_ms) > RTTS_MAX:
        raise ValueError(f"facts with {len(facts.rtts_ms)} round-trip times")
    domain = Domain(facts.domain.cloud, facts.domain.region, facts.domain.zone)
    return Facts(
        node=_id(facts.node),
        generation=facts.generation,
        version=facts.version,
        name=facts.name,
        domain=domain,
        draining=facts.draining,
        bytes_total=facts.bytes_total,
        bytes_free=facts.bytes_free,
        bytes_in_flight=facts.bytes_in_flight,
        service_ms=facts.service_ms,
        rtts_ms=dict(facts.rtts_ms),
        coordinate=_from_coordinate(facts.coordinate) if facts.HasField("coordinate") else None,
        more=facts.more,
    )
