"""Versions go into buckets as plain files, whole or named; what is there is not written again."""

import hashlib
import json
import os

import pytest

from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import export_pb2, job_pb2
from multicloud.v1.export_pb2_grpc import ExportServiceStub
from multicloud.v1.job_pb2_grpc import JobServiceStub
from nodeagent.rpc.access import OPERATOR, SUBMITTER
from tests.sources.ground import laptop
from tests.sources.town import Town, ended, spec
from tests.support.people import People

TO = "s3://corpus/out/"
FILES = {f"raw/d/{n:02}": os.urandom(n * 1000) for n in range(30)} | {
    "raw/big": os.urandom(3 << 20)
}


async def exported(
    client: Client, **more: object
) -> tuple[export_pb2.ExportVersionResponse, dict[str, str]]:
    """The last that was said, and what failed."""
    asked = export_pb2.ExportVersionRequest(**{"name": "corpus", "target": TO, **more})
    last, faults = export_pb2.ExportVersionResponse(), dict[str, str]()
    async for last in client.stub(ExportServiceStub).ExportVersion(asked, timeout=60):
        faults |= {one.path.decode(): one.reason for one in last.faults}
    return last, faults


async def made(town: Town, client: Client) -> None:
    await town.fill(FILES)
    jobs = client.stub(JobServiceStub)
    request = job_pb2.CreateJobRequest(spec=spec())
    job = (await jobs.CreateJob(request, timeout=30)).job
    assert (await ended(jobs, job.id)).state == job_pb2.JOB_STATE_DONE


def there(town: Town, prefix: str = "out/") -> dict[str, bytes]:
    found = town.views[1].objects
    return {k.removeprefix(prefix): data for k, (_, data) in found.items() if k.startswith(prefix)}


async def test_an_export_is_the_files_as_they_were_and_a_manifest_that_tells_of_them(
    town: Town, people: People
) -> None:
    async with laptop(people, "ada", OPERATOR, [town.sites[3]]) as client:
        await made(town, client)
        dry, _ = await exported(client, validate_only=True)
        assert (dry.files, dry.bytes) == (len(FILES), sum(map(len, FILES.values())))
        assert (list(dry.writers), there(town)) == (["node-1", "node-2"], {})
        last, faults = await exported(client)
        assert (last.files_written, last.files_there, faults) == (len(FILES), 0, {})
        found = there(town)
        wanted = {key.removeprefix("raw/"): data for key, data in FILES.items()}
        assert {k: d for k, d in found.items() if not k.startswith("_multicloud/")} == wanted
        manifest = json.loads(found["_multicloud/manifest.json"])
        assert (manifest["dataset"], manifest["files"]) == ("corpus", len(FILES))
        lines = [
            json.loads(line) for name in manifest["lists"] for line in found[name].splitlines()[1:]
        ]
        assert {line["key"].removeprefix("out/") for line in lines} == set(wanted)
        for line in lines:
            data = wanted[line["key"].removeprefix("out/")]
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            assert (line["bytes"], line["checksum"]) == (len(data), f"md5:{md5}")

        puts = town.views[1].puts + town.views[2].puts
        last, _ = await exported(client)
        assert (last.files_written, last.files_there) == (0, len(FILES))
        assert town.views[1].puts + town.views[2].puts - puts == 2  # The list and the manifest.


async def test_what_differs_is_left_and_named_and_there_is_no_manifest_unless_it_is_replaced(
    town: Town, people: People
) -> None:
    async with laptop(people, "ada", OPERATOR, [town.sites[1]]) as client:
        await made(town, client)
        await town.put("out/big", b"somebody's")
        await town.put("out/d/07", FILES["raw/d/07"])
        last, faults = await exported(client)
        assert (last.files_written, last.files_there, last.files_failed) == (len(FILES) - 2, 1, 1)
        assert faults == {"big": "ALREADY_EXISTS"}
        assert (there(town)["big"], last.manifest) == (b"somebody's", "")
        assert "_multicloud/manifest.json" not in there(town)
        last, faults = await exported(client, overwrite=True)
        assert (last.files_written, last.files_there, faults) == (1, len(FILES) - 1, {})
        assert there(town)["big"] == FILES["raw/big"]
        assert last.manifest == "s3://corpus/out/_multicloud/manifest.json"


async def test_an_export_goes_on_by_the_nodes_that_may_write_and_says_what_the_others_lack(
    town: Town, people: People
) -> None:
    async with laptop(people, "ada", OPERATOR, [town.sites[1]]) as client:
        await made(town, client)
        town.views[1].puts_left = 5
        last, _ = await exported(client, include=["d"])
        assert (last.files_written + last.files_there, last.files_failed) == (30, 0)
        assert last.files == 30
        for view in town.views.values():
            view.puts_left = 0
        with pytest.raises(McError, match=r"node-1: s3:PutObject.*node-2: s3:PutObject") as caught:
            await exported(client, overwrite=True)
        assert caught.value.reason == "NOT_ALLOWED"


async def test_nothing_is_exported_over_another_version_into_a_volume_or_by_a_submitter(
    town: Town, people: People
) -> None:
    async with laptop(people, "ada", OPERATOR, [town.sites[1]]) as client:
        await made(town, client)
        await exported(client)
        await made_again(town, client)
        with pytest.raises(McError, match="holds an export of corpus@") as caught:
            await exported(client)
        assert caught.value.reason == "ALREADY_EXISTS"
        await town.put("vol/volume.json", b"{}")
        with pytest.raises(McError, match="volume of a node"):
            await exported(client, target="s3://corpus/vol/chunks/x")
        for target in ("node://node-1/x", "s3://", "/tmp/x"):
            with pytest.raises(McError) as caught:
                await exported(client, target=target)
            assert caught.value.reason in ("BAD_REQUEST", "UNSUPPORTED")
    async with laptop(people, "eve", SUBMITTER, [town.sites[1]]) as client:
        with pytest.raises(McError) as caught:
            await exported(client)
        assert caught.value.reason == "NOT_ALLOWED"


async def made_again(town: Town, client: Client) -> None:
    jobs = client.stub(JobServiceStub)
    job = (await jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec()), timeout=30)).job
    assert (await ended(jobs, job.id)).state == job_pb2.JOB_STATE_DONE
