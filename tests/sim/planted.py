"""Bugs that are planted in the brain, one small change of source each; the lives must find them.

A bug is text that stands once in a module of `coordinator/`, and what it becomes; or a setting
and its wrong value. The modules that decide are built anew from the changed source; words,
messages and events stay the same.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import ModuleType

from coordinator.brain import Brain
from coordinator.settings import Settings
from coordinator.types import Facts
from tests.sim.hosts import MakeBrain
from tests.sim.lives import LIVES

FOLDER = Path(__file__).resolve().parents[2] / "coordinator"
PACKAGE = "coordinator"
# Shared by all brains and by the simulator: types must stay the same objects.
WORDS = ("__init__", "actions", "events", "messages", "settings", "types")
SETTING = "settings"


@dataclass(frozen=True, slots=True)
class Bug:
    name: str
    module: str
    old: str
    new: str
    lives: tuple[tuple[str, int, float], ...]  # Where it may show: life, nodes, loss.
    seeds: int = 4
    also: tuple[str, str, str] | None = None  # A second change, where two guards do one work.


@dataclass(frozen=True, slots=True)
class Found:
    """Where a bug showed itself first."""

    life: str
    nodes: int
    loss: float
    seed: int
    complaint: str


def search(bug: Bug) -> Found | None:
    """The first life and seed that complain about the planted bug."""
    make = brain_with(bug)
    for life, nodes, loss in bug.lives:
        for seed in range(bug.seeds):
            complaints = LIVES[life](make, seed, nodes, loss)
            # Only what the true brain stands is a proof against the planted one.
            if complaints and not LIVES[life](Brain, seed, nodes, loss):
                return Found(life, nodes, loss, seed, complaints[0])
    return None


def brain_with(bug: Bug) -> MakeBrain:
    """What makes brains that have the bug."""
    if bug.module == SETTING:
        return _with_setting(bug)
    changes = [(bug.module, bug.old, bug.new), *([bug.also] if bug.also else [])]
    changed = {module: _planted(bug, module, old, new) for module, old, new in changes}
    brain: MakeBrain = _rebuilt(changed).Brain
    return brain


def _planted(bug: Bug, module: str, old: str, new: str) -> str:
    source = (FOLDER / f"{module}.py").read_text()
    if source.count(old) != 1:
        raise ValueError(f"{bug.name}: its text stands {source.count(old)} times, not once")
    return source.replace(old, new)


def _with_setting(bug: Bug) -> MakeBrain:
    wrong = float(bug.new)
    kind = type(getattr(Settings(), bug.old))

    def make(own: Facts, settings: Settings, rng: Random, now_s: float) -> Brain:
        return Brain(own, replace(settings, **{bug.old: kind(wrong)}), rng, now_s)

    return make


def _rebuilt(changed: Mapping[str, str]) -> ModuleType:
    """`coordinator.brain` and all that it stands on, run anew with the changed sources.

    While they run they must find each other under their names; afterwards the true ones do.
    """
    names = [p.stem for p in FOLDER.glob("*.py") if p.stem not in WORDS]
    package = importlib.import_module(PACKAGE)
    for name in names:
        importlib.import_module(f"{PACKAGE}.{name}")
    kept = {name: sys.modules.pop(f"{PACKAGE}.{name}") for name in names}
    finder = _Changed(changed)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(f"{PACKAGE}.brain")
    finally:
        sys.meta_path.remove(finder)
        for name, module in kept.items():
            sys.modules[f"{PACKAGE}.{name}"] = module
            setattr(package, name, module)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the changed modules, and leaves the rest to Python."""

    def __init__(self, changed: Mapping[str, str]) -> None:
        self._changed = changed

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package != PACKAGE or name not in self._changed:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.rpartition(".")[2]
        exec(compile(self._changed[name], f"<planted {name}>", "exec"), module.__dict__)
