"""Every disk that has a copy is lost, and all of it is read from the bucket; then the node that
serves the bucket is lost too, and another one adopts it.
"""

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.kinds import make_swift_bucket
from tests.live.cluster import Cluster, Home, until
from tests.support.servers import swift

FOUR = ("--nodes", "4", "--clouds", "2", "--no-wan", "--name", "four")
CONTEXT = ("--context", "dev-four")
BUCKET = "copies"
URI = f"s3://{BUCKET}/prod"
FILES, FILE_BYTES = 3, 3 << 20


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_bucket_gives_back_what_no_disk_has_and_another_node_adopts_it(
    home: Home, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(swift.KEY)
    with swift.swift(tmp_path) as url:
        (await make_swift_bucket(url, BUCKET, key)).close()
        cluster = Cluster(home, "four", home.json("dev", "up", *FOUR))
        serves(cluster, "aws-a", url, key)
        await until(lambda: bucket_of(home, "aws-a")["state"] == "healthy", 40)
        expected = made(tmp_path / "data")
        done = home.json(
            *("submit", str(tmp_path / "data"), "--name", "corpus", "--wait"),
            *("--bucket-copy", "any", *CONTEXT),
        )
        assert done["survives"]["nodes"] == 3
        receipt = home.json("receipt", done["job"], *CONTEXT)
        assert receipt["bucket"]["uri"] == URI
        holders = {c["node"] for chunk in receipt["replicas"] for c in chunk["copies"]} - {URI}
        in_bucket = bucket_of(home, "aws-a")["chunks"]
        assert in_bucket == len(receipt["replicas"]) + 1  # And the manifest.

        # Of the others one at least has no copy: it is to be left.
        heir = next(name for name in ("gcp-a", "gcp-b", "aws-b") if name not in holders)
        for name in {"aws-b", "gcp-a", "gcp-b"} - {heir}:
            cluster.dev("kill", name)
        cluster.dev("wipe", "aws-a")
        await until(lambda: bucket_of(home, "aws-a")["chunks"] == in_bucket, 40)
        assert read_back(home, tmp_path / "first") == expected

        (gone,) = (node["id"] for node in cluster.described["nodes"] if node["name"] == "aws-a")
        cluster.dev("kill", "aws-a")
        serves(cluster, heir, url, key)
        await until(lambda: f"served by node {gone}" in bucket_of(home, heir)["why"], 40)
        serves(cluster, heir, url, key, adopt_from=gone)
        await until(lambda: bucket_of(home, heir)["chunks"] == in_bucket, 40)
        assert read_back(home, tmp_path / "second") == expected
        cluster.dev("start", "aws-a")
        await until(lambda: "is served by node" in (bucket_of(home, "aws-a")["why"] or ""), 40)


def serves(cluster: Cluster, name: str, url: str, key: Path, adopt_from: str = "") -> None:
    """The node does from its next start on, which is now."""
    config = Path(cluster.node(name)["config"])
    plain = config.read_text().partition("\n[clouds")[0]
    endpoint = f'kind = "s3"\nurl = "{url}"\ncredentials = "file:{key}"\n'
    bucket = f'uri = "{URI}"\nendpoint = "lab"\ncloud = "aws"\nregion = "us-east-1"\n'
    if adopt_from:
        bucket += f'adopt_from = "{adopt_from}"\n'
    config.write_text(f"{plain}\n[clouds.endpoints.lab]\n{endpoint}\n[[bucket]]\n{bucket}")
    cluster.dev("restart", name)


def bucket_of(home: Home, name: str) -> dict[str, Any]:
    volumes = home.json("node", "show", name, *CONTEXT)["volumes"]
    found: dict[str, Any] = next(one for one in volumes if one["folder"] == URI)
    return found


def made(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    data = {f"{n}.bin": secrets.token_bytes(FILE_BYTES) for n in range(FILES)}
    for name, content in data.items():
        (folder / name).write_bytes(content)
    return data


def read_back(home: Home, folder: Path) -> dict[str, bytes]:
    done = home.run("get", "corpus@1", str(folder), *CONTEXT)
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_bytes() for file in folder.iterdir()}
