"""The council's part of a node as the node has it: made of the node's own parts, and joined."""

from collections.abc import Callable
from random import Random

from coordinator.events import RemovalDecided
from coordinator.types import NodeId, View
from nodeagent.body import Body
from nodeagent.config.model import Config
from nodeagent.council.founding import Founding
from nodeagent.council.part import CouncilPart, Identity, kept_by
from nodeagent.council.proposing import Watcher
from nodeagent.council.removing import Removals
from nodeagent.council.restoring import BackupAdmin
from nodeagent.council.shown import Shown
from nodeagent.council.surroundings import Surroundings
from nodeagent.ops.decisions import Decisions
from nodeagent.rpc.peers import Peers
from nodeagent.rpc.roster import Roster


class NodeCouncil:
    def __init__(
        self,
        config: Callable[[], Config],
        body: Body,
        roster: Roster,
        peers: Peers,
        view: Callable[[], View],
        address_of: Callable[[NodeId], str],
        greet_all: Callable[[], None],
        watcher: Watcher,
        issued_unix_s: float,
    ) -> None:
        self._body, own = body, roster.own
        world = Surroundings(
            roster, peers, view, address_of, body.name_of, greet_all, self._say_volume
        )
        folder, node = body.folder, config().node
        founding = Founding(node.founder, issued_unix_s, lambda: _expects_others(config()))
        identity = Identity(own.id, folder.path, founding, folder.generation == 1)
        self.part = CouncilPart(
            identity,
            kept_by(identity),
            world,
            lambda: config().council,
            watcher,
            lambda why: body.events.add("council.changed", node=own.name, id=own.id, why=why),
            Random(),
        )
        self.service, self.run, self.close = self.part.service, self.part.run, self.part.close
        self.shown = Shown(self.part)
        self.backups = BackupAdmin(node.cluster, self.part, self.shown)

    def removals(
        self,
        decisions: Decisions,
        tell: Callable[[RemovalDecided], None],
        on_learned: Callable[[], None],
    ) -> Removals:
        return Removals(self.part, decisions, self._body.name_of, tell, on_learned)

    def epoch(self) -> dict[tuple[str, ...], float]:
        """For the metrics."""
        return {(): float(self.part.copy.epoch.number)}

    def _say_volume(self, volume: str) -> None:
        self._body.say(lambda own: setattr(own, "council_volume", volume))


def _expects_others(config: Config) -> bool:
    own = {config.listen.api, *(one.api for one in config.advertise)}
    return any(address not in own for address in config.join.peers)
