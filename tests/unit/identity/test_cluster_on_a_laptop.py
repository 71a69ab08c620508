"""`mcctl cluster` and `mcctl context` as typed on a laptop, before any node runs."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from identity_world import PASSPHRASE

from identity.bundle import read_node_bundle, read_operator_bundle, unpack
from identity.store import NodeIdentity
from multicloud.context import Contexts

WHERE = ("--cloud", "aws", "--region", "us-east-1", "--zone", "a")


@dataclass
class Laptop:
    home: Path

    @property
    def passphrase(self) -> Path:
        return self.home / "passphrase"

    @property
    def env(self) -> dict[str, str]:
        return os.environ | {
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "MC_CA_PASSPHRASE_FILE": str(self.passphrase),
            "USER": "ada",
        }

    def types(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mcctl", *words],
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def does(self, *words: str) -> Any:
        done = self.types(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *words: str, **env: str) -> dict[str, Any]:
        done = self.types(*words, "-o", "json", **env)
        assert done.stdout == ""
        error: dict[str, Any] = json.loads(done.stderr)["error"]
        assert done.returncode == error["exit"] != 0
        assert error["next"]
        return error

    def issues(self, name: str, port: int, *more: str) -> Any:
        out = str(self.home / f"{name}.bundle")
        address = f"203.0.113.5:{port}"
        return self.does(
            "cluster", "issue-node", name, *WHERE, "--address", address, "--out", out, *more
        )


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    """A cluster with two nodes issued; no test here changes what is there."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop"))
    laptop.passphrase.touch(0o600)
    laptop.passphrase.write_text(PASSPHRASE + "\n")
    made = laptop.does("cluster", "init", "prod")
    assert made["identity"] == "spiffe://prod/operator/ada"
    assert made["current"] is True
    assert laptop.issues("a", 1)["founder"] is True
    assert laptop.issues("b", 2, "--storage-only")["founder"] is False
    return laptop


def test_a_bundle_makes_a_node(laptop: Laptop, tmp_path: Path) -> None:
    bundle = read_node_bundle(laptop.home / "b.bundle")
    assert (bundle.cluster, bundle.name, bundle.cloud, bundle.zone) == ("prod", "b", "aws", "a")
    assert bundle.address == "203.0.113.5:2"
    assert bundle.join == ("203.0.113.5:1",)
    assert bundle.cluster_key is None

    unpack(bundle, tmp_path / "etc")
    loaded = NodeIdentity.load(
        tmp_path / "etc", tmp_path / "state", env={}, expected=bundle.identity
    )
    assert loaded.holder.label == "b"


def test_the_context_knows_the_nodes_that_were_issued(laptop: Laptop) -> None:
    context = Contexts(laptop.env).load()
    assert [(e.name, e.address) for e in context.endpoints] == [
        ("a", "203.0.113.5:1"),
        ("b", "203.0.113.5:2"),
    ]


def test_the_next_command_is_printed(laptop: Laptop) -> None:
    done = laptop.types("context", "use", "prod")
    assert done.returncode == 0
    assert "next: mcctl status" in done.stderr


def test_a_node_issued_again_keeps_its_id_and_its_place(laptop: Laptop, tmp_path: Path) -> None:
    before = read_node_bundle(laptop.home / "b.bundle")
    out = tmp_path / "again.bundle"
    laptop.does("cluster", "issue-node", "b", "--again", "--out", str(out))
    again = read_node_bundle(out)
    assert (again.id, again.address, again.join) == (before.id, before.address, before.join)
    assert again.cluster_key is None
    assert again.holder.serial != before.holder.serial


def test_an_operators_bundle_becomes_a_context_elsewhere(laptop: Laptop, tmp_path: Path) -> None:
    out = str(tmp_path / "bob.bundle")
    issue = ("cluster", "issue-operator", "bob", "--role", "auditor", "--role", "submitter")
    laptop.does(*issue, "--out", out)
    assert read_operator_bundle(Path(out)).holder.roles == {"auditor", "submitter"}
    bobs = Laptop(tmp_path)
    assert bobs.does("context", "import", out)["current"] is True
    assert bobs.does("context", "ls")[0]["identity"] == "spiffe://prod/operator/bob"
    assert bobs.does("cluster", "import", out)["context"] == "prod", "once more is no harm"
    error = laptop.refused("context", "import", out)
    assert error["reason"] == "ALREADY_EXISTS"
    assert bobs.refused("context", "remove", "prod")["reason"] == "USAGE"
    assert bobs.does("context", "remove", "prod", "-y") == {"removed": "prod"}
    assert bobs.does("context", "ls") == []


@pytest.mark.parametrize(
    ("words", "reason", "said"),
    [
        (("init", "prod"), "ALREADY_EXISTS", "authority of prod already"),
        (("init", "Prod!"), "USAGE", "no name for a cluster"),
        (("issue-node", "a", "--out", "{}/x"), "ALREADY_EXISTS", "was issued before"),
        (("issue-node", "z", "--again", "--out", "{}/x"), "NOT_FOUND", "it knows ada, a, b"),
        (("issue-operator", "x", "--role", "root", "--out", "{}/x"), "USAGE", "unknown role"),
        (("issue-operator", "x", "--role", "node", "--out", "{}/x"), "USAGE", "never node"),
        (("issue-operator", "X", "--role", "admin", "--out", "{}/x"), "USAGE", "no name"),
        (("issue-operator", "x", "--role", "admin", "--out", "{}/no/x"), "USAGE", "folder of"),
        (("renew", "ada"), "USAGE", "is no node"),
        (("renew", "nobody"), "NOT_FOUND", "nothing to 'nobody'"),
        (("revoke", "nobody", "--reason", "x"), "NOT_FOUND", "nothing to 'nobody'"),
        (("revoke", "spiffe://test/node/x", "--reason", "x"), "NO_IDENTITY", "16 hex"),
        (("revoke", "spiffe://test/operator/x", "--reason", "x"), "USAGE", "not of cluster"),
        (("rotate-ca", "--cluster", "test"), "NOT_FOUND", "there is prod"),
        (("import", "{}/nothing"), "CONFIG_INVALID", "does not exist"),
    ],
)
def test_what_cannot_be_done_says_why(
    words: tuple[str, ...], reason: str, said: str, laptop: Laptop, tmp_path: Path
) -> None:
    error = laptop.refused("cluster", *(word.format(tmp_path) for word in words))
    assert error["reason"] == reason
    assert said in error["message"]
    assert not (tmp_path / "x").exists()


def test_every_fault_of_a_node_is_named_at_once(laptop: Laptop, tmp_path: Path) -> None:
    error = laptop.refused(
        *("cluster", "issue-node", "C", "--cloud", "aws", "--address", "nowhere"),
        *("--join", "h:1,h", "--out", str(tmp_path / "x")),
    )
    assert [fault["field"] for fault in error["faults"]] == [
        "NAME",
        "--region",
        "--address",
        "--join",
    ]


def test_two_nodes_never_share_an_address(laptop: Laptop, tmp_path: Path) -> None:
    error = laptop.refused(
        *("cluster", "issue-node", "c", *WHERE, "--address", "203.0.113.5:1"),
        *("--out", str(tmp_path / "x")),
    )
    assert "is the address of node a already" in error["message"]
    assert not (tmp_path / "x").exists()


def test_the_passphrase_is_asked_for_and_checked(laptop: Laptop, tmp_path: Path) -> None:
    renew = ("cluster", "renew", "a")
    assert "no terminal" in laptop.refused(*renew, MC_CA_PASSPHRASE_FILE="")["message"]
    secret = tmp_path / "passphrase"
    secret.touch(0o600)
    secret.write_text("wrong one\n")
    error = laptop.refused(*renew, MC_CA_PASSPHRASE_FILE=str(secret))
    assert error["reason"] == "PASSPHRASE_WRONG"
    secret.chmod(0o644)
    error = laptop.refused(*renew, MC_CA_PASSPHRASE_FILE=str(secret))
    assert error["reason"] == "SECRET_EXPOSED"
    secret.chmod(0o600)
    secret.write_text("short\n")
    error = laptop.refused("cluster", "init", "new", MC_CA_PASSPHRASE_FILE=str(secret))
    assert "too short" in error["message"]


def test_why_no_node_answers_is_said_and_counts_as_unreachable(laptop: Laptop) -> None:
    error = laptop.refused("cluster", "renew", "a", "--node", "127.0.0.1:1")
    assert (error["reason"], error["exit"]) == ("UNREACHABLE", 3)
    assert "nothing listens at 127.0.0.1:1" in error["message"]


def test_secrets_of_the_laptop_are_private(laptop: Laptop) -> None:
    for path in (laptop.home / "config").rglob("*"):
        if path.name in ("operator.pem", "vault.json"):
            assert path.stat().st_mode & 0o777 == 0o600
    for path in ("a.bundle", "b.bundle"):
        assert (laptop.home / path).stat().st_mode & 0o777 == 0o600
