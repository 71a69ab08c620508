"""What a power cut may leave of a log: every write, name and size that no sync has forced may be
there or not, alone and in any order; pages may be torn and rooms hold old bytes.

Stricter than ext4, xfs or btrfs are: none of them would lose or reorder so much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random

from tests.crash.disk import (
    BLOCK_BYTES,
    DataSync,
    Enter,
    FolderSync,
    Leave,
    Mark,
    Move,
    Op,
    Resize,
    Tree,
    Write,
    base_inodes,
    split,
)

SECTOR_BYTES = 512
OLD_BYTES = b"\xa5old"  # What a block held before it was this file's.
SIZE, NAME = -1, -2  # Parts of an op beside the numbers of its pages.


@dataclass(frozen=True, slots=True)
class Unit:
    """What is lost or kept as one: a name, a size, a page; or all bytes of an unnamed file."""

    parts: frozenset[tuple[int, int]]  # Op and part.


@dataclass(frozen=True, slots=True)
class Odds:
    """What else may happen to a state, drawn anew for each one that is sampled."""

    both_names: frozenset[int] = frozenset()  # Moves that left the old name in place.
    torn: frozenset[tuple[int, int]] = frozenset()  # Pages of which only some sectors are new.
    old_bytes: bool = False  # Instead of zeros, where a size came without its page.


@dataclass(slots=True)
class _View:
    """A state while it is made up. What it shares with others it copies before it changes it."""

    names: dict[str, int]  # Files, by path.
    folders: set[str]
    data: dict[int, bytearray]
    own: set[int] = field(default_factory=set)  # Inodes whose bytes are no longer shared.
    came: list[str] = field(default_factory=list)  # New folders: some may hang on none.

    def copy(self) -> "_View":
        return _View(dict(self.names), set(self.folders), dict(self.data))

    def of(self, inode: int) -> bytearray:
        if inode not in self.own:
            self.data[inode] = bytearray(self.data.get(inode, b""))
            self.own.add(inode)
        return self.data[inode]

    def tree(self) -> Tree:
        folders = self.folders
        if any(split(folder)[0] not in folders for folder in self.came):
            folders = {""}
            for folder in sorted(self.folders - {""}):
                if split(folder)[0] in folders:
                    folders.add(folder)
        files = {
            path: bytes(self.data.get(inode, b""))
            for path, inode in self.names.items()
            if split(path)[0] in folders
        }
        return Tree(files, frozenset(folders))


class Cut:
    """The power fails after these calls, on a disk that began as `base`."""

    def __init__(self, base: Tree, ops: Sequence[Op]) -> None:
        self._ops = [op for op in ops if not isinstance(op, Mark)]
        self._free = _unforced(self._ops)
        self._start = _View(
            {path: inode for inode, path in base_inodes(base)},
            set(base.folders),
            {inode: bytearray(base.files[path]) for inode, path in base_inodes(base)},
        )
        first = min((at for at, free in enumerate(self._free) if free), default=len(self._ops))
        self._done = first
        for at in range(first):
            _apply(self._start, self._ops[at], at, None, Odds())
        self._start.own.clear()
        self.units = self._units()

    def state(self, kept: frozenset[tuple[int, int]], odds: Odds | None = None) -> Tree:
        """That of the forced parts and those that are kept by chance."""
        view, odds = self._start.copy(), odds or Odds()
        for at in range(self._done, len(self._ops)):
            _apply(view, self._ops[at], at, kept if self._free[at] else None, odds)
        return view.tree()

    def states(self, chance: Random, units_max: int, samples: int) -> Iterator[Tree]:
        """All of them up to so many units, otherwise the extremes and samples; then odd ones."""
        units = self.units
        if len(units) <= units_max:
            for choice in product((False, True), repeat=len(units)):
                yield self.state(_parts(u for u, keep in zip(units, choice, strict=True) if keep))
        else:
            yield from (self.state(kept) for kept in _extremes(units, chance, samples))
            for _ in range(samples):
                yield self.state(_some(units, chance))
        if units:
            for _ in range(min(samples, len(units))):
                kept = _some(units, chance)
                yield self.state(kept, self._odds(kept, chance))

    def _odds(self, kept: frozenset[tuple[int, int]], chance: Random) -> Odds:
        moves = [at for at, op in enumerate(self._ops) if isinstance(op, Move)]
        both = frozenset(at for at in moves if (at, NAME) in kept and chance.random() < 0.5)
        pages = sorted(part for part in kept if part[1] >= 0)
        torn = frozenset(part for part in pages if chance.random() < 0.3)
        return Odds(both, torn, chance.random() < 0.5)

    def _units(self) -> list[Unit]:
        """In the order of the log."""
        hidden = self._hidden()
        sizes = {inode: len(data) for inode, data in self._start.data.items()}
        units: list[Unit] = []
        together: dict[int, set[tuple[int, int]]] = {}
        for at in range(self._done, len(self._ops)):
            op = self._ops[at]
            parts = list(_parts_of(op, sizes))
            if not self._free[at]:
                continue
            if isinstance(op, Write | Resize) and op.inode in hidden:
                together.setdefault(op.inode, set()).update((at, part) for part in parts)
            else:
                units += [Unit(frozenset({(at, part)})) for part in parts]
        return units + [Unit(frozenset(parts)) for parts in together.values()]

    def _hidden(self) -> set[int]:
        """Files that stand nowhere but in tmp/, whatever is lost: their bytes need no detail."""
        seen: dict[int, set[str]] = {}
        for path, inode in self._start.names.items():
            seen.setdefault(inode, set()).add(path)
        for op in self._ops[self._done :]:
            if isinstance(op, Enter | Move) and op.inode is not None:
                seen.setdefault(op.inode, set()).add(f"{op.folder}/{op.name}")
        return {i for i, paths in seen.items() if all("/tmp/" in f"/{p}" for p in paths)}


def _unforced(ops: Sequence[Op]) -> list[bool]:
    """Which ops no later sync has forced. After a failed sync its ops never are."""
    data: dict[int, bool] = {}
    folders: dict[str, bool] = {}
    taken: set[tuple[str, str]] = set()
    free = [False] * len(ops)
    for at in range(len(ops) - 1, -1, -1):
        match ops[at]:
            case DataSync(inode, ok):
                data[inode] = ok
            case FolderSync(folder, ok):
                folders[folder] = ok
            case Write(inode) | Resize(inode):
                free[at] = not data.get(inode, False)
            case Enter(folder) | Leave(folder):
                free[at] = not folders.get(folder, False)
            case Move(old_folder, old_name, folder):
                free[at] = not (folders.get(folder, False) or folders.get(old_folder, False))
                if not free[at]:
                    taken.add((old_folder, old_name))
        # A name that a forced move took away again makes no difference by itself.
        match ops[at]:
            case Enter(folder, name) if (folder, name) in taken:
                free[at] = False
                taken.discard((folder, name))
    return free


def _parts_of(op: Op, sizes: dict[int, int]) -> Iterator[int]:
    """What of an op may be there by itself; keeps the size that the file has by now."""
    match op:
        case Enter() | Move() | Leave():
            yield NAME
        case Resize(inode, size, grow_only):
            sizes[inode] = max(size, sizes.get(inode, 0)) if grow_only else size
            yield SIZE
        case Write(inode, offset, data):
            end = offset + len(data)
            if end > sizes.get(inode, 0):
                sizes[inode] = end
                yield SIZE
            yield from range(offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1)


def _apply(
    view: _View, op: Op, at: int, kept: frozenset[tuple[int, int]] | None, odds: Odds
) -> None:
    """`kept` is None where the op was forced."""
    match op:
        case Write():
            _write(view.of(op.inode), op, at, kept, odds)
        case _ if kept is not None and not {(at, NAME), (at, SIZE)} & kept:
            return
        case Enter(folder, name, None):
            view.folders.add(_path(folder, name))
            view.came.append(_path(folder, name))
        case Enter(folder, name, int(inode)):
            view.names[_path(folder, name)] = inode
        case Leave(folder, name):
            view.names.pop(_path(folder, name), None)
        case Move(old_folder, old_name, folder, name, inode):
            # A name that came to another file meanwhile is not this one's to take away.
            old = _path(old_folder, old_name)
            if at not in odds.both_names and view.names.get(old) == inode:
                del view.names[old]
            view.names[_path(folder, name)] = inode
        case Resize(inode, size, grow_only):
            held = view.of(inode)
            if not grow_only:
                del held[size:]
            held.extend(bytes(max(0, size - len(held))))


def _write(
    held: bytearray, op: Write, at: int, kept: frozenset[tuple[int, int]] | None, odds: Odds
) -> None:
    end = op.offset + len(op.data)
    if kept is None or (at, SIZE) in kept:
        _grow(held, end, odds)
    for page in range(op.offset // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1):
        if kept is not None and (at, page) not in kept:
            continue
        torn = kept is not None and (at, page) in odds.torn
        start, stop = max(op.offset, page * BLOCK_BYTES), min(end, (page + 1) * BLOCK_BYTES)
        stop = min(stop, len(held))  # What lies beyond the size that was kept is not seen.
        for sector in range(start, stop, SECTOR_BYTES):
            upto = min(stop, sector + SECTOR_BYTES)
            if torn and (sector // SECTOR_BYTES + at) % 2:
                continue
            held[sector:upto] = op.data[sector - op.offset : upto - op.offset]
            if not torn:
                held[upto:stop] = op.data[upto - op.offset : stop - op.offset]
                break


def _grow(held: bytearray, size: int, odds: Odds) -> None:
    missing = max(0, size - len(held))
    old = (OLD_BYTES * (missing // len(OLD_BYTES) + 1))[:missing] if odds.old_bytes else b""
    held.extend(old or bytes(missing))


def _extremes(
    units: Sequence[Unit], chance: Random, samples: int
) -> Iterator[frozenset[tuple[int, int]]]:
    """Nothing, everything; and up to so many of: the first ones, one alone, all but one."""
    yield frozenset()
    yield _parts(units)
    for at in sorted(chance.sample(range(len(units)), min(samples, len(units)))):
        yield _parts(units[:at])
        yield _parts([units[at]])
        yield _parts([*units[:at], *units[at + 1 :]])


def _some(units: Sequence[Unit], chance: Random) -> frozenset[tuple[int, int]]:
    likely = chance.choice((0.2, 0.5, 0.8))
    return _parts(unit for unit in units if chance.random() < likely)


def _parts(units: "Iterator[Unit] | Sequence[Unit]") -> frozenset[tuple[int, int]]:
    return frozenset(part for unit in units for part in unit.parts)


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
