"""A trace as a tree: spans below their parents, each with the part of the time that was its own.

Clocks of nodes differ: what would begin before its parent is moved to where the parent begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from multicloud.v1 import insight_pb2

WAITED = "waited_s"
BUSY = "busy_s"
AROUND = ("ChunkService/",)  # Calls around spans that say more.
MANY = 3  # Leaves of one name below one span; more of them are drawn as one.


@dataclass(slots=True)
class Twig:
    span: insight_pb2.Span
    start_ns: int = 0  # As it is drawn.
    children: list["Twig"] = field(default_factory=list)
    times: int = 1  # So many alike are drawn as this one.

    @property
    def took_ns(self) -> int:
        return max(0, self.span.end_unix_ns - self.span.start_unix_ns)

    @property
    def waited_share(self) -> float:
        """Of its time, how much it waited for others; 0 where nobody knows."""
        took_s = self.took_ns / 1e9
        facts = self.span.attributes
        if not took_s:
            return 0.0
        if BUSY in facts:
            return min(1.0, max(0.0, 1.0 - float(facts[BUSY]) / took_s))
        return min(1.0, float(facts.get(WAITED, 0.0)) / took_s)


def trees(spans: Sequence[insight_pb2.Span]) -> list[Twig]:
    """One for each root: a span without a parent, or whose parent no node remembers."""
    twigs = {span.span_id: Twig(span, span.start_unix_ns) for span in spans}
    roots = []
    for twig in sorted(twigs.values(), key=lambda one: one.span.start_unix_ns):
        parent = twigs.get(twig.span.parent_id)
        if parent is None or parent is twig:
            roots.append(twig)
        else:
            parent.children.append(twig)
    roots = [found for root in roots for found in _without_calls(root)]
    for root in roots:
        _settle(root)
    return roots


def _without_calls(twig: Twig) -> list[Twig]:
    twig.children = [found for child in twig.children for found in _without_calls(child)]
    if twig.span.name.startswith(AROUND) and twig.children and not twig.span.error:
        return twig.children
    return [twig]


def _settle(twig: Twig) -> None:
    for child in twig.children:
        if child.span.node != twig.span.node:
            late_ns = twig.took_ns - child.took_ns  # As late as it may begin to end in time.
            begins_ns = child.span.start_unix_ns - twig.span.start_unix_ns
            child.start_ns = twig.start_ns + min(max(0, begins_ns), max(0, late_ns))
        else:
            shift_ns = twig.start_ns - twig.span.start_unix_ns
            child.start_ns = child.span.start_unix_ns + shift_ns
        _settle(child)
    twig.children = sorted(_few(twig.children), key=lambda one: (one.start_ns, one.span.name))


def _few(children: list[Twig]) -> Iterator[Twig]:
    """Of many leaves alike the longest is shown, and how many there are."""
    alike: dict[str, list[Twig]] = {}
    for child in children:
        if child.children or child.span.error:
            yield child
        else:
            alike.setdefault(child.span.name, []).append(child)
    for found in alike.values():
        if len(found) > MANY:
            longest = max(found, key=lambda one: one.took_ns)
            longest.times = len(found)
            yield longest
        else:
            yield from found


def walk(root: Twig) -> Iterator[tuple[str, Twig]]:
    """Every span with the branches that are drawn before its name."""
    yield "", root
    yield from _below(root, "")


def _below(twig: Twig, indent: str) -> Iterator[tuple[str, Twig]]:
    for place, child in enumerate(twig.children):
        last = place == len(twig.children) - 1
        yield indent + ("└ " if last else "├ "), child
        yield from _below(child, indent + ("  " if last else "│ "))


def end_ns(root: Twig) -> int:
    return max(twig.start_ns + twig.took_ns for _, twig in walk(root))
