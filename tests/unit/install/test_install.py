"""The installer for real, under another root: what it puts where, and that it runs from there."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from install_world import World, bundle_of, storage_only, world, written

from identity.authority import Authority
from identity.bundle import NodeBundle
from multicloud import __version__
from multicloud.errors import McError
from multicloud.resources import resource
from nodeagent.config.load import load
from nodeagent.install.installer import install
from nodeagent.install.uninstall import uninstall


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run_installed(there: World, *command: str) -> "subprocess.CompletedProcess[str]":
    """Without a variable of this process: nothing of the checkout can be found by it."""
    binary = there.places.current / "bin" / command[0]
    return subprocess.run(
        [str(binary), *command[1:]],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def upgradable(installed: World, tmp_path: Path) -> World:
    """A copy of the installed machine, its release shared by hard links."""
    root = tmp_path / "machine"
    shutil.copytree(installed.places.root, root, symlinks=True, copy_function=os.link)
    return world(root)


def test_the_installed_daemon_runs_without_the_checkout(installed: World) -> None:
    done = run_installed(installed, "nodeagentd", "version")
    assert (done.returncode, done.stdout) == (0, f"nodeagentd {__version__}\n"), done.stderr
    config = str(installed.places.config)
    done = run_installed(installed, "nodeagentd", "check-config", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "is right" in done.stdout
    assert run_installed(installed, "mcctl", "--version").stdout.strip() == __version__


def test_everything_that_the_daemon_imports_comes_from_the_release(installed: World) -> None:
    code = (
        "import sys, grpc, google.protobuf, pydantic, structlog, cryptography, opentelemetry.sdk;"
        "import nodeagent.config.load, identity.store, multicloud.resources as r;"
        "r.resource('systemd/nodeagentd.service'); r.resource('config/nodeagent.toml');"
        "print('\\n'.join(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', 0)))"
    )
    release = str(installed.places.current.resolve())
    command = [f"{release}/bin/python", "-I", "-c", code]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    foreign = [
        file
        for file in done.stdout.split()
        if ("site-packages" in file or "multicloud" in file) and not file.startswith(release)
    ]
    assert foreign == []


def test_the_configuration_says_what_the_bundle_says_and_nothing_else(
    installed: World, bundle: NodeBundle
) -> None:
    assert tomllib.loads(installed.places.config.read_text()) == {
        "node": {
            "id": bundle.id,
            "name": "aws-a",
            "cluster": "prod",
            "cloud": "aws",
            "region": "us-east-1",
            "zone": "a",
            "founder": True,
        },
        "advertise": [
            {"network": "public", "api": "203.0.113.5:17443", "watch": "203.0.113.5:17444"}
        ],
        "listen": {"api": "0.0.0.0:17443", "watch": "0.0.0.0:17444"},
        "join": {"peers": ["198.51.100.4:7443"]},
    }
    assert load(installed.places.config, {}, {}).config.listen.http == "127.0.0.1:7480"


def test_secrets_are_for_root_and_the_rest_is_for_all(installed: World) -> None:
    places = installed.places
    assert mode(places.identity) == 0o700
    assert mode(places.identity / "node.key") == mode(places.identity / "cluster.key") == 0o600
    assert mode(places.config) == 0o644
    assert mode(places.etc) == 0o755
    for path in places.opt.rglob("*"):
        if not path.is_symlink():
            assert mode(path) & 0o005, f"the service cannot read {path}"
            assert not mode(path) & 0o022, f"others may change {path}"


def test_the_unit_gets_the_cluster_key_only_where_there_is_one(
    upgradable: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    drop_in = upgradable.places.drop_ins / "10-cluster-key.conf"
    assert upgradable.places.unit.read_text() == resource("systemd/nodeagentd.service").read_text()
    assert "cluster.key:/etc/multicloud/identity/cluster.key" in drop_in.read_text()
    install(written(storage_only(bundle), tmp_path), upgradable.machine, start=True)
    assert not drop_in.exists()
    assert not (upgradable.places.identity / "cluster.key").exists()


def test_it_starts_the_service_last_and_says_what_is_next(installed: World) -> None:
    assert installed.systemd.calls == ["reload_units", "start"]
    assert "aws-a of prod is installed and READY" in installed.said
    assert any(line.startswith("next: shred -u") for line in installed.said)


def test_installing_again_changes_nothing_and_keeps_what_was_edited(
    upgradable: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    before = os.readlink(upgradable.places.current)
    edited = upgradable.places.config.read_text() + "[limits]\nstream_stall_s = 7\n"
    upgradable.places.config.unlink()  # A hard link to the original.
    upgradable.places.config.write_text(edited)
    install(written(bundle, tmp_path), upgradable.machine, start=True)
    assert os.readlink(upgradable.places.current) == before
    assert upgradable.places.config.read_text() == edited
    assert len(list(upgradable.places.releases.iterdir())) == 1


def test_a_release_can_install_itself_again(
    installed: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    """Whoever runs `nodeagentd` on the machine runs this one: it finds itself there already."""
    before = os.readlink(installed.places.current)
    words = ("install", str(written(bundle, tmp_path)), "--root", str(installed.places.root))
    done = run_installed(installed, "nodeagentd", *words)
    assert done.returncode == 0, done.stderr
    assert "is at" in done.stdout
    assert os.readlink(installed.places.current) == before


def test_an_upgrade_switches_the_link_and_keeps_the_old_release_for_a_rollback(
    upgradable: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    places = upgradable.places
    new = places.current.resolve()
    for name in ("older", "old"):
        (places.releases / name).mkdir()
    os.utime(places.releases / "older", (0, 0))
    places.current.unlink()
    places.current.symlink_to("releases/old")
    install(written(bundle, tmp_path), upgradable.machine, start=True)
    assert places.current.resolve() == new
    assert {path.name for path in places.releases.iterdir()} == {"old", new.name}


def test_a_start_that_fails_says_what_was_done_and_how_to_undo_it(
    upgradable: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    places = upgradable.places
    (places.releases / "old").mkdir()
    places.current.unlink()
    places.current.symlink_to("releases/old")
    upgradable.systemd.start_fails = True
    with pytest.raises(McError, match="'start' failed: the daemon said no") as caught:
        install(written(bundle, tmp_path), upgradable.machine, start=True)
    assert "done before it: release, configuration, identity, unit, switch" in caught.value.message
    assert f"ln -sfn releases/old {places.current}" in caught.value.next
    assert "journalctl says why" in caught.value.next


def test_another_node_on_the_machine_is_never_replaced(
    upgradable: World, authority: Authority, tmp_path: Path
) -> None:
    other = bundle_of(authority, "f" * 16)
    before = upgradable.places.config.read_text()
    with pytest.raises(McError, match=r"makes this machine aws-a \(0123456789abcdef\)") as caught:
        install(written(other, tmp_path), upgradable.machine, start=True)
    assert caught.value.reason == "ALREADY_EXISTS"
    assert upgradable.places.config.read_text() == before


def test_uninstall_keeps_data_and_identity_unless_purged(upgradable: World) -> None:
    places, said = upgradable.places, upgradable.said
    state = places.states[0]
    state.mkdir(parents=True)
    (state / "chunk").write_text("data")
    uninstall(places, upgradable.systemd, said.append, purge=False)
    assert upgradable.systemd.calls == ["stop", "reload_units"]
    assert not places.opt.exists()
    assert not places.unit.exists()
    assert not places.drop_ins.exists()
    assert (state / "chunk").exists()
    assert (places.identity / "node.key").exists()
    uninstall(places, upgradable.systemd, said.append, purge=True)
    assert not state.exists()
    assert not places.etc.exists()
    uninstall(places, upgradable.systemd, said.append, purge=True)  # Nothing left, no error.


def test_a_link_to_the_state_is_removed_and_not_followed(tmp_path: Path) -> None:
    there = world(tmp_path / "machine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("data")
    there.places.states[0].parent.mkdir(parents=True)
    there.places.states[0].symlink_to(elsewhere)
    uninstall(there.places, None, there.said.append, purge=True)
    assert (elsewhere / "precious").exists()
    assert not there.places.states[0].is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="not run: needs root to become another user")
def test_who_may_not_remove_it_is_told_so(tmp_path: Path) -> None:
    """As another user, in a process of its own, which may not change the folder of this one."""
    there = world(Path(tempfile.mkdtemp(dir="/var/tmp")))
    try:
        there.places.root.chmod(0o755)
        there.places.opt.mkdir(parents=True)
        code = (
            "from pathlib import Path; from nodeagent.install.places import Places\n"
            "from nodeagent.install.uninstall import uninstall\n"
            "from multicloud.errors import McError\nimport os\nos.setresuid(65534, 65534, 65534)\n"
            f"try: uninstall(Places(Path({str(there.places.root)!r})), None, print, purge=False)\n"
            "except McError as error: print(error, error.next)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"{there.places.opt} cannot be removed: Permission denied" in done.stdout, (
            done.stderr
        )
        assert "sudo nodeagentd uninstall" in done.stdout
    finally:
        shutil.rmtree(there.places.root)


def test_without_systemd_nothing_is_started_and_the_files_are_the_same(
    upgradable: World, bundle: NodeBundle, tmp_path: Path
) -> None:
    machine = replace(upgradable.machine, service=None)
    install(written(bundle, tmp_path), machine, start=True)
    assert upgradable.systemd.calls == []
    assert "aws-a of prod is installed" in upgradable.said
