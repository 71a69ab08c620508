"""What a message costs on the wire: its fields as protobuf writes them, and what carries them."""

from functools import lru_cache

from coordinator.messages import Answer, Message, News, Probe, Sync, Vote
from coordinator.types import Facts

# gRPC 5, HTTP/2 9, TLS 1.3 22, TCP/IPv4 with timestamps 40 - 1 shared: one packet's share.
OVERHEAD_BYTES = 75
SEGMENT_BYTES = 1448  # What fits one packet; each further one costs its headers again.
SEGMENT_OVERHEAD_BYTES = 52

PROBE_BYTES = 18  # tag+varint 4, tag+double 9, flag 2, framing 3
RECORD_BYTES = 18  # id 8 raw bytes and tag 10, generation 3, incarnation 2, status 2, length 1
ANSWER_BYTES = 4 + 9 + RECORD_BYTES + 2 + 9 + 9
COORDINATE_BYTES = 4 + 8 * 8 + 3 * 9
VOTE_BYTES = RECORD_BYTES + 2 + 10 + 2
DIGEST_ENTRY_BYTES = RECORD_BYTES + 2 + 4
SYNC_BYTES = 24  # two ends of the range, the flag, framing
FACTS_BYTES = 10 + 3 + 4 + 3 * 6 + 9  # ids, ages, numbers; names and tables are added
RTT_ROW_BYTES = 9


@lru_cache(maxsize=1 << 16)
def _facts_bytes(name: str, place: str, rows: int, placed: bool, more: int) -> int:
    text = len(name) + 2 + len(place) + 6
    return FACTS_BYTES + text + rows * (RTT_ROW_BYTES + 20) + placed * COORDINATE_BYTES + more


def facts_bytes(facts: Facts) -> int:
    placed = facts.coordinate is not None
    return _facts_bytes(facts.name, str(facts.domain), len(facts.rtts_ms), placed, len(facts.more))


def wire_bytes(message: Message) -> int:
    """Bytes that leave the sender's machine for `message`."""
    payload = _payload_bytes(message)
    if payload <= SEGMENT_BYTES:
        return payload + OVERHEAD_BYTES
    return payload + OVERHEAD_BYTES + (payload // SEGMENT_BYTES) * SEGMENT_OVERHEAD_BYTES


def _payload_bytes(message: Message) -> int:
    kind = type(message)
    if kind is Probe:
        return PROBE_BYTES
    if isinstance(message, Answer):
        return ANSWER_BYTES + (COORDINATE_BYTES if message.coordinate else 0)
    if isinstance(message, Vote):
        return VOTE_BYTES
    if isinstance(message, News):
        return len(message.records) * RECORD_BYTES + sum(map(facts_bytes, message.facts))
    assert isinstance(message, Sync)
    return (
        SYNC_BYTES
        + len(message.digest) * DIGEST_ENTRY_BYTES
        + sum(map(facts_bytes, message.facts))
        + len(message.wanted) * 10
    )
