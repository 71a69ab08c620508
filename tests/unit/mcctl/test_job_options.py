"""What is wrong with a submit is said here, before anybody is asked; a right one becomes a job."""

import os
import socket
from pathlib import Path

import pytest

from mcctl.cli import run
from mcctl.sizes import size_bytes
from mcctl.submit_options import origin, origin_of
from multicloud.errors import McError
from multicloud.v1 import job_pb2

NODE = "node://aws-a/srv/raw"
SUBMIT = ("submit", NODE, "--name", "corpus")


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("submit",), 2, "a source is missing"),
        (("submit", NODE), 2, "name is missing"),
        (("submit", "s3:///p", "--name", "c"), 2, "s3://BUCKET/prefix/"),
        (("plan", "https://me:word@h/p"), 2, "without a user"),
        (("submit", "odd://b/p", "--name", "c"), 2, "no source"),
        (("submit", "file://laptop/p", "--name", "c"), 2, "without file://"),
        (("submit", "HERE/nothing", "--name", "c"), 5, "cannot be read"),
        (("submit", "node://aws-a/../etc", "--name", "c"), 2, ".."),
        ((*SUBMIT, "--spread", "moon=2"), 2, "cloud=2"),
        ((*SUBMIT, "--ack", "4"), 2, "--ack"),
        ((*SUBMIT, "--bwlimit", "fast"), 2, "no size"),
        ((*SUBMIT, "--pipeline", "HERE/none.toml"), 5, "none.toml"),
        ((*SUBMIT, "--pipeline", "HERE/bad.toml"), 2, "bad.toml:2"),
        (("submit", "--resume", "a" * 20, "--name", "c"), 2, "--resume"),
        (("jobs", "--state", "odd"), 2, "listing"),
        (("wait", "a" * 20, "--for", "ever"), 2, "acked or safe"),
    ],
)
def test_what_is_wrong_here_is_said_before_anybody_is_asked(
    words: tuple[str, ...],
    exit_code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad.toml").write_text('[[step]]\nuse = "no.such"\n')
    assert run([word.replace("HERE", str(tmp_path)) for word in words]) == exit_code
    assert said in capsys.readouterr().err


def test_a_folder_has_one_name_however_it_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    ways = (folder, tmp_path / "link", folder / ".." / "a b", f"{folder}/", os.path.relpath(folder))
    names = {origin(str(way)) for way in ways}
    assert len(names) == 1
    (one,) = names
    assert one.uri == f"file://{socket.gethostname()}{folder}"
    assert one.folder == folder


def test_a_job_is_resumed_where_its_files_are_and_nowhere_else(tmp_path: Path) -> None:
    here = origin(str(tmp_path))
    spec = job_pb2.JobSpec(source=here.uri)
    assert origin_of(job_pb2.Job(spec=spec)) == here
    for uri in (here.uri + "/gone", f"file://elsewhere{tmp_path}"):
        with pytest.raises(McError) as refused:
            origin_of(job_pb2.Job(id="j", spec=job_pb2.JobSpec(source=uri)))
        assert refused.value.reason == "NOT_FOUND"


def test_rates_are_written_as_in_rclone() -> None:
    assert size_bytes("200M") == size_bytes("200MiB") == 200 << 20
    assert size_bytes("1.5g") == 3 << 29
