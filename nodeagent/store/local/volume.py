"""What all parts of one local volume share, and how their moves touch the disk."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from nodeagent.store.contract import FRESH_S, Evidence, Held
from nodeagent.store.local.condition import Condition
from nodeagent.store.local.files import Files, Kind
from nodeagent.store.local.index import Index
from nodeagent.store.local.journal import PinJournal
from nodeagent.store.local.layout import AsideName, Paths, decode_aside
from nodeagent.store.local.table import Table
from nodeagent.store.observer import StoreObserver
from nodeagent.store.pins import Pins


@dataclass(slots=True)
class Volume:
    uuid: str
    node: str
    files: Files
    paths: Paths
    clock: Callable[[], float]
    observer: StoreObserver
    condition: Condition
    index: Index
    journal: PinJournal
    pins: Pins = field(default_factory=Pins)
    table: Table = field(default_factory=Table)
    unsynced: set[str] = field(default_factory=set)  # Shelves whose names were only read so far.
    syncs_at_once: Executor | None = None  # None: folders are synced one by one.
    device: int = 0
    pins_lost: int = 0  # Lines of the journal that did not read, beside a torn end.

    def held(self, chunk_id: bytes, file_bytes: int, stored: float, verified: float) -> Held:
        return Held(chunk_id, self.uuid, file_bytes, stored, verified)

    def is_fresh(self, held: Held, fresh_s: float = FRESH_S) -> bool:
        return 0 <= self.clock() - held.verified_unix_s < fresh_s

    def stands(self, held: Held) -> bool:
        """Its file is there, with its size. False when it is gone or something else."""
        try:
            found = self.files.stat(self.paths.chunk(held.chunk_id))
        except FileNotFoundError:
            return False
        return found.kind is Kind.FILE and found.size_bytes == held.file_bytes

    def put_aside(self, chunk_id: bytes, path: str, folder: str, why: str) -> tuple[str, float]:
        """Renames it into trash or quarantine: its name there, and when by that name."""
        taken = set()
        if folder == self.paths.quarantine:
            taken = {evidence.name for evidence in self.table.evidence()}
        unix_ms = int(self.clock() * 1000)
        while (name := AsideName(chunk_id, unix_ms, why).encode()) in taken:
            unix_ms += 1  # One chunk can be damaged twice within a moment.
        self.files.rename(path, f"{folder}/{name}")
        return name, unix_ms / 1000

    def quarantine(self, chunk_id: bytes, file_bytes: int, path: str, why: str) -> None:
        name, unix_s = self.put_aside(chunk_id, path, self.paths.quarantine, why)
        kept = decode_aside(name)
        assert kept is not None
        self.table.keep(Evidence(chunk_id, name, file_bytes, unix_s, kept.why))
