"""Events on their way to a receiver that is real: in order, signed, none lost whoever is killed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodeagent.council.inmemory import InMemoryCouncil
from nodeagent.sinks.contract import PAUSES_S, pause_s
from nodeagent.sinks.outbox import Letter
from tests.sinks.ground import Half, Receiver, done, hook, receiving, submitted
from tests.support.nodes import free_ports


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def half(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Half]:
    one = Half("a", tmp_path / "a", InMemoryCouncil(), hook(receiver.url, tmp_path), set())
    await one.once()  # It begins now: what was before is not told.
    yield one
    await one.sink.close()
    one.outbox.close()


async def test_decisions_arrive_once_in_order_and_signed(half: Half, receiver: Receiver) -> None:
    await submitted(half.council, "j1")
    await half.once()
    await done(half.council, "j1")
    await half.once()
    await half.once()
    assert receiver.kinds == ["job.submitted", "job.done"]
    assert receiver.got[1]["data"]["dataset"] == "corpus"  # type: ignore[index]
    assert not receiver.forged
    assert half.standing.known("pager").sent == 2


async def test_a_redirect_is_a_failure_and_nobody_is_asked_there(
    half: Half, receiver: Receiver
) -> None:
    receiver.status = 302
    await submitted(half.council, "j1")
    await half.once()
    assert "302" in half.standing.known("pager").failing_why
    assert half.outbox.count("pager") == 1
    receiver.status = 204
    await half.once()
    assert receiver.asked == 1, "it is left alone until the pause is over"
    await half.hurried()
    assert receiver.kinds == ["job.submitted"]
    assert not half.standing.known("pager").failing_why


async def test_gone_disables_until_a_person_enables_it(half: Half, receiver: Receiver) -> None:
    receiver.status = 410
    await submitted(half.council, "j1")
    await half.once()
    receiver.status = 204
    await half.hurried()
    assert "410" in half.standing.known("pager").disabled_why
    assert receiver.asked == 1
    await half.standing.enable("pager")
    await half.once()
    assert receiver.kinds == ["job.submitted"]


async def test_a_receiver_that_is_down_loses_nothing(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    sink = hook(f"http://127.0.0.1:{port}/hook", tmp_path)
    half = Half("a", tmp_path / "a", InMemoryCouncil(), sink, set())
    await half.once()
    for number in range(5):
        await submitted(half.council, f"j{number}")
        await half.hurried()
    half.outbox.close()
    again = Half("a", tmp_path / "a", half.council, sink, set())  # Killed, and started again.
    async with receiving(port) as receiver:
        await again.once()
        assert [one["data"]["job"] for one in receiver.got] == [  # type: ignore[index]
            f"j{number}" for number in range(5)
        ]
    await sink.close()
    again.outbox.close()


async def test_another_node_goes_on_when_the_sender_is_killed(
    half: Half, receiver: Receiver, tmp_path: Path
) -> None:
    away: set[str] = set()
    other = Half("b", tmp_path / "b", half.council, hook(receiver.url, tmp_path), away)
    await submitted(half.council, "j1")
    await half.once()
    await other.once()
    assert receiver.kinds == ["job.submitted"], "two never send at the same time"
    await done(half.council, "j1")
    await half.collecting.look()
    (letter,) = half.outbox.waiting("pager", 0, 10)
    await half.sink.send(letter)  # And now it is killed: nobody knows that it was sent.
    await submitted(half.council, "j2")
    away.add("a")
    await other.once()
    ids = [one["id"] for one in receiver.got]
    assert receiver.kinds == ["job.submitted", "job.done", "job.done", "job.submitted"]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3
    await other.sink.close()
    other.outbox.close()


async def test_a_forged_letter_is_refused_by_the_receiver(half: Half, receiver: Receiver) -> None:
    (Path(half.folder).parent / "secret").write_text("whsec_" + "A" * 44)
    await submitted(half.council, "j1")
    await half.once()
    assert receiver.forged == 1
    assert "401" in half.standing.known("pager").failing_why


def test_pauses_grow_with_jitter_and_what_is_asked_for_is_kept() -> None:
    assert [pause_s(n, 0.5) for n in range(1, 9)] == [*PAUSES_S, PAUSES_S[-1]]
    assert pause_s(1, 0.0) == pytest.approx(0.8)
    assert pause_s(1, 1.0) == pytest.approx(1.2)
    assert pause_s(1, 0.5, 77.0) == 77.0


def test_a_letter_has_the_same_name_everywhere() -> None:
    assert Letter(b"\1\2", 0, "job.done", b"").name == "evt_0102"
