"""Contexts: kept private, chosen by name, variable or choice, refused when exposed."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from multicloud.context import Context, Contexts, Endpoint
from multicloud.errors import McError

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
TRUST = b'{"ca_certificates": ["one\\n", "two\\n"]}'


def contexts(tmp_path: Path, **more: str) -> Contexts:
    env: Mapping[str, str] = {"XDG_CONFIG_HOME": str(tmp_path), **more}
    return Contexts(env)


def context(name: str) -> Context:
    known = (Endpoint("a" * 16, "aws-a", "203.0.113.5:7443"),)
    return Context(name, "prod", known, CERTIFICATE, b"private\n", TRUST)


def key(tmp_path: Path, name: str) -> Path:
    return tmp_path / "multicloud" / "contexts" / name / "operator.pem"


def refused(known: Contexts, name: str | None = None) -> McError:
    with pytest.raises(McError) as caught:
        known.load(name)
    return caught.value


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    contexts(tmp_path).save(context("prod"))
    loaded = contexts(tmp_path).load("prod")
    assert loaded == context("prod")
    assert loaded.ca_pem == b"one\ntwo\n"
    assert key(tmp_path, "prod").stat().st_mode & 0o777 == 0o600
    assert key(tmp_path, "prod").parent.stat().st_mode & 0o777 == 0o700
    assert "private" not in repr(loaded)
    assert "private" not in repr(loaded.credentials)


def test_the_first_one_is_current_and_later_ones_never_replace_it(tmp_path: Path) -> None:
    known = contexts(tmp_path)
    assert refused(known).reason == "NO_CONTEXT"
    known.save(context("one"))
    known.save(context("two"))
    assert known.names() == ["one", "two"]
    assert known.load().name == "one"
    known.use("two")
    assert known.load().name == "two"


def test_the_variable_wins_over_the_choice_and_a_name_over_both(tmp_path: Path) -> None:
    known = contexts(tmp_path, MC_CONTEXT="two")
    for name in ("one", "two", "three"):
        known.save(context(name))
    assert contexts(tmp_path).current() == "one"
    assert known.load().name == "two"
    assert known.load("three").name == "three"


def test_a_missing_context_names_those_there_are(tmp_path: Path) -> None:
    known = contexts(tmp_path)
    known.save(context("one"))
    error = refused(known, "other")
    assert error.reason == "NO_CONTEXT"
    assert "there is one" in error.message
    assert refused(contexts(tmp_path, MC_CONTEXT="gone")).reason == "NO_CONTEXT"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "../../etc"])
def test_a_name_never_leaves_the_folder(name: str, tmp_path: Path) -> None:
    known = contexts(tmp_path)
    with pytest.raises(McError):
        known.save(context(name))
    with pytest.raises(McError):
        known.remove(name)
    with pytest.raises(McError):
        known.use(name)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_a_key_of_another_mode_is_refused(mode: int, tmp_path: Path) -> None:
    known = contexts(tmp_path)
    known.save(context("prod"))
    key(tmp_path, "prod").chmod(mode)
    error = refused(known)
    assert error.reason == "SECRET_EXPOSED"
    assert error.next == f"chmod 600 {key(tmp_path, 'prod')}"


def test_a_removed_context_leaves_nothing_and_is_current_no_more(tmp_path: Path) -> None:
    known = contexts(tmp_path)
    known.save(context("one"))
    known.save(context("two"))
    known.remove("one")
    assert known.names() == ["two"]
    assert not key(tmp_path, "one").parent.exists()
    assert refused(known).reason == "NO_CONTEXT"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"cluster": 1, "endpoints": [{}]}'])
def test_a_damaged_context_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    known = contexts(tmp_path)
    known.save(context("prod"))
    (key(tmp_path, "prod").parent / "context.json").write_bytes(content)
    error = refused(known)
    assert error.reason == "CONFIG_INVALID"
    assert "context remove prod" in error.next
