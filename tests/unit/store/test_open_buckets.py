"""Which buckets a node serves as volumes, and what goes on while one of them is away."""

import json
from pathlib import Path

import pytest

from multicloud.v1 import common_pb2
from nodeagent.clouds.contract import Place
from nodeagent.clouds.memory import MemoryBucket, MemoryClouds
from nodeagent.config.model import Config
from nodeagent.rpc.bucket_checks import buckets
from nodeagent.store.contract import VolumeState
from nodeagent.store.open import open_volumes
from nodeagent.store.volumes import DISK
from tests.unit.store.store_world import chunk_of, put, reason_of

NODE = "0123456789abcdef"


def config_of(tmp_path: Path, *entries: dict[str, object], node: str = NODE) -> Config:
    return Config.model_validate(
        {
            "node": {
                "id": node,
                "name": "a",
                "cluster": "c",
                "cloud": "gcp",
                "region": "r",
                "state_dir": str(tmp_path),
            },
            "bucket": list(entries),
            "store": {"write": "buffered", "reserve_bytes": 0},
        }
    )


def bucket_of(name: str = "s3://copies/prod", **more: object) -> dict[str, object]:
    return {"uri": name, "quota_bytes": 1 << 20, **more}


def copies() -> MemoryBucket:
    return MemoryBucket(Place("s3", "copies"), region="us-east-1")


async def test_a_bucket_is_a_volume_beside_disks_and_takes_only_what_is_put_into_it_by_name(
    tmp_path: Path,
) -> None:
    bucket = copies()
    clouds = MemoryClouds(bucket)
    volumes = await open_volumes(config_of(tmp_path, bucket_of()), tmp_path, clouds=clouds)
    (late,) = volumes.buckets
    assert volumes.healths()["s3://copies/prod"].state is VolumeState.FAILED
    await late.open()
    assert (late.where.cloud, late.where.region) == ("aws", "us-east-1")
    one, other = chunk_of(1), chunk_of(2)
    assert (await put(volumes, one)).held.volume != late.volume
    assert (await put(late, other)).held.volume == late.volume
    assert (await put(late, one)).held.volume == late.volume
    found = {held.volume for held in await volumes.find([one.id])}
    assert found == {late.volume, volumes.disks.stores[0].volume}
    # A copy in the bucket does not make one on a disk needless.
    assert (await put(volumes, other)).held.volume != late.volume
    assert len(await volumes.named(DISK).find([one.id, other.id])) == 2
    assert len(await volumes.named(late.volume).find([one.id, other.id])) == 2
    assert volumes.health().bytes_total == volumes.disks.health().bytes_total
    assert any(key.startswith("prod/chunks/") for key in bucket.objects)
    known = json.loads((tmp_path / "volumes.json").read_text())["volumes"]
    assert known["s3://copies/prod"] == late.volume
    await volumes.close()


async def test_a_bucket_that_is_away_at_the_start_is_opened_when_it_is_back(
    tmp_path: Path,
) -> None:
    bucket, clouds = copies(), MemoryClouds()
    volumes = await open_volumes(config_of(tmp_path, bucket_of()), tmp_path, clouds=clouds)
    (late,) = volumes.buckets
    told: list[str] = []
    volumes.on_damage(lambda held, why: told.append(why))
    await late.open()
    assert "there is no bucket s3://copies" in late.health().why
    assert await reason_of(late.put(10)) == "VOLUME_FAILED"
    await put(volumes, chunk_of(1))
    clouds.buckets = {bucket.place: bucket}
    await late.open()
    chunk = chunk_of(2)
    await put(late, chunk)
    del bucket.objects[f"prod/chunks/{chunk.id.hex()[:2]}/{chunk.id.hex()}"]
    assert await reason_of(late.read(chunk.id)) == "NOT_FOUND"
    assert told == ["its object is gone"]
    await volumes.close()


async def test_another_bucket_under_the_same_name_is_no_new_volume(tmp_path: Path) -> None:
    config = config_of(tmp_path, bucket_of())
    volumes = await open_volumes(config, tmp_path, clouds=MemoryClouds(copies()))
    await volumes.buckets[0].open()
    await volumes.close()
    volumes = await open_volumes(config, tmp_path, clouds=MemoryClouds(copies()))
    await volumes.buckets[0].open()
    assert "is expected there and no volume is found" in volumes.buckets[0].health().why
    await volumes.close()


def test_a_place_in_a_bucket_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names a place twice"):
        config_of(tmp_path, bucket_of(), bucket_of("s3://copies/prod/"))
    config_of(tmp_path, bucket_of(), bucket_of(endpoint="minio"))


@pytest.mark.parametrize(
    ("entry", "cloud", "region"),
    [
        (bucket_of(), "aws", "us-east-1"),
        (bucket_of(cloud="x", region="y"), "x", "y"),
        (bucket_of(endpoint="minio"), "gcp", "us-east-1"),
    ],
)
async def test_where_a_bucket_stands_is_told_or_its_clouds_word(
    tmp_path: Path, entry: dict[str, object], cloud: str, region: str
) -> None:
    place = Place("s3", "copies", str(entry.get("endpoint", "")))
    clouds = MemoryClouds(MemoryBucket(place, region="us-east-1"))
    volumes = await open_volumes(config_of(tmp_path, entry), tmp_path, clouds=clouds)
    await volumes.buckets[0].open()
    where = volumes.buckets[0].where
    assert (where.cloud, where.region) == (cloud, region)
    await volumes.close()


async def test_a_bucket_that_is_not_open_keeps_nothing_on_disks_from_its_trash(
    tmp_path: Path,
) -> None:
    volumes = await open_volumes(config_of(tmp_path, bucket_of()), tmp_path, clouds=MemoryClouds())
    chunk = chunk_of(1)
    await put(volumes, chunk, None)
    assert await volumes.trash(chunk.id, "no root")
    assert await volumes.purge(chunk.id) == len(chunk.file)
    assert not volumes.buckets[0].is_served
    await volumes.close()


async def test_a_check_names_a_bucket_that_is_away_and_one_that_is_far(tmp_path: Path) -> None:
    clouds = MemoryClouds(copies())
    config = config_of(tmp_path, bucket_of(), bucket_of("s3://other"))
    volumes = await open_volumes(config, tmp_path, clouds=clouds)
    await volumes.buckets[0].open()
    await volumes.buckets[1].open()

    def codes(cloud: str, region: str) -> list[str]:
        own = common_pb2.Domain(cloud=cloud, region=region)
        return [one.code for one in buckets("a", own, volumes.buckets)]

    assert codes("aws", "us-east-1") == ["BUCKET_OK", "BUCKET_UNSERVED"]
    assert codes("gcp", "r") == ["BUCKET_FAR", "BUCKET_UNSERVED"]
    await volumes.close()
