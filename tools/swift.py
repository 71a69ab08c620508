"""OpenStack Swift with three replicas on this machine, to be measured beside us, and down again.

    python -m tools.swift up FOLDER      prints the address that objects are put under
    python -m tools.swift down FOLDER    stops what it started; the folder goes with all objects

It takes Debian's packages swift-proxy, swift-object, swift-container, swift-account and memcached,
and from /etc only swift.conf. Zones are three folders of one file system, which must have extended
attributes. No background service of it runs, it encrypts nothing and asks nobody who he is.
"""

import argparse
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

PROGRAMS = (
    *("swift-proxy-server", "swift-object-server", "swift-container-server"),
    *("swift-account-server", "swift-ring-builder", "memcached"),
)
CONFIG = Path("/etc/swift/swift.conf")
PACKAGES = "apt-get install swift-proxy swift-object swift-container swift-account memcached"
HOST = "127.0.0.1"
ZONES = 3
PARTITION_POWER = 8
MEMCACHED_MIB = 64
READY_S_MAX, END_S_MAX, POLL_S = 90.0, 10.0, 0.1
STATE = "state.json"


def missing() -> str:
    """What is to be installed, in words; "" when all is there."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if not absent and os.access(CONFIG, os.R_OK):
        return ""
    return f"{', '.join(absent) or CONFIG} is not here: `{PACKAGES}`"


def up(folder: Path) -> str:
    """The address of a container that takes objects. Whatever fails leaves nothing behind."""
    folder.mkdir(parents=True)
    started: list[subprocess.Popen[bytes]] = []
    try:
        ports = dict(zip(_servers(), free_ports(len(_servers())), strict=True))
        _rings(folder, ports)
        for name in _servers():
            started.append(_start(folder, name, ports))
            _note(folder, [process.pid for process in started])
        container = f"http://{HOST}:{ports['proxy']}/v1/AUTH_bench/bench"
        _await_all(ports, started)
        with urlopen(Request(container, method="PUT"), timeout=READY_S_MAX):
            return container
    except BaseException:
        down(folder)
        raise


def down(folder: Path) -> None:
    noted = folder / STATE
    pids = json.loads(noted.read_text())["pids"] if noted.exists() else []
    groups = [pid for pid in pids if _is_ours(pid, folder)]  # Each began a group of its own.
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, number)
        end_s = time.monotonic() + END_S_MAX
        while groups and time.monotonic() < end_s:
            groups = [group for group in groups if _lives(group)]
            time.sleep(POLL_S)
    if folder.exists():
        shutil.rmtree(folder)


def _servers() -> list[str]:
    """In the order of their start; each zone has an object server."""
    return ["memcached", "account", "container", *(f"object-{z}" for z in range(ZONES)), "proxy"]


def _note(folder: Path, pids: Sequence[int]) -> None:
    (folder / STATE).write_text(json.dumps({"pids": list(pids)}))


def _is_ours(pid: int, folder: Path) -> bool:
    """Pids are used again: ours work in that folder, or are told a file in it."""
    home = os.fspath(folder.resolve())
    with suppress(OSError):
        told = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if any(os.fsdecode(word).startswith(f"{home}/") for word in told):
            return True
        return os.readlink(f"/proc/{pid}/cwd") == home
    return False


def _lives(group: int) -> bool:
    """Any process of it; those that are ours to reap are reaped."""
    with suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _rings(folder: Path, ports: Mapping[str, int]) -> None:
    for what in ("account", "container", "object"):
        builder = f"{what}.builder"
        _build(folder, builder, "create", str(PARTITION_POWER), str(ZONES), "0")
        for zone in range(ZONES):
            port = ports[f"object-{zone}" if what == "object" else what]
            _build(folder, builder, "add", f"r1z{zone + 1}-{HOST}:{port}/zone{zone}", "100")
        _build(folder, builder, "rebalance")
    for zone in range(ZONES):
        (folder / "devices" / f"zone{zone}").mkdir(parents=True)


def _build(folder: Path, *words: str) -> None:
    subprocess.run(["swift-ring-builder", *words], cwd=folder, check=True, capture_output=True)


def _start(folder: Path, name: str, ports: Mapping[str, int]) -> "subprocess.Popen[bytes]":
    if name == "memcached":
        user = ("-u", "root") if os.geteuid() == 0 else ()
        where = ("-l", HOST, "-p", str(ports[name]), "-m", str(MEMCACHED_MIB))
        command = ["memcached", *where, *user]
    else:
        kind = name.partition("-")[0]
        config = folder / f"{name}.conf"
        text = _proxy(folder, ports) if kind == "proxy" else _server(folder, kind, ports[name])
        config.write_text(text)
        command = [f"swift-{kind}-server", os.fspath(config)]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip


def _common(folder: Path, port: int) -> str:
    return f"""[DEFAULT]
bind_ip = {HOST}
bind_port = {port}
workers = 1
user = {_user()}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_level = ERROR
"""


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _server(folder: Path, kind: str, port: int) -> str:
    return f"""{_common(folder, port)}
[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
"""


def _proxy(folder: Path, ports: Mapping[str, int]) -> str:
    return f"""{_common(folder, ports["proxy"])}
[pipeline:main]
pipeline = catch_errors cache proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:cache]
use = egg:swift#memcache
memcache_servers = {HOST}:{ports["memcached"]}
"""


def _await_all(ports: Mapping[str, int], started: "Sequence[subprocess.Popen[bytes]]") -> None:
    """A proxy that is asked before its servers listen shuns them for a minute."""
    end_s = time.monotonic() + READY_S_MAX
    for name, port in ports.items():
        while not _listens(port):
            if time.monotonic() > end_s or any(process.poll() is not None for process in started):
                raise RuntimeError(f"Swift's {name} server does not come up; see {name}.log")
            time.sleep(POLL_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_ports(count: int) -> list[int]:
    """Given by the system, all different."""
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.swift")
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "down":
        down(chosen.folder)
        return 0
    if why := missing():
        sys.stderr.write(f"{why}\n")
        return 2
    sys.stdout.write(up(chosen.folder.resolve()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
