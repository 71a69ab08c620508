"""A bucket into three safe copies by `mcctl submit`, beside `s5cmd` that downloads the same bucket
to one disk: from the same server, OpenStack Swift by its S3 API.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path

from tests.bench import payload
from tests.bench.cluster import DevCluster, dev_cluster
from tests.bench.fleet import bench_folder
from tests.bench.frame import Broken, Goal, Row, Say, not_run
from tests.bench.pairs import Leg, Took, interleaved, leg_rows, ratio_row
from tests.support.servers import swift

OBJECTS, OBJECT_BYTES, ROUNDS = 16, 16 << 20, 3
NODES, BUCKET, LAB = 3, "bench", "lab"
OURS, FLOOR = "S3 to three safe copies", "s5cmd to one disk"
RATIO_MIN = 0.5
RUN_S_MAX = 120.0
_numbers = count(1)


async def rows(say: Say) -> AsyncIterator[Row]:
    s5cmd = shutil.which("s5cmd") or shutil.which("s5cmd", path=Path(sys.executable).parent)
    if s5cmd is None or not swift.PYTHON.exists():
        why = "s5cmd is not installed" if s5cmd is None else "no Swift: `make servers`"
        yield not_run(f"{OURS} / {FLOOR}", "", why, goal=Goal(RATIO_MIN, most=False))
        return
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(bench_folder())
        url = stack.enter_context(swift.swift(folder))
        cluster = await stack.enter_async_context(dev_cluster(NODES, "--no-wan"))
        key = folder / "key"
        key.touch(0o600)
        key.write_text(swift.KEY)
        await _told_of(cluster, url, key)
        await asyncio.to_thread(_fill, folder, url)
        how = f"{OBJECTS} objects of {OBJECT_BYTES >> 20} MiB from Swift, which is in Python"
        down = f"{how}; `s5cmd cp`, then `sync`"
        ours = (
            f"{how}; `mcctl submit --wait` from its start to its end, {NODES} nodes, sealed, mTLS"
        )
        legs = [
            Leg(OURS, ours, partial(_submitted, cluster)),
            Leg(
                FLOOR,
                down,
                partial(_downloaded, s5cmd, url, folder / "down"),
                partial(asyncio.to_thread, shutil.rmtree, folder / "down"),
            ),
        ]
        runs = await interleaved(legs, ROUNDS, say)
        yield ratio_row(runs, OURS, FLOOR, RATIO_MIN)
        for found in leg_rows(runs, legs):
            yield found


async def _told_of(cluster: DevCluster, url: str, key: Path) -> None:
    """Every node gets the endpoint into its configuration."""
    text = f'\n[clouds.endpoints.{LAB}]\nkind = "s3"\nurl = "{url}"\ncredentials = "file:{key}"\n'
    for node in cluster.described["nodes"]:
        [config] = Path(node["data_dir"]).parent.glob("nodeagent.toml")
        with config.open("a") as file:
            file.write(text)
    await asyncio.gather(*(cluster.dev("restart", name) for name in cluster.names))
    await cluster.look_again()


def _fill(folder: Path, url: str) -> None:
    import boto3
    from botocore.config import Config

    account, _, secret = swift.KEY.rpartition(":")
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=account,
        aws_secret_access_key=secret,
        config=config,
    )
    client.create_bucket(Bucket=BUCKET)
    for number in range(OBJECTS):
        noise = payload.noise_file(folder / f"noise-{number}", OBJECT_BYTES)
        client.upload_file(str(noise), BUCKET, f"raw/{number:02}")
        noise.unlink()
    client.close()


async def _submitted(cluster: DevCluster) -> Took:
    name = f"s3-{next(_numbers)}"
    took_s, _ = await cluster.run(
        "submit", f"s3://{BUCKET}/raw/?endpoint={LAB}", "--name", name, "--wait"
    )
    return Took(OBJECTS * OBJECT_BYTES, took_s)


async def _downloaded(s5cmd: str, url: str, into: Path) -> Took:
    account, _, secret = swift.KEY.rpartition(":")
    into.mkdir()
    begun_s = asyncio.get_running_loop().time()
    process = await asyncio.create_subprocess_exec(
        *(s5cmd, "--endpoint-url", url, "cp", f"s3://{BUCKET}/raw/*", f"{into}/"),
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RUN_S_MAX):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Broken(f"s5cmd: {said.decode()[-300:]}")
    await asyncio.to_thread(os.sync)
    return Took(OBJECTS * OBJECT_BYTES, asyncio.get_running_loop().time() - begun_s)
