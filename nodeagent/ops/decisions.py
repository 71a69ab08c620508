"""What operators decided about this node and others, on disk: no restart forgets it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from multicloud.errors import McError


@dataclass(frozen=True, slots=True)
class Decisions:
    """Durable when a call returns. All of it blocks: call it in a thread."""

    folder: Path

    def draining(self) -> bool:
        return (self.folder / "draining").exists()

    def drain(self, draining: bool) -> None:
        mark = self.folder / "draining"
        with self._written():
            if draining:
                mark.touch()
            else:
                mark.unlink(missing_ok=True)

    def removed(self) -> Mapping[str, str]:
        """Nodes that never come back, by id, with the names that they had."""
        file = self.folder / "removed.json"
        try:
            return dict(json.loads(file.read_text()))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            said = f"{file} does not hold the nodes that were removed"
            remedy = "put back the file, or delete it: the other nodes remember them too"
            raise McError("DAMAGE", said, next=remedy) from error

    def remove(self, nodes: Mapping[str, str]) -> None:
        known = self.removed()
        draft = self.folder / "removed.json.new"
        with self._written():
            with draft.open("w") as out:
                json.dump({**nodes, **known}, out, indent=1, sort_keys=True)
                out.flush()
                os.fsync(out.fileno())
            draft.replace(self.folder / "removed.json")

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # A file is there, or gone, for good only when its folder is.
            finally:
                os.close(folder)
        except OSError as error:
            said = f"a decision cannot be kept in {self.folder}: {error.strerror}"
            raise McError(
                "FAILED", said, next="free the disk, or mend the folder's rights"
            ) from error
