"""The members of a view, and beside them the buckets that they serve, as places for copies."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from coordinator.places import place
from coordinator.types import Domain, Facts, Member, View
from multicloud.v1 import common_pb2

MEMBERS_REMEMBERED = 256  # Whose facts need not be read again at each look.


def with_buckets(view: View) -> View:
    """A bucket is there as long as its node is; it takes copies while it can be written."""
    found = {one.id: one for member in view.members.values() for one in buckets_of(member)}
    return replace(view, members={**view.members, **found}) if found else view


def buckets_of(member: Member) -> Iterator[Member]:
    facts = member.facts
    if facts is None:
        return
    for volume in _volumes(facts.more):
        name = place(member.id, volume.uuid)
        takes = volume.state == common_pb2.VOLUME_STATE_HEALTHY
        yield replace(
            member,
            record=replace(member.record, node=name),
            facts=Facts(
                node=name,
                generation=facts.generation,
                version=facts.version,
                name=f"{volume.bucket.uri} ({facts.name})",
                domain=Domain(volume.bucket.cloud, volume.bucket.region),
                draining=facts.draining,
                bytes_total=volume.bytes_total,
                bytes_free=volume.bytes_free if takes else 0,
                service_ms=facts.service_ms,
                more=facts.more,
                bucket=volume.bucket.uri,
            ),
        )


@lru_cache(MEMBERS_REMEMBERED)
def _volumes(said: bytes) -> Sequence[common_pb2.VolumeFacts]:
    """Those in buckets that were opened: before, nobody knows which volume it is."""
    volumes = common_pb2.NodeFacts.FromString(said).volumes
    return [one for one in volumes if one.bucket.uri and one.uuid != one.bucket.uri]
