"""The folder of a dev cluster: where it is, what is in it, and how it goes and takes nothing else.

A folder carries a marker with an id of its own. Nothing without the right marker is ever
deleted, so neither a stranger's folder nor a successor of the same name can be lost.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multicloud.errors import McError

MARKER = ".multicloud-dev-cluster"
SOCKET_PATH_BYTES_MAX = 100  # The kernel's limit is 108 on Linux, 104 on macOS.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path
    name: str

    @property
    def cluster(self) -> str:
        """The name of the cluster and of its context."""
        return "dev" if self.name == "dev" else f"dev-{self.name}"

    @property
    def socket(self) -> Path:
        """Where the supervisor listens; elsewhere when the folder's own path is too long."""
        path = self.path / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"mc-dev-{os.getuid()}" / digest / "s"

    @property
    def log(self) -> Path:
        return self.path / "supervisor.log"

    def node(self, name: str) -> Path:
        return self.path / "nodes" / name

    @property
    def authority(self) -> Path:
        return self.path / "authority"

    @property
    def passphrase(self) -> Path:
        return self.path / "passphrase"

    @property
    def cluster_id(self) -> str | None:
        """The id in the marker; None when this is no dev cluster's folder."""
        try:
            return (self.path / MARKER).read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def create(self, cluster_id: str, run: Mapping[str, Any]) -> None:
        """Makes the folder, at once or not at all: whoever sees it sees marker and run file."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.parent / f".starting-{cluster_id}"
        draft.mkdir(mode=0o700)
        (draft / MARKER).write_text(cluster_id + "\n")
        Folder(draft, self.name).write_run(run)
        try:
            draft.rename(self.path)  # Fails when there is one that is not empty.
        except OSError as there:
            shutil.rmtree(draft)
            raise self.in_the_way() from there
        self._make_socket_folder()

    def _make_socket_folder(self) -> None:
        folder = self.socket.parent
        if folder == self.path:
            return
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, exist_ok=True)
            found = each.lstat()
            if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
                raise McError(
                    "FAILED", f"{each} is not ours", next="set MC_DEV_DIR to a shorter path"
                )

    def in_the_way(self) -> McError:
        if self.cluster_id is None:
            return McError(
                "ALREADY_EXISTS",
                f"{self.path} exists and is no dev cluster's folder",
                next="move it away, choose another --name, or set MC_DEV_DIR",
            )
        option = "" if self.name == "dev" else f" --name {self.name}"
        return McError(
            "ALREADY_EXISTS",
            f"the dev cluster {self.cluster} is there already",
            next=f"`mcctl dev status{option}` shows it, `mcctl dev down{option}` removes it",
        )

    def remove(self, cluster_id: str) -> None:
        """Deletes the folder if it still is the one with this id."""
        if self.cluster_id != cluster_id:
            return
        gone = self.path.parent / f".removing-{cluster_id}"
        with contextlib.suppress(
            FileNotFoundError
        ):  # The guardian and a command may both be at it.
            outside = self.socket.parent
            self.path.rename(gone)
            if outside != self.path:
                shutil.rmtree(outside, ignore_errors=True)
                with contextlib.suppress(OSError):  # Another cluster's socket is in it.
                    outside.parent.rmdir()
        shutil.rmtree(gone, ignore_errors=True)

    def write_run(self, run: Mapping[str, Any]) -> None:
        draft = self.path / "run.json.new"
        draft.write_text(json.dumps(run))
        draft.replace(self.path / "run.json")

    def read_run(self) -> dict[str, Any]:
        """Who runs it: processes by pid and start time, and the context."""
        run: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        return run


def root(env: Mapping[str, str]) -> Path:
    """The folder of all dev clusters of this user."""
    if given := env.get("MC_DEV_DIR"):
        return Path(given).absolute()
    state = env.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "multicloud" / "dev"


def folder_of(name: str, env: Mapping[str, str]) -> Folder:
    if not _NAME.fullmatch(name):
        raise McError("USAGE", f"--name {name!r}: a-z, 0-9, '-', at most 31 characters")
    return Folder(root(env) / name, name)
