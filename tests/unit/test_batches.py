"""When batches of standing jobs close, and what is in them."""

import pytest

from mcctl.submit_options import Origin, following
from multicloud.errors import McError
from multicloud.v1 import job_pb2, task_pb2
from nodeagent.jobs.following.deciding import Look, batch, is_new, job_of, wait_ms

RULE = job_pb2.Follow(settle_ms=5000, every_ms=60_000, rescan_ms=30_000, files=10, bytes=1000)
ON_NODE = Origin("node://aws-a/srv/raw")


def _look(*files: tuple[str, int, int], until: int = 100_000, since: int = 50_000) -> Look:
    look = Look(until, since)
    look.add(
        [
            task_pb2.ListedObject(
                path=path.encode(), size_bytes=size, etag=f"{size}-{at}", changed_unix_ms=at
            )
            for path, size, at in files
        ]
    )
    return look


OLD, NEW, UNSETTLED = ("old", 10, 1), ("new", 10, 60_000), ("grows", 10, 100_001)
LAST = batch("j", _look(OLD, until=50_000, since=0), job_pb2.Batch())


def test_what_changed_a_moment_ago_is_of_no_batch() -> None:
    look = _look(OLD, NEW, UNSETTLED)
    assert (look.files, look.new_files, look.unsettled) == (2, 1, 1)
    assert look.digest == _look(OLD, NEW).digest
    assert is_new(look, LAST)


def test_a_batch_is_made_of_new_moved_and_removed_files_but_not_of_nothing() -> None:
    assert is_new(_look(OLD, NEW), LAST)
    assert is_new(_look(OLD, ("moved here", 10, 2)), LAST)
    assert is_new(_look(("other", 10, 3)), LAST)
    assert not is_new(_look(OLD), LAST)
    assert not is_new(_look(), LAST)  # As of a disk that is not mounted.


def test_a_file_that_is_merely_written_again_makes_no_version_without_it() -> None:
    assert not is_new(_look(OLD, UNSETTLED), batch("j", _look(OLD, NEW), LAST))


def test_a_batch_closes_by_time_or_sooner_by_files_or_bytes() -> None:
    assert wait_ms(RULE, _look(NEW), job_pb2.Batch()) == 0  # The first one waits for nothing.
    assert wait_ms(RULE, _look(NEW), LAST) == 10_000
    assert wait_ms(RULE, _look(NEW, until=110_000), LAST) == 0
    assert wait_ms(RULE, _look(("large", 1000, 60_000)), LAST) == 0
    assert wait_ms(RULE, _look(*[(f"{n}", 1, 60_000) for n in range(10)]), LAST) == 0


def test_the_job_of_a_batch_is_the_same_request_whoever_makes_it() -> None:
    standing = job_pb2.JobSpec(dataset="corpus", source=ON_NODE.uri, follow=RULE)
    request = job_of(standing, LAST)
    assert request == job_of(standing, LAST)
    assert request.request_id == "j/batch/1"
    assert (request.spec.batch, request.spec.HasField("follow")) == (LAST, False)


def test_options_of_batches_have_units() -> None:
    made = following(ON_NODE, follow=True, settle="500ms", batch=["5m", "1000 files", "1.5MiB"])
    assert made is not None
    found = (made.settle_ms, made.every_ms, made.files, made.bytes)
    assert found == (500, 300_000, 1000, 1572864)
    for follow, batches in ((False, ["5m"]), (True, ["soon"]), (True, ["5 folders"])):
        with pytest.raises(McError) as caught:
            following(ON_NODE, follow=follow, settle="5s", batch=batches)
        assert caught.value.reason == "USAGE"
