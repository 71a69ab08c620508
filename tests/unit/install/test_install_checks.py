"""What stops an installation before anything is changed, each with its remedy."""

import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from install_world import World, bundle_of, world, written

from identity.authority import Authority
from identity.bundle import NodeBundle
from multicloud.errors import McError
from nodeagent.config.model import Listen
from nodeagent.install.checks import check_ports, check_room, check_times
from nodeagent.install.installer import install
from nodeagent.install.interpreter import HIDDEN, hindrance_of, probe, running
from nodeagent.install.places import Places


def refused(there: World, bundle_path: Path) -> McError:
    before = sorted(there.places.root.rglob("*"))
    with pytest.raises(McError) as caught:
        install(bundle_path, there.machine, start=True)
    assert sorted(there.places.root.rglob("*")) == before, "it changed something"
    assert there.systemd.calls == []
    return caught.value


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_changed(
    bundle: NodeBundle, tmp_path: Path
) -> None:
    there = world(tmp_path / "machine", user_id=1000, systemd=tmp_path / "none", now_unix_s=0.0)
    there.places.root.mkdir()
    error = refused(there, written(bundle, tmp_path))
    assert "nothing was installed: root: this is user 1000, not root; systemd: " in error.message
    assert "clock: it says 1970-01-01" in error.message
    assert "sudo nodeagentd install" in error.next
    assert "timedatectl set-ntp true" in error.next


def test_a_bundle_that_has_ended_is_refused(authority: Authority, tmp_path: Path) -> None:
    there = world(tmp_path / "machine")
    there.places.root.mkdir()
    bundle = bundle_of(authority, days=1)
    late = replace(there.machine, now_unix_s=bundle.holder.not_after_unix_s + 1.0)
    error = refused(replace(there, machine=late), written(bundle, tmp_path))
    assert "bundle: the certificate ended" in error.message
    assert "mcctl cluster issue-node" in error.next


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "multicloud node bundle"}'])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.bundle"
    path.write_text(content)
    path.chmod(0o600)
    there = world(tmp_path / "machine")
    there.places.root.mkdir()
    assert refused(there, path).reason == "BUNDLE_INVALID"


def test_a_bundle_that_others_may_read_is_refused(bundle: NodeBundle, tmp_path: Path) -> None:
    path = written(bundle, tmp_path)
    path.chmod(0o644)
    there = world(tmp_path / "machine")
    there.places.root.mkdir()
    assert refused(there, path).reason == "SECRET_EXPOSED"


def test_a_wrong_configuration_on_the_machine_stops_it(bundle: NodeBundle, tmp_path: Path) -> None:
    there = world(tmp_path / "machine")
    there.places.etc.mkdir(parents=True)
    there.places.config.write_text("[node]\n")
    assert refused(there, written(bundle, tmp_path)).reason == "CONFIG_INVALID"


def test_a_clock_that_fits_the_bundle_is_right(bundle: NodeBundle) -> None:
    times = (bundle.holder.not_before_unix_s, bundle.holder.not_after_unix_s)
    for now_unix_s in times:
        assert not [c for c in check_times(bundle, now_unix_s) if c.wrong]
    assert [c.name for c in check_times(bundle, times[0] - 1) if c.wrong] == ["clock"]
    assert [c.name for c in check_times(bundle, times[1] + 1) if c.wrong] == ["bundle"]


def test_a_port_that_is_taken_is_named_with_the_command_that_finds_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        listen = Listen(api=f"0.0.0.0:{taken}", watch="127.0.0.1:0", http="")
        api, watch = check_ports(listen)
    assert "Address already in use" in api.wrong
    assert f"sport = :{taken}" in api.next
    assert not watch.wrong


def test_too_little_room_is_said_in_figures(tmp_path: Path) -> None:
    release, data = check_room(Places(tmp_path), 1 << 60)
    assert "MiB free, 1099511627776 are needed" in release.wrong
    assert not data.wrong


@pytest.mark.parametrize("folder", HIDDEN)
def test_a_python_that_the_unit_hides_is_no_python_for_the_service(folder: Path) -> None:
    assert f"hides {folder}" in hindrance_of(folder / "x/bin/python3")


def test_a_python_behind_a_closed_folder_is_named_with_the_folder() -> None:
    open_to_all = Path("/usr")
    assert hindrance_of(open_to_all) == ""
    if stat.S_IMODE(os.stat("/etc/shadow").st_mode) & stat.S_IROTH == 0:
        assert "may not read /etc/shadow" in hindrance_of(Path("/etc/shadow"))


def test_what_is_no_python_is_not_taken_for_one(tmp_path: Path) -> None:
    assert probe(tmp_path / "absent") is None
    assert probe(Path("/bin/true")) is None
    assert running().stdlib.joinpath("os.py").exists()


def test_the_command_installs_into_an_image_and_takes_it_out_again(
    bundle: NodeBundle, tmp_path: Path
) -> None:
    root, path = tmp_path / "image", written(bundle, tmp_path)

    def nodeagentd(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "nodeagent", *arguments, "--root", str(root)]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            umask=0o077,  # A careful root's; the service has to read the release all the same.
        )

    done = nodeagentd("install", str(path))
    assert done.returncode == 0, done.stderr
    assert "check bundle: ok" in done.stdout
    places = Places(root)
    assert places.current.is_symlink()
    for path in (places.opt, places.etc, places.config, *places.opt.rglob("*")):
        assert path.stat().st_mode & 0o004, f"the service cannot read {path}"
    asked = nodeagentd("uninstall")
    assert asked.returncode == 2
    assert "repeat with --yes" in asked.stderr
    assert nodeagentd("uninstall", "--yes", "--purge").returncode == 0
    assert [p for p in root.rglob("*") if not p.is_dir()] == []
