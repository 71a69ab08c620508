"""The unit: its score, its keys, and the real daemon under its restrictions."""

import configparser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from identity.authority import Authority
from identity.bundle import NodeBundle, unpack, write_node_bundle
from identity.keys import key_pem, new_key
from identity.names import Identity
from multicloud import __version__
from multicloud.errors import McError
from multicloud.resources import resource
from nodeagent.install import release
from nodeagent.install.interpreter import for_service
from nodeagent.install.places import Places
from nodeagent.install.settings import text_for
from nodeagent.ops import sockdiag

UNIT = resource("systemd/nodeagentd.service")
EXPOSURE_MAX_TENTHS = 11
FROM_254 = {"RestartSteps", "RestartMaxDelaySec"}  # Older ones say that they ignore these.
NUMBERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
SANDBOX = Path(__file__).with_name("sandbox.py")

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="not run: apt-get install systemd"
)


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)


def settings() -> dict[str, list[str]]:
    """[Service] as systemd reads it: a key may come again."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def exposure(threshold_tenths: int, unit: Path) -> int:
    words = ("security", "--offline=true", f"--threshold={threshold_tenths}", "--no-pager")
    return analyze(*words, str(unit)).returncode


@needs_systemd_analyze
def test_its_exposure_is_at_most_1_1(tmp_path: Path) -> None:
    assert exposure(EXPOSURE_MAX_TENTHS, UNIT) == 0
    laxer = tmp_path / UNIT.name
    laxer.write_text(UNIT.read_text().replace("PrivateUsers=yes\n", ""))
    assert exposure(EXPOSURE_MAX_TENTHS, laxer) != 0, "the threshold judges nothing"


@needs_systemd_analyze
def test_systemd_knows_every_key(tmp_path: Path) -> None:
    installed = tmp_path / UNIT.name
    command = tmp_path / "nodeagentd"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    installed.write_text(
        UNIT.read_text().replace("/opt/multicloud/current/bin/nodeagentd", str(command))
    )
    told = [
        line for line in analyze("verify", str(installed)).stderr.splitlines() if UNIT.name in line
    ]
    assert [line for line in told if not any(f"'{key}'" in line for key in FROM_254)] == []


def test_every_identity_file_but_the_cluster_key_comes_as_a_credential() -> None:
    names = [value.partition(":")[0] for value in settings()["LoadCredential"]]
    assert names == ["node.crt", "node.key", "trust.json", "revocations.json"]


def test_the_watchdog_and_the_stop_leave_room_for_the_drain() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert unit["KillMode"] == ["mixed"]
    assert int(unit["TimeoutStopSec"][0]) > 30  # The default of [shutdown] drain_s
    assert int(unit["WatchdogSec"][0]) == 30


def test_every_group_of_the_unit_says_why_it_is_there() -> None:
    service = UNIT.read_text().partition("[Service]\n")[2].partition("[Install]")[0]
    for group in service.strip().split("\n\n"):
        assert group.startswith("# "), f"no reason above: {group.splitlines()[0]}"


def test_the_unit_is_a_file_that_other_readers_of_the_format_accept() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]


# The daemon under the restrictions


def expanded(name: str) -> set[str]:
    """The system calls of a set such as @system-service, with those of the sets in it."""
    if not name.startswith("@"):
        return {name}
    rows = analyze("syscall-filter", "--no-pager", name).stdout.splitlines()
    words = [row.strip() for row in rows if row.startswith("    ")]
    calls = [expanded(word) for word in words if not word.startswith("#")]
    return set().union(*calls)


def allowed_calls() -> set[str]:
    allowed: set[str] = expanded("@default")  # systemd always lets these through.
    for line in settings()["SystemCallFilter"]:
        for name in line.removeprefix("~").split():
            if line.startswith("~"):
                allowed -= expanded(name) - expanded("@default")
            else:
                allowed |= expanded(name)
    return allowed


@pytest.fixture(scope="module")
def sandbox() -> list[str]:
    """The beginning of a command line that runs the rest of it under the unit's restrictions."""
    if os.geteuid() != 0 or os.uname().machine != "x86_64":
        pytest.skip("not run: needs root on x86_64")
    if shutil.which("systemd-analyze") is None or not NUMBERS.exists():
        pytest.skip("not run: apt-get install systemd linux-libc-dev")
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", NUMBERS.read_text()))
    allowed = sorted(int(numbers[name]) for name in allowed_calls() if name in numbers)
    return [sys.executable, str(SANDBOX), ",".join(map(str, allowed))]


@pytest.fixture(scope="module")
def node(sandbox: list[str]) -> Iterator[Path]:
    """A folder that everybody can enter: a release, a configuration, credentials of nobody."""
    try:
        python = for_service()
    except McError as error:
        pytest.skip(f"not run: {error.message}; {error.next}")
    folder = Path(tempfile.mkdtemp(prefix="multicloud-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        built = release.build(Places(folder), release.contents(), python)
        (folder / "current").symlink_to(built)
        bundle = a_bundle(folder)
        unpack(bundle, folder / "credentials")
        (folder / "state").mkdir()
        config = text_for(bundle).replace("[node]", f'[node]\nstate_dir = "{folder}/state"')
        (folder / "nodeagent.toml").write_text(config)
        (folder / "nodeagent.toml").chmod(0o644)
        for path in (folder / "state", folder / "credentials", *(folder / "credentials").iterdir()):
            os.chown(path, 65534, 65534)
        yield folder
    finally:
        shutil.rmtree(folder)


def a_bundle(folder: Path) -> NodeBundle:
    authority = Authority.create(folder / "authority", "prod", "a passphrase")
    key, node_id = new_key(), "0123456789abcdef"
    identity = Identity.node("prod", node_id)
    pem = authority.issue(identity, "aws-a", {"node"}, key.public_key(), 1, time.time())
    api, watch = free_ports(2)
    bundle = NodeBundle(
        cluster="prod",
        id=node_id,
        name="aws-a",
        cloud="aws",
        region="us-east-1",
        zone="",
        address=f"127.0.0.1:{api}",
        watch_address=f"127.0.0.1:{watch}",
        join=(),
        founder=True,
        certificate_pem=pem,
        key_pem=key_pem(key),
        trust=authority.trust,
        cluster_key=authority.cluster_key,
    )
    write_node_bundle(folder / "bundle", bundle)
    return bundle


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def command(sandbox: list[str], node: Path, *words: str) -> list[str]:
    return [*sandbox, str(node / "current/bin/nodeagentd"), *words]


def test_the_sandbox_holds(sandbox: list[str]) -> None:
    """Each restriction is there: else what follows proves nothing."""
    code = (
        "import mmap, os, socket\n"
        "def refused(call, *a):\n"
        "    try: call(*a)\n"
        "    except OSError as e: return e.errno\n"
        "assert os.getuid() == 65534\n"
        "assert refused(os.chown, '/dev/null', 65534, 65534) == 1, 'chown: @privileged'\n"
        "assert refused(os.nice, 1) == 1, 'nice: @resources'\n"
        "assert refused(socket.socket, 40, 1) == 1, 'AF_VSOCK'\n"
        "wx = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC\n"
        "assert refused(lambda: mmap.mmap(-1, 4096, prot=wx)), 'writable and executable'\n"
        "assert 'NoNewPrivs:\\t1' in open('/proc/self/status').read()\n"
        "assert 'CapBnd:\\t0000000000000000' in open('/proc/self/status').read()\n"
        "print('held')\n"
    )
    done = subprocess.run(
        [*sandbox, str(for_service().path), "-I", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
    )
    assert done.stdout == "held\n", done.stderr


def test_the_kernel_tells_round_trip_times_under_the_restrictions(sandbox: list[str]) -> None:
    code = Path(sockdiag.__file__).read_text() + (
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "near = socket.create_connection(server.getsockname())\n"
        "print(list(min_rtts_ms([server.getsockname()])) == [server.getsockname()])\n"
    )
    done = subprocess.run(
        [*sandbox, str(for_service().path), "-I", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd="/",
    )
    assert done.stdout == "True\n", done.stderr


def test_version_and_check_config_run_under_the_restrictions(
    sandbox: list[str], node: Path
) -> None:
    for words, said in [
        (("version",), f"nodeagentd {__version__}\n"),
        (("check-config", "--config", f"{node}/nodeagent.toml"), " is right: "),
    ]:
        done = subprocess.run(
            command(sandbox, node, *words),
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


def test_the_daemon_becomes_ready_reloads_and_stops_under_the_restrictions(
    sandbox: list[str], node: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0multicloud-test-{os.getpid()}")
        systemd.settimeout(30)
        daemon = subprocess.Popen(
            command(
                sandbox, node, "run", "--config", f"{node}/nodeagent.toml", "--set", "listen.http="
            ),
            env={
                "PATH": "/usr/bin:/bin",
                "NOTIFY_SOCKET": f"@multicloud-test-{os.getpid()}",
                "CREDENTIALS_DIRECTORY": f"{node}/credentials",
                "WATCHDOG_USEC": "2000000",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )
        try:
            heard(systemd, "READY=1")
            heard(systemd, "WATCHDOG=1")
            daemon.send_signal(signal.SIGHUP)
            heard(systemd, "RELOADING=1")
            heard(systemd, "READY=1")
            daemon.send_signal(signal.SIGTERM)
            heard(systemd, "STOPPING=1")
            log, _ = daemon.communicate(timeout=60)
            assert daemon.returncode == 0, log
        except TimeoutError:
            daemon.kill()
            pytest.fail(f"systemd heard nothing more; the log:\n{daemon.communicate()[0]}")
        finally:
            daemon.kill()
            daemon.wait()
    assert "Traceback" not in log


def heard(systemd: socket.socket, wanted: str) -> None:
    """Waits until systemd would have heard it."""
    while wanted not in systemd.recv(4096).decode().split("\n"):
        pass
