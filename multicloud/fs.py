"""`mc://name@version/path` for everything that knows fsspec: pandas, pyarrow, DuckDB and others.

Versions never change, so what was found out about a file stays true. Without a version a path means
the newest one at that moment; name one to read the same bytes tomorrow.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from fsspec.spec import AbstractFileSystem

from multicloud.cluster import AT_ONCE, Cluster
from multicloud.datasets import SCHEME, File, Location, Version
from multicloud.errors import McError
from multicloud.opened import BUFFER_BYTES, OpenFile

Info = dict[str, Any]


class McFileSystem(AbstractFileSystem):  # type: ignore[misc]  # It comes without types.
    """Read-only. `context` and `nodes` are those of `multicloud.connect`."""

    protocol = SCHEME
    root_marker = ""
    cachable = True

    def __init__(self, context: str | None = None, nodes: Sequence[str] = (), **more: Any) -> None:
        super().__init__(context=context, nodes=nodes, **more)
        self.cluster = Cluster(context, nodes)

    # -- What there is

    def info(self, path: str, **_: Any) -> Info:
        path = self._strip_protocol(path)
        if not path:
            return _folder("")
        wanted = Location.parse(path)
        with _as_os_errors(path):
            if not wanted.path:
                return _of_version(path, self.cluster.version(path))
            try:
                return _of_file(path, self.cluster.file(path))
            except McError as error:
                if error.reason != "NOT_FOUND":
                    raise
                return self._folder_of(path, error)

    def _folder_of(self, path: str, error: McError) -> Info:
        if next(self.cluster.files(f"{path}/"), None) is None:
            raise error
        return _folder(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        with _as_os_errors(path):
            found = list(self._children(path))
            if not found:
                found = [self.info(path)]
        return found if detail else [one["name"] for one in found]

    def _children(self, path: str) -> Iterator[Info]:
        if not path:
            for version in self.cluster.versions():
                yield _of_version(str(version), version)
            return
        which = path.partition("/")[0]
        begin = f"{path}/" if "/" in path else f"{which}/"
        for one in self.cluster.children(begin):
            name = one if isinstance(one, str) else one.path
            full = f"{which}/{name}"
            yield _folder(full.rstrip("/")) if isinstance(one, str) else _of_file(full, one)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **_: Any,
    ) -> Any:
        """All below a path with one listing, however deep."""
        path = self._strip_protocol(path)
        if maxdepth is not None or not path:
            return super().find(path, maxdepth, withdirs, detail)
        found: dict[str, Info] = {}
        with _as_os_errors(path):
            for one in self._below(path):
                if withdirs:
                    found |= _folders_between(path, one["name"])
                found[one["name"]] = one
        found = dict(sorted(found.items()))
        return found if detail else list(found)

    def _below(self, path: str) -> Iterator[Info]:
        which, _, rest = path.partition("/")
        if rest:
            try:
                yield _of_file(path, self.cluster.file(path))
            except McError as error:
                if error.reason != "NOT_FOUND":
                    raise
        for file in self.cluster.files(f"{path}/"):
            yield _of_file(f"{which}/{file.path}", file)

    def created(self, path: str) -> datetime:
        found: datetime = self.info(path)["created"]
        return found

    def modified(self, path: str) -> datetime:
        found: datetime = self.info(path)["modified"]
        return found

    def checksum(self, path: str) -> int:
        return int(self.ukey(path)[:15], 16)

    def ukey(self, path: str) -> str:
        """Of the content: a cache that has it need not ask again."""
        found: str = self.info(path)["etag"]
        return found

    # -- Bytes

    def _open(self, path: str, mode: str = "rb", **how: Any) -> OpenFile:
        if mode != "rb":
            raise OSError(f"{path}: datasets are read only; `mcctl submit` makes new versions")
        with _as_os_errors(path):
            buffer_bytes = min(how.get("block_size") or BUFFER_BYTES, BUFFER_BYTES)
            return OpenFile(self.cluster, self.cluster.file(path), int(buffer_bytes))

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        path = self._strip_protocol(path)
        with _as_os_errors(path):
            return self.cluster.read(path, start, end)

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Several at once; with `on_error="return"` an error stands in the place of its bytes."""
        many = len(paths)
        begins = list(starts) if isinstance(starts, Sequence) else [starts] * many
        stops = list(ends) if isinstance(ends, Sequence) else [ends] * many

        def one(place: int) -> bytes | Exception:
            try:
                return self.cat_file(paths[place], begins[place], stops[place])
            except (OSError, McError) as error:
                if on_error == "return":
                    return error
                raise

        return self.cluster.at_once(one, range(many), AT_ONCE)


class _as_os_errors:
    """What file systems say when there is nothing: callers of fsspec look for it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, McError) and error.reason == "NOT_FOUND":
            raise FileNotFoundError(f"{error.message}; next: {error.next}") from error


def _folder(path: str) -> Info:
    return {"name": path, "size": 0, "type": "directory"}


def _of_version(path: str, version: Version) -> Info:
    made = version.created
    return _folder(path) | {"created": made, "modified": made, "version": version.version}


def _of_file(path: str, file: File) -> Info:
    return {
        "name": path,
        "size": file.size_bytes,
        "type": "file",
        "etag": file.etag,
        "created": file.modified,
        "modified": file.modified,
        "mtime": file.modified,
        "version": file.version,
        "records": file.records,
    }


def _folders_between(path: str, name: str) -> dict[str, Info]:
    found, at = {}, len(path)
    while (at := name.find("/", at + 1)) > 0:
        found[name[:at]] = _folder(name[:at])
    return found
