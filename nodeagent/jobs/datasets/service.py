"""DatasetService: what there is, its files and their bytes, on any node that has the keys."""

import base64
import binascii
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from blake3 import blake3

from multicloud.errors import FieldFault, McError
from multicloud.v1 import read_pb2, records_pb2
from nodeagent.jobs.datasets.listing import listed
from nodeagent.jobs.datasets.reading import Reading, chunks_of, whole_hash
from nodeagent.jobs.datasets.removing import Freed, Removing
from nodeagent.jobs.datasets.verifying import Verifying
from nodeagent.jobs.datasets.versions import Versions, order
from nodeagent.rpc.admin.nodes import rfc3339
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, page
from nodeagent.wire.answers import Answers
from nodeagent.wire.outlet import Purse

DATA_BYTES_MAX = 1 << 20  # In one message of ReadFile and ReadFiles.
FILES_MAX = 256  # Of one ReadFiles.
PARTS_TOLD_MAX = 20_000  # Of one file: about 800 KiB.
LISTED_BYTES_MAX = 1 << 20  # In one page of files: a control message is small.


@dataclass(slots=True)
class DatasetService:
    versions: Versions
    reading: Reading
    verifying: Verifying
    removing: Removing

    async def list_datasets(
        self, request: read_pb2.ListDatasetsRequest, call: Call
    ) -> read_pb2.ListDatasetsResponse:
        def wanted(record: records_pb2.VersionRecord) -> bool:
            return not record.removed_unix_ms or (
                request.show_removed and self.versions.can_be_restored(record)
            )

        records = [record for record in self.versions.all() if wanted(record)]
        given, token = page(records, request.page_size, request.page_token, _page_key)
        return read_pb2.ListDatasetsResponse(versions=map(_shown, given), next_page_token=token)

    async def get_version(
        self, request: read_pb2.GetVersionRequest, call: Call
    ) -> read_pb2.GetVersionResponse:
        record = await self.versions.find(request.name, request.version)
        return read_pb2.GetVersionResponse(version=_shown(record), manifest_chunks=record.manifest)

    async def list_files(
        self, request: read_pb2.ListFilesRequest, call: Call
    ) -> read_pb2.ListFilesResponse:
        if request.page_size < 0:
            fault = FieldFault("page_size", f"0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}")
            raise McError("BAD_REQUEST", "page_size is negative", faults=[fault])
        size = min(request.page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        manifest = await self.reading.manifest(request.name, request.version)
        answer = read_pb2.ListFilesResponse()
        begin, count, listed_bytes = _begin(request.page_token), 0, 0
        async for found in listed(manifest, request.prefix, request.delimiter, begin):
            if count >= size or listed_bytes > LISTED_BYTES_MAX:
                answer.next_page_token = base64.urlsafe_b64encode(begin).decode()
                break
            if found.entries:
                answer.files.append(_file(found.entries))
            else:
                answer.folders.append(found.path)
            begin, count = found.behind, count + 1
            listed_bytes += answer.files[-1].ByteSize() if found.entries else len(found.path)
        return answer

    async def read_file(
        self, requests: AsyncIterator[read_pb2.ReadFileRequest], call: Call
    ) -> AsyncIterator[read_pb2.ReadFileResponse]:
        opening = await _opening(requests)
        manifest = await self.reading.manifest(opening.name, opening.version)
        ranged = opening.HasField("range")
        answers: Answers[read_pb2.ReadFileResponse] = Answers()
        purse = Purse()

        async def give(piece: bytes) -> None:
            for start in range(0, len(piece), DATA_BYTES_MAX):
                data = piece[start : start + DATA_BYTES_MAX]
                while not purse.covers(len(data)):
                    purse.add(await _credit(requests))
                await purse.spend(len(data))
                answers.say(read_pb2.ReadFileResponse(data=data))
                await answers.read()

        async def work() -> None:
            await self.reading.read(
                manifest,
                opening.path,
                give,
                offset_bytes=opening.range.offset_bytes if ranged else 0,
                size_bytes=opening.range.size_bytes if ranged else None,
            )

        async for answer in answers.of(work):
            yield answer

    async def read_files(
        self, request: read_pb2.ReadFilesRequest, call: Call
    ) -> read_pb2.ReadFilesResponse:
        if len(request.paths) > FILES_MAX:
            said = f"{len(request.paths)} files were asked for at once; {FILES_MAX} may be"
            raise McError("TOO_LARGE", said, next="read fewer at once")
        manifest = await self.reading.manifest(request.name, request.version)
        data = await self.reading.several(manifest, request.paths, DATA_BYTES_MAX)
        return read_pb2.ReadFilesResponse(data=data)

    async def verify_version(
        self, request: read_pb2.VerifyVersionRequest, call: Call
    ) -> AsyncIterator[read_pb2.VerifyVersionResponse]:
        manifest = await self.reading.manifest(request.name, request.version)
        async for sums in self.verifying.of(manifest):
            yield sums

    async def remove_version(
        self, request: read_pb2.RemoveVersionRequest, call: Call
    ) -> read_pb2.RemoveVersionResponse:
        _named(request.name, request.version)
        freed = await self._frees(request)
        if not request.validate_only:
            operation = _operation("remove", request.request_id)
            await self.removing.remove(
                request.name, request.version, operation, shred=request.shred
            )
        return read_pb2.RemoveVersionResponse(bytes_freed=freed.bytes, chunks_freed=freed.chunks)

    async def _frees(self, request: read_pb2.RemoveVersionRequest) -> Freed:
        """A version that nobody can read is removed all the same; what it frees is not known."""
        try:
            return await self.removing.frees(request.name, request.version)
        except McError as error:
            if error.reason not in ("COPIES_MISSING", "KEY_MISSING", "DAMAGE"):
                raise
            return Freed(0, 0)

    async def restore_version(
        self, request: read_pb2.RestoreVersionRequest, call: Call
    ) -> read_pb2.RestoreVersionResponse:
        _named(request.name, request.version)
        operation = _operation("restore", request.request_id)
        record = await self.removing.restore(request.name, request.version, operation)
        return read_pb2.RestoreVersionResponse(version=_shown(record))


async def _opening(
    requests: AsyncIterator[read_pb2.ReadFileRequest],
) -> read_pb2.ReadFileOpening:
    async for request in requests:
        if request.WhichOneof("part") == "opening":
            return request.opening
        break
    raise McError("BAD_REQUEST", "a read begins with its opening")


async def _credit(requests: AsyncIterator[read_pb2.ReadFileRequest]) -> int:
    async for request in requests:
        if request.WhichOneof("part") == "credit_bytes":
            return request.credit_bytes
        raise McError("BAD_REQUEST", "after its opening a read gives credit only")
    raise McError("CANCELLED", "the reader has gone")


def _named(name: str, version: str) -> None:
    """Nobody removes the newest by leaving something out."""
    if not name or not version:
        fault = FieldFault("version", "is named: NAME@VERSION")
        raise McError("BAD_REQUEST", "which version?", faults=[fault])


def _operation(what: str, request_id: str) -> str:
    """The same request is the same decision."""
    wish = request_id or os.urandom(16).hex()
    return blake3(f"{what} {wish}".encode()).hexdigest(16)


def _page_key(record: records_pb2.VersionRecord) -> str:
    name, number, version = order(record)
    return f"{name}\0{number:020}\0{version}"


def _begin(token: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError) as error:
        fault = FieldFault("page_token", "take it from next_page_token of the last answer")
        raise McError("BAD_REQUEST", "page_token is not one of ours", faults=[fault]) from error


def _shown(record: records_pb2.VersionRecord) -> read_pb2.DatasetVersion:
    return read_pb2.DatasetVersion(
        name=record.name,
        version=record.version,
        files=record.files,
        chunks=record.chunks,
        bytes=record.bytes,
        created_time=rfc3339(record.created_unix_ms / 1000),
        removed=bool(record.removed_unix_ms),
    )


def _file(entries: list[records_pb2.ManifestFile]) -> read_pb2.DatasetFile:
    first = entries[0]
    return read_pb2.DatasetFile(
        path=first.path,
        bytes=first.bytes,
        chunks=chunks_of(entries),
        blake3=whole_hash(entries),
        origin=first.origin,
        origin_etag=first.origin_etag,
        records=first.records,
        modified_unix_ms=first.modified_unix_ms,
        mode=first.mode,
        parts=_parts(entries),
    )


def _parts(entries: list[records_pb2.ManifestFile]) -> list[read_pb2.DatasetPart]:
    parts = [part for entry in entries for part in entry.parts]
    if len(parts) > PARTS_TOLD_MAX:
        return []
    return [read_pb2.DatasetPart(size_bytes=p.size_bytes, blake3=p.blake3) for p in parts]
