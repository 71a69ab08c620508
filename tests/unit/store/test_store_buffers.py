"""Memory for direct writes: bounded while it is used, and little of it kept afterwards."""

import gc

from nodeagent.memory import held_bytes
from nodeagent.store.local.sinks import BUFFER_BYTES, BUFFERS_PER_PUT, SETS_KEPT, Buffers

SET_BYTES = BUFFERS_PER_PUT * BUFFER_BYTES


def test_no_more_sets_are_in_use_than_there_may_be_and_all_may_be_again() -> None:
    buffers = Buffers(3)
    for _ in range(2):
        taken = [found for _ in range(4) if (found := buffers.take()) is not None]
        assert len(taken) == 3
        for one in taken:
            buffers.give_back(one)


def test_memory_of_sets_that_nobody_uses_goes_back_but_for_what_is_kept_for_the_next() -> None:
    buffers, before = Buffers(4), held_bytes()
    taken = [found for _ in range(4) if (found := buffers.take()) is not None]
    for views in taken:
        for view in views:
            view[:] = bytes(len(view))
    assert held_bytes() - before >= 4 * SET_BYTES
    while taken:
        buffers.give_back(taken.pop())
    del views, view
    gc.collect()
    assert held_bytes() - before < (SETS_KEPT + 1) * SET_BYTES
