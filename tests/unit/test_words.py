"""The brain's messages survive the wire unchanged, and what is none is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.messages import Answer, DigestEntry, Message, News, Probe, Sync, Vote
from coordinator.types import Coordinate, Domain, Facts, Record, Status
from multicloud.errors import McError
from multicloud.v1 import watch_pb2
from nodeagent.rpc.guard import Unsound, parse
from nodeagent.rpc.words import GENERATION_MAX, from_word, to_word

ids = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
counts = st.integers(0, GENERATION_MAX)
figures = st.floats(0, 1e6, width=32)
records = st.builds(Record, ids, counts, counts, st.sampled_from(Status))
coordinates = st.builds(
    Coordinate, st.lists(figures, max_size=8).map(tuple), figures, figures, figures
)
names = st.text("abcdefghijk-0123456789", min_size=1, max_size=20)
domains = st.builds(Domain, names, names, names)
facts = st.builds(
    Facts,
    node=ids,
    generation=counts,
    version=counts,
    name=names,
    domain=domains,
    draining=st.booleans(),
    bytes_total=counts,
    bytes_free=counts,
    bytes_in_flight=counts,
    service_ms=figures,
    rtts_ms=st.dictionaries(names, figures, max_size=8),
    coordinate=st.none() | coordinates,
    more=st.binary(max_size=64),
)
some_records = st.lists(records, max_size=5).map(tuple)
some_facts = st.lists(facts, max_size=3).map(tuple)
messages = st.one_of(
    st.builds(Probe, counts, figures, st.booleans()),
    st.builds(Answer, counts, figures, records, figures, figures, st.none() | coordinates),
    st.builds(Vote, records, ids, st.sampled_from(["silent", "refused", "recovered"])),
    st.builds(News, some_records, some_facts),
    st.builds(
        Sync,
        st.lists(st.builds(DigestEntry, records, counts), max_size=5).map(tuple),
        some_facts,
        st.lists(ids, max_size=5).map(tuple),
        st.booleans(),
        ids,
        ids,
    ),
)


@given(messages)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    sent = to_word(message).SerializeToString()
    assert from_word(watch_pb2.Word.FromString(sent)) == message


MALFORMED = {
    "empty": watch_pb2.Word(),
    "a status that nobody knows": watch_pb2.Word(
        answer=watch_pb2.Answer(record=watch_pb2.MemberRecord(node=1, status=99))
    ),
    "no status": watch_pb2.Word(news=watch_pb2.News(records=[watch_pb2.MemberRecord(node=1)])),
    "a vote for nothing": watch_pb2.Word(
        vote=watch_pb2.Vote(subject=watch_pb2.MemberRecord(node=1, status=1))
    ),
    "a generation beyond all bounds": watch_pb2.Word(
        news=watch_pb2.News(records=[watch_pb2.MemberRecord(node=1, generation=2**63, status=1)])
    ),
    "too many round trips": watch_pb2.Word(
        news=watch_pb2.News(
            facts=[watch_pb2.MemberFacts(rtts_ms={f"c/{n}": 1.0 for n in range(1000)})]
        )
    ),
}


@pytest.mark.parametrize("word", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_message_is_a_bad_request(word: watch_pb2.Word) -> None:
    with pytest.raises(McError) as refused:
        from_word(word)
    assert refused.value.reason == "BAD_REQUEST"


@given(st.binary(max_size=200))
def test_bytes_from_outside_are_a_message_or_a_bad_request(data: bytes) -> None:
    assert _reason(data) in {"", "BAD_REQUEST"}


def _reason(data: bytes) -> str:
    word = parse(watch_pb2.Word, data, None)  # As the guard does it.
    if isinstance(word, Unsound):
        return word.error.reason
    assert isinstance(word, watch_pb2.Word)
    try:
        from_word(word)
    except McError as error:
        return error.reason
    return ""
