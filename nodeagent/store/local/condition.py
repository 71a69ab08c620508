"""What a volume may still be used for, and how much room it has left.

States only get worse until a restart, but for FULL, which ends when there is room again.
"""

from threading import Lock

from multicloud.errors import McError
from nodeagent.store import refusals
from nodeagent.store.contract import VolumeState
from nodeagent.store.local.blame import Blame, blame, words
from nodeagent.store.local.files import Files, Room
from nodeagent.store.observer import StoreObserver

RESERVE_SHARE, RESERVE_SHARE_MAX = 0.05, 0.2
INODES_FREE_MIN = 8


def reserve_of(bytes_total: int, option_bytes: int) -> int:
    """What puts leave free: 5 % or the option, the larger; never more than a fifth of the disk."""
    wanted = max(int(bytes_total * RESERVE_SHARE), option_bytes)
    return min(wanted, int(bytes_total * RESERVE_SHARE_MAX))


class Condition:
    def __init__(
        self, volume: str, files: Files, folder: str, reserve_bytes: int, observer: StoreObserver
    ) -> None:
        self.volume = volume
        self._files = files
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._observer = observer
        self._lock = Lock()
        self._state = VolumeState.HEALTHY
        self._why = ""
        self._said_full = False  # The disk refused although it seemed to have room: a quota.
        self._promised_bytes = 0  # To puts that have no blocks yet.
        self._room = Room(0, 0, 0, 0)

    @property
    def state(self) -> VolumeState:
        if self._state is VolumeState.HEALTHY and self._full_why():
            return VolumeState.FULL
        return self._state

    @property
    def why(self) -> str:
        return self._why or self._full_why()

    @property
    def bytes_total(self) -> int:
        return self._room.bytes_total

    @property
    def bytes_free(self) -> int:
        """What may still be put here."""
        reserve = reserve_of(self._room.bytes_total, self._reserve_bytes)
        if self._said_full or self._few_inodes():
            return 0
        return max(0, self._room.bytes_free - reserve - self._promised_bytes)

    def look(self) -> None:
        """Asks the disk how much room it has."""
        try:
            self._room = self._files.room(self._folder)
        except OSError as error:
            self.judge(error, "its room cannot be asked")
        self._said_full = False

    def promise(self, size_bytes: int) -> None:
        """Room for a put; NO_ROOM when there is not so much."""
        self.check_writable()
        with self._lock:
            free = self.bytes_free
            if free >= size_bytes:
                self._promised_bytes += size_bytes
                return
        why = self._full_why() or f"has room for {free} bytes, and {size_bytes} are asked for"
        raise refusals.no_room(self.volume, why)

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._promised_bytes -= size_bytes

    def check_writable(self) -> None:
        refused = refusals.unwritable(self.volume, self._state, self._why)
        if refused is not None:
            raise refused

    @property
    def is_writable(self) -> bool:
        return self._state is VolumeState.HEALTHY

    def fail(self, why: str) -> McError:
        """From now on nothing is written here; the first reason stays."""
        return self._worsen(VolumeState.FAILED, why)

    def judge(self, error: OSError, what: str) -> McError:
        """A call that writes failed: what it means for the volume, and for who asked."""
        why = f"{what}: {words(error)}"
        kind = blame(error)
        if kind is Blame.FULL:
            self._count("full")
            self._said_full = True
            return refusals.no_room(self.volume, f"is full ({why})")
        if kind is Blame.READ_ONLY or kind is Blame.FORBIDDEN:
            return self._worsen(VolumeState.READ_ONLY, why)
        if kind is Blame.BUSY:
            return busy(self.volume, why)
        return self._worsen(VolumeState.FAILED, why)

    def _worsen(self, state: VolumeState, why: str) -> McError:
        with self._lock:
            if self._state is not VolumeState.FAILED and self._state is not state:
                self._state, self._why = state, why
                self._count(state.value)
        refused = refusals.unwritable(self.volume, state, why)
        assert refused is not None
        return refused

    def _count(self, state: str) -> None:
        self._observer.count("mc.store.faults", state=state)

    def _full_why(self) -> str:
        if self._said_full:
            return "the disk says that it is full"
        if self._few_inodes():
            return "no inodes are left"
        reserve = reserve_of(self._room.bytes_total, self._reserve_bytes)
        if self._room.bytes_total and self._room.bytes_free <= reserve:
            return f"less than the reserve of {reserve} bytes is free"
        return ""

    def _few_inodes(self) -> bool:
        return bool(self._room.inodes_total) and self._room.inodes_free < INODES_FREE_MIN


def busy(volume: str, why: str) -> McError:
    said = f"volume {volume} cannot serve now: {why}"
    return McError("TOO_BUSY", said, facts={"volume": volume}, retry_after_s=1.0)
