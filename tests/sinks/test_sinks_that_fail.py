"""Telling others may fail in any way; the daemon goes on, and tries again."""

from nodeagent.sinks.making import lasting


async def test_what_ends_a_sink_ends_nothing_else_and_is_tried_again() -> None:
    tries: list[Exception] = [ImportError("no aiokafka"), OSError("no such ca_file")]

    async def work() -> None:
        if tries:
            raise tries.pop()

    await lasting("kafka", work, again_s=0.0)
    assert tries == []
