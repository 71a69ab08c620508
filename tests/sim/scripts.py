"""Scenarios as text: commands, four dashes, and what the brains then told. A change is a diff.

cluster 5 seed=1 loss=0 regions=2     run 10            kill n4     silence n4    restart n4 [lost]
pause n4 2.5     split n0 n1          one-way n0 n1     heal        leave n4      remove n4 by n0
views [n0 …]                          how nodes see each other, those who see alike in one line
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from coordinator.brain import Brain
from coordinator.types import Knowing
from tests.sim import faults
from tests.sim.hosts import Host
from tests.sim.network import domains
from tests.sim.scene import SETTLE_S
from tests.sim.world import World

DASHES = "----"


def rewritten(text: str) -> str:
    """The script with the output that it has now; equal to `text` where nothing changed."""
    stage = Stage()
    blocks = []
    for block in text.strip("\n").split("\n\n"):
        commands = block.partition(f"\n{DASHES}")[0]
        if all(line.startswith("#") for line in commands.splitlines()):
            blocks.append(commands)
            continue
        output = [line for command in commands.splitlines() for line in stage.do(command)]
        blocks.append("\n".join([commands, DASHES, *output]))
    return "\n\n".join(blocks) + "\n"


class Stage:
    """One world and the commands that move it."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._verbs: dict[str, Callable[[World, list[str]], None]] = {
            "kill": lambda world, words: faults.kill(world, self._host(words[0])),
            "silence": lambda world, words: faults.silence(world, self._host(words[0])),
            "restart": self._restart,
            "pause": lambda world, words: world.pause(self._host(words[0]), float(words[1])),
            "split": lambda world, words: faults.split(world, [self._host(w) for w in words]),
            "one-way": lambda world, words: faults.one_way(world, *map(self._host, words)),
            "heal": lambda world, _: faults.heal(world),
            "leave": lambda world, words: faults.leave(world, self._host(words[0])),
            "remove": lambda world, words: faults.remove(
                world, self._host(words[2]), self._host(words[0])
            ),
        }

    def do(self, command: str) -> Iterator[str]:
        verb, *words = command.split()
        if verb == "#":
            return
        if verb == "cluster":
            self._begin(words)
        elif verb == "run":
            yield from self._run(float(words[0]))
        elif verb == "views":
            yield from self._views([self._host(word) for word in words])
        else:
            self._verbs[verb](self.world, words)

    @property
    def world(self) -> World:
        assert self._world is not None, "a script begins with `cluster`"
        return self._world

    def _host(self, name: str) -> Host:
        return next(host for host in self.world.hosts if host.name == name)

    def _begin(self, words: list[str]) -> None:
        options = dict(word.split("=") for word in words[1:])
        standing = domains(int(words[0]), int(options.get("regions", "0")))
        seed, loss = int(options.get("seed", "1")), float(options.get("loss", "0"))
        self._world = World(seed, standing, Brain, loss=loss)
        self._world.boot()
        self._world.run(SETTLE_S)

    def _restart(self, world: World, words: list[str]) -> None:
        faults.restart(world, self._host(words[0]), lost_state="lost" in words)

    def _run(self, seconds: float) -> Iterator[str]:
        """What was told meanwhile: of whom, by how many, from when to when."""
        world, start_s = self.world, self.world.now_s
        seen = len(world.told)
        world.run(seconds)
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        for told in world.told[seen:]:
            name = world.by_id[told.subject].name
            times[told.what, name].append(told.at_s - start_s)
        for (what, name), found in times.items():
            when = (
                f"{min(found):.1f} s" if len(found) == 1 else f"{min(found):.1f}-{max(found):.1f} s"
            )
            yield f"{what} {name}: told by {len(found)}, {when}"
        if not times:
            yield "nothing"

    def _views(self, hosts: list[Host]) -> Iterator[str]:
        alike: dict[str, list[str]] = defaultdict(list)
        for host in hosts or self.world.running:
            view = self.world.view(host)
            named = sorted(
                (self.world.by_id[node].name, member) for node, member in view.members.items()
            )
            others = [
                f"{name} {member.knowing.name.lower()}"
                for name, member in named
                if member.knowing is not Knowing.ALIVE
            ]
            alive = sum(member.knowing is Knowing.ALIVE for _, member in named)
            frozen = ", frozen" if view.frozen else ""
            alike[f"{alive} alive{''.join(f', {other}' for other in others)}{frozen}"].append(
                host.name
            )
        for seen, names in alike.items():
            yield f"{' '.join(names)}: {seen}"
