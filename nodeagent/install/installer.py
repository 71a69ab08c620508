"""`nodeagentd install`: checks everything first, then changes the machine in steps.

Idempotent: each step looks at what is there, so the same command mends an attempt that failed and
upgrades a node that runs. An upgrade is a switch of one symbolic link.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from identity.bundle import CLUSTER_KEY, NodeBundle, read_node_bundle, unpack
from multicloud.errors import McError
from multicloud.files import write_public
from multicloud.resources import resource
from nodeagent.config.load import Loaded
from nodeagent.install import release
from nodeagent.install.checks import Check, check_ports, check_rights, check_room, check_times
from nodeagent.install.interpreter import Interpreter
from nodeagent.install.places import UNIT, Places
from nodeagent.install.service import Service
from nodeagent.install.settings import installed, listen_of, refuse_other_node, text_for

KEY_DROP_IN = "10-cluster-key.conf"


@dataclass(frozen=True)
class Machine:
    """What the installer needs to know and to do beyond the files under `places`."""

    places: Places
    service: Service | None  # None: under another root, where nothing runs.
    python: Interpreter
    now_unix_s: float
    user_id: int
    say: Callable[[str], None]
    systemd: Path = Path("/run/systemd/system")


def install(bundle_path: Path, machine: Machine, *, start: bool) -> None:
    bundle = read_node_bundle(bundle_path)
    there = installed(machine.places)
    refuse_other_node(there, bundle, machine.places.config)
    files = release.contents()
    _all_well(_checks(machine, bundle, there, files), machine.say)
    _Installation(machine, bundle, files).run(start=start)

    ready = " and READY" if machine.service and start else ""
    machine.say(f"{bundle.name} of {bundle.cluster} is installed{ready}")
    if machine.service and not start:
        machine.say(f"next: systemctl enable --now {UNIT}")
    machine.say("next: on your laptop: mcctl nodes")
    machine.say(f"next: shred -u {bundle_path}, because it holds the node's key")


def _checks(
    machine: Machine, bundle: NodeBundle, there: Loaded | None, files: release.Contents
) -> Iterator[Check]:
    if machine.service:
        yield from check_rights(machine.user_id, machine.systemd)
    yield from check_times(bundle, machine.now_unix_s)
    yield from check_room(machine.places, release.size_bytes(files))
    if machine.service and not machine.service.active():  # Else the ports are its own.
        yield from check_ports(listen_of(bundle, there))


def _all_well(checks: Iterator[Check], say: Callable[[str], None]) -> None:
    """Every check is made, so that everything can be mended at once."""
    failed: list[Check] = []
    for check in checks:
        say(f"check {check.name}: {check.wrong or 'ok'}")
        if check.wrong:
            failed.append(check)
    if failed:
        what = "; ".join(f"{check.name}: {check.wrong}" for check in failed)
        remedies = "; ".join(check.next for check in failed)
        raise McError("FAILED", f"nothing was installed: {what}", next=remedies)


@dataclass
class _Installation:
    machine: Machine
    bundle: NodeBundle
    files: release.Contents
    done: list[str] = field(default_factory=list)
    undo: str = "nodeagentd uninstall"
    release: Path = Path()

    def run(self, *, start: bool) -> None:
        steps = [self.release_, self.configuration, self.identity, self.unit, self.switch]
        if self.machine.service and start:
            steps.append(self.start)
        for step in [*steps, self.old_releases]:
            name = step.__name__.strip("_").replace("_", " ")
            try:
                said = step()
            except (McError, OSError) as error:
                raise self._stopped(name, error) from error
            self.done.append(name)
            self.machine.say(f"{name}: {said}")

    def release_(self) -> str:
        self.release = release.build(self.machine.places, self.files, self.machine.python)
        return f"{self.release}, run by {self.machine.python.path}"

    def configuration(self) -> str:
        places = self.machine.places
        places.etc.mkdir(mode=0o755, parents=True, exist_ok=True)
        places.etc.chmod(0o755)  # Whatever the umask says: the service reads in here.
        if places.config.exists():
            return f"{places.config} is kept as it is"
        write_public(places.config, text_for(self.bundle).encode())
        return str(places.config)

    def identity(self) -> str:
        unpack(self.bundle, self.machine.places.identity)
        return f"{self.machine.places.identity}, for root only"

    def unit(self) -> str:
        places = self.machine.places
        places.drop_ins.mkdir(parents=True, exist_ok=True)
        write_public(places.unit, resource(f"systemd/{UNIT}").read_bytes())
        drop_in = places.drop_ins / KEY_DROP_IN
        if self.bundle.cluster_key is None:
            drop_in.unlink(missing_ok=True)
        else:
            key = f"LoadCredential={CLUSTER_KEY}:/etc/multicloud/identity/{CLUSTER_KEY}"
            text = f"# This node seals and opens data.\n[Service]\n{key}\n"
            write_public(drop_in, text.encode())
        if self.machine.service:
            self.machine.service.reload_units()
        return str(places.unit)

    def switch(self) -> str:
        current = self.machine.places.current
        target = Path("releases") / self.release.name
        before = Path(os.readlink(current)) if current.is_symlink() else None
        if before == target:
            return f"{current} is at {target.name} already"
        partial = current.with_name(".current.partial")
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(current)  # In one step: there is always a current release.
        if before is None:
            return f"{current} at {target.name}"
        self.undo = f"ln -sfn {before} {current} && systemctl restart {UNIT}"
        return f"{current} from {before.name} to {target.name}"

    def start(self) -> str:
        assert self.machine.service
        self.machine.service.start()
        return f"{UNIT} is enabled and READY"

    def old_releases(self) -> str:
        """The current one stays, and the newest other for a rollback."""
        others = [p for p in self.machine.places.releases.iterdir() if p != self.release]
        others.sort(key=lambda path: path.stat().st_mtime)
        for path in others[:-1]:
            shutil.rmtree(path)
        return f"{len(others[:-1])} removed, {len(others[-1:])} kept for a rollback"

    def _stopped(self, name: str, error: Exception) -> McError:
        why = error.message if isinstance(error, McError) else str(error)
        hint = f"{error.next}; then " if isinstance(error, McError) else ""
        before = ", ".join(self.done) or "nothing"
        return McError(
            "FAILED",
            f"the step '{name}' failed: {why}; done before it: {before}",
            next=f"{hint}run it again, it goes on where it stopped; to undo: {self.undo}",
        )
