"""A far link as TCP meets it: cubic connections, random loss, one bottleneck for all of them."""

from dataclasses import dataclass, field
from random import Random

PACKET_BYTES = 1448
CUBIC_C, CUBIC_BETA = 0.4, 0.7


@dataclass
class Connection:
    window: float = 10.0  # Packets.
    peak: float = 0.0
    since_s: float = 0.0
    starting: bool = True

    def round(self, passed_s: float, lost: bool) -> None:
        if lost:
            self.peak, self.since_s, self.starting = self.window, 0.0, False
            self.window = max(2.0, self.window * CUBIC_BETA)
            return
        if self.starting:
            self.window *= 2
            return
        self.since_s += passed_s
        k_s = (self.peak * (1 - CUBIC_BETA) / CUBIC_C) ** (1 / 3)
        self.window = max(self.window, CUBIC_C * (self.since_s - k_s) ** 3 + self.peak)


@dataclass
class Link:
    round_s: float
    loss: float  # Share of packets lost on the way, whatever is sent.
    bytes_per_s: float  # Of the bottleneck.
    buffer_packets: float = 3000.0  # Of one connection's socket: what its window cannot exceed.
    chance: Random = field(default_factory=lambda: Random(1))
    connections: list[Connection] = field(default_factory=list)

    def goodput(self, lanes: int, for_s: float) -> float:
        """Of so many connections over that time; those that stay open keep their windows."""
        while len(self.connections) < lanes:
            self.connections.append(Connection())
        del self.connections[lanes:]
        rounds = max(1, round(for_s / self.round_s))
        return sum(self._round() for _ in range(rounds)) / (rounds * self.round_s)

    def _round(self) -> float:
        most = self.bytes_per_s * self.round_s / PACKET_BYTES
        sent = [min(c.window, self.buffer_packets) for c in self.connections]
        crowded = max(0.0, 1 - most / max(1.0, sum(sent)))
        for connection, packets in zip(self.connections, sent, strict=True):
            dropped = 1 - (1 - self.loss) ** packets
            lost = self.chance.random() < dropped or (
                crowded > 0 and self.chance.random() < min(1.0, crowded * packets)
            )
            connection.round(self.round_s, lost)
            connection.window = min(connection.window, self.buffer_packets)
        return min(most, sum(sent)) * PACKET_BYTES
