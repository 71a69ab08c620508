"""Credentials are referred to, read anew, and never shown."""

from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.clouds.contract import S3
from nodeagent.clouds.credentials import AccessKey, Secret, access_key
from nodeagent.clouds.way import Way


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "aws_access_key_id = AKIA\naws_secret_access_key = s3:cr/t+=\naws_session_token=tok\n",
        "[default]\naws_access_key_id=AKIA\naws_secret_access_key=s3:cr/t+=\naws_session_token=tok",
        '{"AccessKeyId": "AKIA", "SecretAccessKey": "s3:cr/t+=", "SessionToken": "tok"}',
        '{"aws_access_key_id": "AKIA", "aws_secret_access_key": "s3:cr/t+=",'
        ' "aws_session_token": "tok"}',
    ],
)
def test_keys_are_read_as_clouds_write_them(text: str) -> None:
    key = access_key(Secret("env:KEYS"), {"KEYS": text})
    assert (key.id, key.secret, key.token) == ("AKIA", "s3:cr/t+=", "tok")


def test_keys_are_read_from_one_line() -> None:
    key = access_key(Secret("secret://env/KEYS"), {"KEYS": "test:tester:testing\n"})
    assert (key.id, key.secret, key.token) == ("test:tester", "testing", None)


@pytest.mark.parametrize("reference", ["file:{}", "secret://file{}"])
def test_a_file_is_read_anew_each_time(tmp_path: Path, reference: str) -> None:
    path = written(tmp_path / "keys", "a:b")
    secret = Secret(reference.format(path))
    assert access_key(secret).secret == "b"
    written(path, "c:d")
    assert access_key(secret).secret == "d"


def test_a_credential_of_the_unit_is_read_from_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "s3", "a:b", 0o444)
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert access_key(Secret("secret://systemd/s3"), env).id == "a"


def refused(secret: Secret) -> McError:
    with pytest.raises(McError) as caught:
        access_key(secret, {})
    return caught.value


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "keys", "a:b", 0o640)
    error = refused(Secret(f"file:{path}"))
    assert error.reason == "SECRET_EXPOSED"
    assert error.next == f"chmod 600 {path}"


def test_what_is_not_there_is_named_and_what_is_there_is_not(tmp_path: Path) -> None:
    absent = refused(Secret(f"file:{tmp_path}/keys"))
    assert f"{tmp_path}/keys cannot be read" in absent.message
    assert "the variable KEYS" in refused(Secret("env:KEYS")).message
    assert "CREDENTIALS_DIRECTORY" in refused(Secret("secret://systemd/s3")).message
    path = written(tmp_path / "keys", "gibberish-that-is-secret")
    error = refused(Secret(f"file:{path}"))
    assert error.reason == "NOT_ALLOWED"
    assert "gibberish" not in f"{error} {error!r} {error.next} {error.facts}"


def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    secret = Secret(f"file:{written(tmp_path / 'keys', 'AKIA:hidden')}")
    key = access_key(secret)
    shown = f"{key!r} {key} {secret!r} {Way(S3, credentials=secret)!r}"
    assert key == AccessKey("AKIA", "hidden")
    assert "hidden" not in shown
    assert "AKIA" not in shown
