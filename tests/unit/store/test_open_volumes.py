"""Which volumes a node opens, how it tells a wrong disk, and what goes on without one."""

import json
from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.config.model import Config
from nodeagent.store.contract import VolumeState
from nodeagent.store.open import open_volumes
from tests.unit.store.store_world import bytes_of, chunk_of, put, reason_of


def config_of(tmp_path: Path, *folders: str, node: str = "0123456789abcdef") -> Config:
    return Config.model_validate(
        {
            "node": {
                "id": node,
                "name": "a",
                "cluster": "c",
                "cloud": "x",
                "region": "r",
                "state_dir": str(tmp_path),
            },
            "volume": [{"dir": str(tmp_path / folder)} for folder in folders],
            "store": {"write": "buffered", "reserve_bytes": 0},
        }
    )


async def test_without_a_named_volume_chunks_are_kept_in_the_state_folder(tmp_path: Path) -> None:
    chunk = chunk_of(1)
    volumes = await open_volumes(config_of(tmp_path), tmp_path)
    done = await put(volumes, chunk)
    await volumes.close()
    assert (tmp_path / "chunks" / "volume.json").exists()
    volumes = await open_volumes(config_of(tmp_path), tmp_path)
    assert await volumes.find([chunk.id]) == [done.held]
    await volumes.close()


async def test_a_second_daemon_on_a_folder_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, "one", "two")
    volumes = await open_volumes(config, tmp_path)
    assert await reason_of(open_volumes(config_of(tmp_path, "three", "two"), tmp_path)) == (
        "FOLDER_IN_USE"
    )
    await volumes.close()
    await (await open_volumes(config_of(tmp_path, "three", "two"), tmp_path)).close()


async def test_a_disk_that_is_not_mounted_is_no_new_volume(tmp_path: Path) -> None:
    config = config_of(tmp_path, "disk")
    await (await open_volumes(config, tmp_path)).close()
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "disk").mkdir()
    assert await reason_of(open_volumes(config, tmp_path)) == "VOLUME_WRONG"
    assert list((tmp_path / "disk").iterdir()) == []


async def test_a_disk_that_is_missing_leaves_the_others_at_work(tmp_path: Path) -> None:
    config = config_of(tmp_path, "one", "two")
    volumes = await open_volumes(config, tmp_path)
    chunks = [chunk_of(number) for number in range(4)]
    for chunk in chunks:
        await put(volumes, chunk)
    here = {held.chunk_id for held in await volumes.stores[1].find([c.id for c in chunks])}
    missing = volumes.stores[0].volume
    await volumes.close()
    (tmp_path / "one").rename(tmp_path / "away")
    volumes = await open_volumes(config, tmp_path)
    assert volumes.healths()[missing].state is VolumeState.FAILED
    assert missing in volumes.healths()[missing].why
    for chunk in chunks:
        if chunk.id in here:
            assert await bytes_of(volumes, chunk) == chunk.file
        else:
            assert await reason_of(volumes.read(chunk.id)) == "VOLUME_FAILED"
    assert (await put(volumes, chunk_of(9))).held.volume == volumes.stores[1].volume
    await volumes.close()


@pytest.mark.parametrize("change", [{"uuid": "another"}, {"node": "f" * 16}, {"format": "x"}])
async def test_another_volume_in_its_place_is_refused(
    tmp_path: Path, change: dict[str, str]
) -> None:
    config = config_of(tmp_path, "disk")
    await (await open_volumes(config, tmp_path)).close()
    path = tmp_path / "disk" / "volume.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert await reason_of(open_volumes(config, tmp_path)) == "VOLUME_WRONG"


async def test_a_volume_of_a_newer_release_is_not_guessed(tmp_path: Path) -> None:
    config = config_of(tmp_path, "disk")
    await (await open_volumes(config, tmp_path)).close()
    path = tmp_path / "disk" / "volume.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    assert await reason_of(open_volumes(config, tmp_path)) == "UNSUPPORTED"


async def test_chunks_without_an_identity_are_no_new_volume(tmp_path: Path) -> None:
    config = config_of(tmp_path, "disk")
    volumes = await open_volumes(config, tmp_path)
    await put(volumes, chunk_of(1))
    await volumes.close()
    (tmp_path / "volumes.json").unlink()
    (tmp_path / "disk" / "volume.json").unlink()
    with pytest.raises(McError) as caught:
        await open_volumes(config, tmp_path)
    assert caught.value.reason == "VOLUME_WRONG"


async def test_what_is_known_of_volumes_and_does_not_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "volumes.json").write_text("{")
    assert await reason_of(open_volumes(config_of(tmp_path), tmp_path)) == "DAMAGE"
