"""Puts the running software into a folder of its own that works without a network.

A release is named after its content, `0.1.0-3fa9c1d2e4b5`: the same one is not built twice. It
appears by a rename, whole or not at all.
"""

import compileall
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from multicloud import __version__
from multicloud.errors import McError
from multicloud.resources import resource
from nodeagent.install.interpreter import Interpreter
from nodeagent.install.places import Places

PACKAGES = ("coordinator", "identity", "mcctl", "multicloud", "nodeagent")
DATA = ("config", "systemd")
EXTRAS = frozenset({"node", "process", "clouds", "kafka"})  # As far as they are installed here.

# `exec` keeps the process id that systemd knows; the path is found anew, so a release can be moved.
_SCRIPT = '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -I -m {module} "$@"\n'

Contents = Mapping[PurePosixPath, Path]  # Path inside site-packages to the file it is copied from.


def contents() -> Contents:
    """Every file of this software and of what it needs."""
    own = distribution("multicloud")
    found: dict[PurePosixPath, Path] = {}
    for needed in _closure(own):
        found.update(_files_of(needed))
    found.update(_about(own))
    for package in PACKAGES:
        found.update(_tree(_folder_of(package), PurePosixPath(package)))
    for name in DATA:
        found.update(_tree(resource(name), PurePosixPath("multicloud/data", name)))
    return found


def build(places: Places, files: Contents, python: Interpreter) -> Path:
    """The release's folder; made unless it is there already."""
    release = places.releases / _name(files, python)
    if release.exists():
        return release
    for folder in (places.opt, places.releases):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    partial = release.with_name(f".{release.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # Of an attempt that was cut off.
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for inside, source in files.items():
        _copy(source, partial / packages / inside)
    _copy(resource("config/nodeagent.toml"), partial / "share/nodeagent.toml")
    compileall.compile_dir(partial / packages, quiet=2)  # The service cannot write beside them.
    _make_environment(partial, python)
    _open_to_all(partial)
    os.sync()  # Rename only what is on disk.
    partial.rename(release)
    return release


def size_bytes(files: Contents) -> int:
    return sum(source.stat().st_size for source in files.values())


def _make_environment(folder: Path, python: Interpreter) -> None:
    """A virtual environment, by hand: a link and three lines need no `venv` module."""
    bin_ = folder / "bin"
    bin_.mkdir()
    (bin_ / "python").symlink_to(python.path)
    for command, module in (("nodeagentd", "nodeagent"), ("mcctl", "mcctl")):
        (bin_ / command).write_text(_SCRIPT.format(module=module))
    lines = (f"home = {python.path.parent}", "include-system-site-packages = false")
    (folder / "pyvenv.cfg").write_text("\n".join(lines) + "\n")


def _open_to_all(folder: Path) -> None:
    """Readable by the service's user, whatever the umask and the modes of the originals."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent == folder / "bin" else 0o644)


def _name(files: Contents, python: Interpreter) -> str:
    digest = hashlib.sha256(f"{python.path}\n{python.soabi}\n".encode())
    for inside in sorted(files):
        content = hashlib.sha256(files[inside].read_bytes()).hexdigest()
        digest.update(f"{inside} {content}\n".encode())
    return f"{__version__}-{digest.hexdigest()[:12]}"


def _closure(own: Distribution) -> Iterator[Distribution]:
    """What it needs, and what that needs; a requirement of another platform is not installed."""
    seen = {"multicloud"}
    waiting = list(_requirements(own, EXTRAS))
    while waiting:
        name, extras = waiting.pop()
        key = f"{name}[{','.join(sorted(extras))}]"
        if key in seen:
            continue
        seen.add(key)
        try:
            needed = distribution(name)
        except PackageNotFoundError:
            continue
        yield needed
        waiting += _requirements(needed, extras)


def _requirements(of: Distribution, extras: Iterable[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in of.requires or ():
        requirement, _, marker = text.partition(";")
        conditions = re.findall(r"""extra\s*==\s*['"]([^'"]+)['"]""", marker)
        if conditions and not set(conditions) & set(extras):
            continue
        found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", requirement)
        assert found, f"{text!r} is no requirement"
        wanted = frozenset(e.strip() for e in (found.group(2) or "").split(",") if e.strip())
        yield re.sub(r"[-_.]+", "-", found.group(1)).lower(), wanted


def _files_of(needed: Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    if needed.files is None:
        name = needed.metadata["Name"]
        raise McError(
            "FAILED",
            f"{name} has no list of its files, so it cannot be copied",
            next="install into an environment of its own: pipx install 'multicloud[node]'",
        )
    for file in needed.files:
        inside = PurePosixPath(file)
        outside = inside.is_absolute() or ".." in inside.parts
        if not outside and inside.suffix not in (".pyc", ".pth"):
            yield inside, Path(str(needed.locate_file(file)))


def _about(own: Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """What this distribution says of itself, so that a release can install again."""
    for inside, source in _files_of(own):
        in_info = inside.parts[0].endswith(".dist-info")
        if in_info and inside.name != "direct_url.json" and source.exists():
            yield inside, source


def _folder_of(package: str) -> Path:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    assert folders, f"{package} is a part of this software"
    return Path(next(iter(folders)))


def _tree(folder: Path, inside: PurePosixPath) -> Iterator[tuple[PurePosixPath, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield inside / path.relative_to(folder).as_posix(), path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
