"""Agents of HashiCorp Serf in a network of their own, which this process has been put into.

    unshare --map-root-user --net python -m tests.bench.agents COUNT KILLS STOPS REST_S

Prints figures in JSON. What an agent knows is taken from its own log, stamped as a line arrives.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import psutil

from tests.bench import cost

PORT, RPC_PORT = 7946, 7373
FACT_S_MAX, POLL_S = 90.0, 0.01
SETTLE_S = 3.0
_EVENT = re.compile(r"EventMember(Join|Failed): (n\d+)")


class Agent:
    def __init__(self, number: int) -> None:
        self.name = f"n{number}"
        self.seen: list[tuple[str, str, float]] = []  # "Failed", whom, and when.
        self._command = (
            *("serf", "agent", "-node", self.name, "-profile", "lan"),
            *("-bind", f"127.0.0.1:{PORT + number}"),
            *("-rpc-addr", f"127.0.0.1:{RPC_PORT - number}"),
            *("-retry-join", f"127.0.0.1:{PORT + (number == 0)}", "-retry-interval", "1s"),
        )
        self.start()

    def start(self) -> None:
        self.seen.clear()
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _EVENT.search(line):
                self.seen.append((found[1], found[2], time.monotonic()))

    def knows(self, what: str, whom: str, since_s: float = 0.0) -> float | None:
        return next((s for w, n, s in self.seen if (w, n) == (what, whom) and s >= since_s), None)


def main(count: int, kills: int, stops: int, rest_s: float) -> dict[str, Any]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    agents = [Agent(number) for number in range(count)]
    try:
        _until(lambda: all(a.knows("Join", b.name) for a in agents for b in agents))
        time.sleep(SETTLE_S)
        found = _rest(agents, rest_s)
        found["killed_s"] = [_killed(agents, a) for a in islice(cycle(agents[1:]), kills)]
        found["silent_s"] = [_silent(agents, a) for a in islice(cycle(agents[1:]), stops)]
        return found
    finally:
        for agent in agents:
            agent.process.kill()
            agent.process.wait()


def _rest(agents: list[Agent], rest_s: float) -> dict[str, Any]:
    pids = [agent.process.pid for agent in agents]
    before, used = _sent(), [cost.cpu_s(pid) for pid in pids]
    time.sleep(rest_s)
    after, held = _sent(), [cost.holding(pid) for pid in pids]
    return {
        "cpu_percent": [
            100 * (cost.cpu_s(pid) - s) / rest_s for pid, s in zip(pids, used, strict=True)
        ],
        "rss_mib": [h.rss_mib for h in held],
        "pss_mib": [h.pss_mib for h in held],
        "bytes_per_s": (after[0] - before[0]) / rest_s / len(agents),
        "packets_per_s": (after[1] - before[1]) / rest_s / len(agents),
    }


def _sent() -> tuple[int, int]:
    """Bytes and packets; this network has nothing but the agents."""
    counters = psutil.net_io_counters(pernic=True)["lo"]
    return counters.bytes_sent, counters.packets_sent


def _killed(agents: list[Agent], victim: Agent) -> float:
    begun_s = time.monotonic()
    victim.process.kill()
    victim.process.wait()
    took_s = _all_know(agents, victim, begun_s)
    again_s = time.monotonic()
    victim.start()
    _until(lambda: all(victim.knows("Join", a.name) for a in agents))
    _until(lambda: _joined(agents, victim, again_s))
    time.sleep(SETTLE_S)
    return took_s


def _silent(agents: list[Agent], victim: Agent) -> float:
    begun_s = time.monotonic()
    os.kill(victim.process.pid, signal.SIGSTOP)
    took_s = _all_know(agents, victim, begun_s)
    again_s = time.monotonic()
    os.kill(victim.process.pid, signal.SIGCONT)
    _until(lambda: _joined(agents, victim, again_s))
    time.sleep(SETTLE_S)
    return took_s


def _all_know(agents: list[Agent], victim: Agent, begun_s: float) -> float:
    others = [a for a in agents if a is not victim]
    _until(lambda: all(a.knows("Failed", victim.name, begun_s) for a in others))
    return max(a.knows("Failed", victim.name, begun_s) or begun_s for a in others) - begun_s


def _joined(agents: list[Agent], victim: Agent, since_s: float) -> bool:
    return all(a.knows("Join", victim.name, since_s) for a in agents if a is not victim)


def _until(fact: Callable[[], bool]) -> None:
    end_s = time.monotonic() + FACT_S_MAX
    while not fact():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not so within {FACT_S_MAX:g} s")
        time.sleep(POLL_S)


if __name__ == "__main__":
    agents_, kills_, stops_, rest_s_ = (int(word) for word in sys.argv[1:])
    sys.stdout.write(json.dumps(main(agents_, kills_, stops_, rest_s_)) + "\n")
