"""A real node tells what its council decided to a real receiver, by its configuration."""

import base64
from pathlib import Path

import pytest

from multicloud.v1 import insight_pb2, records_pb2
from tests.sinks.ground import KEY, now_ms, receiving
from tests.support.nodes import make_place, running, until
from tests.support.people import People


@pytest.mark.flaky(reruns=2)
async def test_a_node_tells_of_a_version_and_not_again_after_a_restart(tmp_path: Path) -> None:
    secret = tmp_path / "hook"
    secret.write_text("whsec_" + base64.b64encode(KEY).decode())
    secret.chmod(0o600)
    async with receiving() as receiver:
        place = make_place(People(tmp_path / "authority"), tmp_path, 1)
        with place.config.open("a") as file:
            file.write(
                f'[[events.sinks]]\nname = "pager"\nkind = "webhook"\nurl = "{receiver.url}"\n'
                f'secret = "file:{secret}"\nprivate = true\nkinds = ["version.*"]\n'
            )
        async with running(place) as one:
            council, standing = one.node.council.part.council, one.node.sinks.standing
            await until(lambda: standing.known("pager").sender == place.id, 20)
            record = records_pb2.VersionRecord(name="corpus", version="1", created_unix_ms=now_ms())
            value = record.SerializeToString()
            await council.compare_and_set("version/corpus/1", 0, value, "made")
            await until(lambda: standing.known("pager").sent == 1, 20)
        async with running(place) as one:
            council, standing = one.node.council.part.council, one.node.sinks.standing
            record.removed_unix_ms = now_ms()
            value = record.SerializeToString()
            await council.compare_and_set("version/corpus/1", 1, value, "removed")
            await until(lambda: standing.known("pager").sent == 2, 20)
            answer = await one.node.sinks.service.list_sinks(insight_pb2.ListSinksRequest(), None)  # type: ignore[arg-type]
            (shown,) = answer.sinks
            assert (shown.sender, shown.sent, shown.waiting) == (place.id, 2, 0)
        assert receiver.kinds == ["version.decided", "version.removed"]
        assert not receiver.forged
