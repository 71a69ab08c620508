"""Files of a version for PyTorch: each to one worker of one rank, in an order that a seed and an
epoch say, and from where a run broke off.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from random import Random
from typing import Any

from multicloud.cluster import Cluster
from multicloud.datasets import File

try:
    from torch.utils.data import IterableDataset as _Base
    from torch.utils.data import get_worker_info as _worker_info
except ImportError:  # Without torch it is an iterable like any other, of one worker.
    _Base = object

    def _worker_info() -> Any:
        return None


class FileDataset(_Base):  # type: ignore[misc]  # torch may be absent.
    """Gives `(path, bytes)` of each file below `where`, such as `mc://corpus@1/train/`.

    Every rank and worker gets each `world * workers`-th file: numbers differ by one at most.
    Some files are read ahead; a part that is wrong is read again from another node.
    """

    def __init__(
        self,
        where: str,
        *,
        context: str | None = None,
        rank: int = 0,
        world: int = 1,
        seed: int | None = None,
        ahead: int = 4,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world}")
        if ahead < 1:
            raise ValueError(f"{ahead} files cannot be read ahead")
        super().__init__()
        self._cluster, self._where = Cluster(context), where
        self._rank, self._world, self._seed, self._ahead = rank, world, seed, ahead
        self._epoch = self._given = 0

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch: another order of the same files, from its beginning."""
        self._epoch, self._given = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where this worker is; `StatefulDataLoader` of torchdata asks each of them."""
        return {"epoch": self._epoch, "given": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch, self._given = state["epoch"], state["given"]

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        files = self._mine()[self._given :]
        waiting: deque[tuple[File, Future[bytes]]] = deque()
        with ThreadPoolExecutor(self._ahead, "multicloud-torch") as threads:
            left = iter(files)
            try:
                while True:
                    for file in islice(left, self._ahead - len(waiting)):
                        waiting.append((file, threads.submit(self._read, file)))
                    if not waiting:
                        break
                    file, reading = waiting.popleft()
                    data = reading.result()
                    self._given += 1  # Before it is given: a state taken now goes on behind it.
                    yield file.path, data
            finally:
                for _, unused in waiting:
                    unused.cancel()
        self._given = 0

    def _mine(self) -> list[File]:
        files = list(self._cluster.files(self._where))
        if self._seed is not None:
            Random(f"{self._seed} {self._epoch}").shuffle(files)
        info = _worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        return files[self._rank * workers + worker :: self._world * workers]

    def _read(self, file: File) -> bytes:
        return self._cluster.read_file(file, 0, file.size_bytes)
