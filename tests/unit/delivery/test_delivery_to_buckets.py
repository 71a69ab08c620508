"""A delivery that wants a copy in a bucket: fed by who has the chunk, waited for by safe alone."""

from dataclasses import replace

from coordinator.policy import ANY_BUCKET, Policy
from nodeagent.core.delivery_words import Copy, Push, Send
from tests.support.worlds import NEAR_VIRGINIA, spread_out
from tests.unit.coordinator.test_policy_bucket_copy import bucket
from tests.unit.delivery.cluster_in_play import Play

SIX = spread_out(NEAR_VIRGINIA, "ab")
WANTED = replace(Policy(), bucket=ANY_BUCKET)


def started() -> tuple[Play, str]:
    there = bucket(SIX[0])
    play = Play([*SIX, there], policy=WANTED)
    (send,) = play.begin()
    assert isinstance(send, Send)
    assert there.id not in {node for branch in send.branches for node in branch.nodes()}
    return play, there.id


def test_a_bucket_is_fed_by_the_first_who_has_the_chunk_and_safe_waits_for_it() -> None:
    play, there = started()
    nodes = [node for node in play.targets if node != there]
    (push,) = play.tell(Copy(nodes[0], "v0"))
    assert isinstance(push, Push)
    assert push.holder == nodes[0]
    assert [node for branch in push.branches for node in branch.nodes()] == [there]
    acked = play.tell(Copy(nodes[1], "v1"), Copy(nodes[2], "v2"))
    assert [type(one).__name__ for one in acked] == ["Acked"]
    assert not play.delivery.over
    assert [type(one).__name__ for one in play.tell(Copy(there, "in-a-bucket"))] == ["Safe"]


def test_a_cloud_that_takes_its_time_is_waited_for() -> None:
    play, there = started()
    nodes = [node for node in play.targets if node != there]
    play.tell(*(Copy(node, f"v-{node}") for node in nodes))
    play.now_s += 3600.0
    assert play.delivery.wake_s is None
    assert play.tell() == []
    assert [type(one).__name__ for one in play.tell(Copy(there, "in-a-bucket"))] == ["Safe"]
