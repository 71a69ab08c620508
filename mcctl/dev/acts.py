"""The demonstration's acts about the coordinator: who is there, how far, chosen, lost and back."""

import asyncio
import time
from collections.abc import Mapping

from mcctl import place, reach, show
from mcctl.dev.network import Pair
from mcctl.dev.stage import Stage, of_views
from mcctl.nodes import table
from mcctl.rtt import matrix, pair_fields
from mcctl.show import Table
from multicloud.v1 import admin_pb2, job_pb2

# Goals are told beside what was found; the bounds have room for a busy machine with few cores.
DOWN_GOAL_S, DOWN_S_MAX = 1.0, 5.0
DEAD_GOAL_S, DEAD_S_MAX = 5.0, 15.0
HEAL_GOAL_S, HEAL_S_MAX = 15.0, 30.0
RTT_SHARE, RTT_MS = 0.10, 2.0  # Whichever allows more.
RTT_SLACK_MS = 3.0  # What a machine may add whose cores are all busy.
RTT_S_MAX = 20.0
LOOK_AGAIN_S = 0.5
SIZE_BYTES = 64 << 20


async def members(stage: Stage) -> None:
    show.note("Every node has found, authenticated and measured every other one:")
    seen = await reach.measured(await reach.nodes(stage.client))
    show.note(table([one.fields for one in seen]))
    alive = [one.fields["name"] for one in seen if one.fields["state"] == "alive"]
    clouds = {one.fields["cloud"] for one in seen}
    said = f"{len(alive)} of {len(stage.names)} are alive, in {len(clouds)} clouds"
    stage.checks.add("members", sorted(alive) == sorted(stage.names), said)


async def distances(stage: Stage) -> None:
    show.note("Round-trip times, in milliseconds, and the delays that were set:")
    delay_ms = {(link["from"], link["to"]): link["delay_ms"] for link in stage.described["links"]}
    set_ms = {(a, b): ms + delay_ms[b, a] for (a, b), ms in delay_ms.items()}
    begun_s, pairs = time.monotonic(), await _rtts(stage)
    while _off(pairs, set_ms, 0) and time.monotonic() - begun_s < RTT_S_MAX:
        await asyncio.sleep(LOOK_AGAIN_S)
        pairs = await _rtts(stage)
    show.note(matrix([pair_fields(pair) for pair in pairs.values()]))
    show.note(_by_regions(stage, pairs, set_ms))
    late, off = _off(pairs, set_ms, 0), _off(pairs, set_ms, RTT_SLACK_MS)
    stage.checks.figure(
        "rtt_off_ms_max", max((abs(p.ms - set_ms[at]) for at, p in pairs.items()), default=0)
    )
    rule = f"within {RTT_SHARE:.0%} or {RTT_MS:g} ms of what is set"
    if late and not off:
        rule += f", with {RTT_SLACK_MS:g} ms of slack for this busy machine"
    said = "; ".join(off) or f"all {len(pairs)} ways are measured {rule}"
    stage.checks.add("distances", not off and len(pairs) == len(set_ms), said)


async def _rtts(stage: Stage) -> dict[Pair, admin_pb2.RttPair]:
    answer = await stage.client.admin.GetRtt(admin_pb2.GetRttRequest())
    return {(getattr(pair, "from"), pair.to): pair for pair in answer.pairs}


def _off(
    pairs: Mapping[Pair, admin_pb2.RttPair], set_ms: Mapping[Pair, float], slack_ms: float
) -> list[str]:
    """The ways that are not measured, or not as they were set."""
    return [
        f"{a} to {b}: {pair.ms:.1f} ms, set {set_ms[a, b]:.1f} ms"
        for (a, b), pair in pairs.items()
        if not pair.measured
        or abs(pair.ms - set_ms[a, b]) > max(RTT_SHARE * set_ms[a, b], RTT_MS) + slack_ms
    ]


def _by_regions(
    stage: Stage, pairs: Mapping[Pair, admin_pb2.RttPair], set_ms: Mapping[Pair, float]
) -> Table:
    at = {node["name"]: f"{node['cloud']}/{node['region']}" for node in stage.nodes}
    found: dict[tuple[str, str], list[Pair]] = {}
    for a, b in pairs:
        ends = sorted((at[a], at[b]))
        found.setdefault((ends[0], ends[1]), []).append((a, b))
    rows = []
    for (here, there), ways in sorted(found.items()):
        ms = sorted(pairs[way].ms for way in ways)
        shown = f"{ms[0]:.1f}" if ms[-1] - ms[0] < 0.1 else f"{ms[0]:.1f} to {ms[-1]:.1f}"
        rows.append([here, there, f"{set_ms[ways[0]]:.1f}", shown])
    return Table(("FROM", "TO", ">SET MS", ">MEASURED MS"), rows)


async def election(stage: Stage) -> None:
    source = stage.names[0]
    show.note(f"Who would get three copies of a 64 MiB chunk that {source} has, and why:")
    found = await _placed(stage, explain=True)
    at = {node["name"]: node for node in stage.nodes}
    zones = {(at[n]["cloud"], at[n]["region"], at[n]["zone"]) for n in found.targets}
    clouds = {at[n]["cloud"] for n in found.targets}
    said = f"{', '.join(found.targets)}: {len(zones)} zones in {len(clouds)} clouds"
    whole = len(zones) == len(found.targets) == place.REPLICAS and len(clouds) > 1
    reasons = [c for c in found.candidates if c.reason]
    stage.checks.add("election", whole and len(reasons) == len(stage.names), said)


async def _placed(stage: Stage, *, explain: bool = False) -> admin_pb2.ExplainPlacementResponse:
    source = stage.names[0]
    request = admin_pb2.ExplainPlacementRequest(
        from_node=source, size_bytes=SIZE_BYTES, policy=job_pb2.Policy(replicas=place.REPLICAS)
    )
    answer = await (await stage.client.to(source)).admin.ExplainPlacement(request)
    if explain:
        for block in place.screen(place.fields(answer), SIZE_BYTES, explain=True):
            show.note(block)
    return answer


async def kill(stage: Stage) -> None:
    victim = stage.names[2]
    await down(stage, victim)
    await back(stage, victim)


async def down(stage: Stage, victim: str) -> float:
    """Killed, and known to be gone; when it was."""
    others = stage.others(victim)
    show.note(f"{victim} is killed, as a power cut does it:")
    begun_s = await stage.do("kill", node=victim)
    down_s = await stage.known(others, "node.down", victim, begun_s)
    stage.checks.figure("detect_s", down_s)
    said = f"all {len(others)} others know after {down_s:.2f} s (goal {DOWN_GOAL_S:g} s)"
    stage.checks.add("down", down_s <= DOWN_S_MAX, said, down_s)
    dead_s = await stage.known(others, "node.dead", victim, begun_s)
    stage.checks.figure("dead_s", dead_s)
    said = f"agreed on after {dead_s:.2f} s (goal {DEAD_GOAL_S:g} s)"
    stage.checks.add("dead", dead_s <= DEAD_S_MAX, said, dead_s)
    answer = await _placed(stage)
    (why,) = [c.reason for c in answer.candidates if c.node == victim]
    said = f"{', '.join(answer.targets)}; {victim} is not: {why}"
    stage.checks.add("chosen now", victim not in answer.targets and len(answer.targets) == 3, said)
    return begun_s


async def back(stage: Stage, victim: str) -> None:
    await stage.do("start", node=victim)
    took_s = await stage.all_well()
    stage.checks.add("start", True, f"all see it alive again after {took_s:.1f} s", took_s)


async def freeze(stage: Stage) -> None:
    victim = stage.names[-1]
    others = stage.others(victim)
    show.note(f"{victim} stands still: its machine answers, and nothing comes from it:")
    begun_s = await stage.do("pause", node=victim)
    suspect_s = await stage.known(others, "node.suspect", victim, begun_s)
    said = f"all others stop choosing it after {suspect_s:.2f} s"
    stage.checks.add("suspect", suspect_s <= DOWN_S_MAX, said, suspect_s)
    dead_s = await stage.known(others, "node.dead", victim, begun_s)
    stage.checks.figure("freeze_dead_s", dead_s)
    said = f"all others agree after {dead_s:.2f} s (goal {DEAD_GOAL_S:g} s)"
    stage.checks.add("silent", dead_s <= DEAD_S_MAX, said, dead_s)
    begun_s = await stage.do("resume", node=victim)
    took_s = await stage.all_well()
    told = {event for event, of, _ in await stage.told(victim, begun_s) if of == victim}
    said = f"it refutes its death, and all see it alive after {took_s:.1f} s"
    stage.checks.add("goes on", "node.refuted" in told, said, took_s)


async def cut(stage: Stage) -> None:
    cloud = stage.nodes[-1]["cloud"]
    inside = [node["name"] for node in stage.nodes if node["cloud"] == cloud]
    outside = stage.others(*inside)
    show.note(f"{cloud} is cut off from everybody, and goes on by itself:")
    begun_s = await stage.do("cut", a=cloud, b=None)
    took_s = max([await stage.known(outside, "node.dead", name, begun_s) for name in inside])
    said = f"{', '.join(outside)} agree that they have lost {cloud} after {took_s:.1f} s"
    stage.checks.add("cut", took_s <= DEAD_S_MAX, said, took_s)
    what = f"{cloud} sees the others gone, and its own alive"
    await stage.until(inside, what, lambda views: _lost(views, outside))
    views = await stage.views(stage.names)
    show.note(of_views(views, stage.names))
    together = [
        *((a, b) for a in inside for b in inside),
        *((a, b) for a in outside for b in outside),
    ]
    wrong = [f"{a} sees {b} {views[a][b]}" for a, b in together if views[a][b] != "alive"]
    stage.checks.add("no false death", not wrong, "; ".join(wrong) or "who hears a node keeps it")
    status = await (await stage.client.to(outside[0])).admin.GetStatus(admin_pb2.GetStatusRequest())
    frozen = [p.what for p in status.problems if p.code == "CLUSTER_FROZEN"]
    stage.checks.add("nothing is copied", bool(frozen), next(iter(frozen), "it is not frozen"))
    await _heal(stage, begun_s)


def _lost(views: Mapping[str, Mapping[str, str]], gone: list[str]) -> bool:
    return all(view[name] in ("dead", "unreachable") for view in views.values() for name in gone)


async def _heal(stage: Stage, cut_s: float) -> None:
    await stage.do("heal")
    took_s = await stage.all_well()
    stage.checks.figure("heal_s", took_s)
    said = f"all views are equal {took_s:.1f} s after (goal {HEAL_GOAL_S:g} s)"
    stage.checks.add("heal", took_s <= HEAL_S_MAX, said, took_s)
    told = [event for name in stage.names for event in await stage.told(name, cut_s)]
    gone = sorted({of for event, of, _ in told if event == "node.gone"})
    said = f"begun for {', '.join(gone)}" if gone else "no copy was to be made anew meanwhile"
    stage.checks.add("no repair", not gone, said)
