"""Whether what clients were told of a register is one story: some order of all operations, each at
one moment between its begin and its end, in which every answer is true.

After Wing and Gong, with Lowe's memory of where the search has been. Whoever was told nothing may
have changed the register at any time since, or never.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NEVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class Told:
    """One operation on a register. A change names the version it expected; a look does not.

    `version` and `value` are what the answer said; a change that was not made was told what stands.
    """

    key: str
    begun_s: float
    ended_s: float = NEVER_S  # Nobody was told how it ended.
    version: int = 0
    value: bytes = b""
    expected: int | None = None
    wanted: bytes = b""
    made: bool = False  # The answer said that this very change was made, as that version.


State = tuple[int, bytes]  # Version and value.
UNSET: State = (0, b"")


def untrue(history: Iterable[Told]) -> list[str]:
    """The registers whose operations fit no order."""
    by_key: dict[str, list[Told]] = defaultdict(list)
    for told in history:
        by_key[told.key].append(told)
    return [
        f"{key}: {len(of_key)} operations are no one story"
        for key, of_key in sorted(by_key.items())
        if not is_one_story(of_key)
    ]


def is_one_story(history: Sequence[Told]) -> bool:
    """Of one register."""
    told = sorted(history, key=lambda each: each.begun_s)
    answered = sum(1 << place for place, each in enumerate(told) if each.ended_s < NEVER_S)
    open_ = [(0, UNSET)]
    seen = set(open_)
    while open_:
        done, state = open_.pop()
        if done & answered == answered:
            return True
        for place in _next(told, done):
            for after in _after(told[place], state):
                step = done | 1 << place, after
                if step not in seen:
                    seen.add(step)
                    open_.append(step)
    return False


def _next(told: Sequence[Told], done: int) -> list[int]:
    """Those that may come first of all that are left: begun before any of them had ended."""
    first_end_s = NEVER_S
    found = []
    for place, each in enumerate(told):
        if each.begun_s > first_end_s:
            break
        if not done >> place & 1:
            found.append(place)
            first_end_s = min(first_end_s, each.ended_s)
    return [place for place in found if told[place].begun_s <= first_end_s]


def _after(told: Told, state: State) -> list[State]:
    """What the register holds after it; nothing when the answer would have been a lie."""
    version, _ = state
    if told.ended_s == NEVER_S:
        return [(version + 1, told.wanted)] if told.expected == version else []
    if told.made:
        fits = told.expected in (None, version) and told.version == version + 1
        return [(told.version, told.wanted)] if fits else []
    return [state] if (told.version, told.value) == state else []
