"""Every driver on a bad day: a real server of its kind, and faults in front of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.clouds.contract import Object
from tests.clouds.conformance import PART_BYTES, put, read, refusal, stream
from tests.clouds.kinds import Kind, kind_of
from tests.support.servers.fault_proxy import Fault

SOME = b"some bytes, and some more " * 40
LARGE = bytes(range(256)) * (PART_BYTES * 2 // 256) + b"the rest"
BUSY = Fault(
    status=503,
    headers="Retry-After: 0.2",
    body="<Error><Code>SlowDown</Code><Message>slowly</Message></Error>",
)
UPLOADS = {"s3": "PUT", "gs": "POST", "az": "PUT"}  # How a small object is sent.


@pytest.fixture
async def kind(
    name: str, url_of: Callable[[str], str], request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Kind]:
    async with kind_of(request.param, url_of, name, tmp_path) as made:
        yield made


each = pytest.mark.parametrize("kind", ["s3", "gs", "az"], indirect=True)
with_keys = pytest.mark.parametrize("kind", ["s3", "az"], indirect=True)


async def there(kind: Kind, data: bytes = SOME) -> Object:
    made = await put(kind.bucket, "k", data)
    kind.proxy.asked.clear()
    return made


@each
async def test_a_burst_of_503_is_waited_out(kind: Kind) -> None:
    made = await there(kind)
    kind.proxy.faults.extend([BUSY] * 3)
    began_s = asyncio.get_running_loop().time()
    assert await read(kind.bucket, made) == SOME
    assert asyncio.get_running_loop().time() - began_s >= 3 * 0.2
    assert len(kind.proxy.asked) == 4
    kind.proxy.faults.append(BUSY)
    assert (await put(kind.bucket, "other", SOME)).size_bytes == len(SOME)


@each
async def test_an_sdk_tries_nothing_again_by_itself(kind: Kind) -> None:
    made = await there(kind)
    kind.limit(tries_max=1)
    for _ in range(4):
        kind.proxy.faults.append(BUSY)
        error = await refusal(read(kind.bucket, made))
        assert (error.reason, error.retry_after_s) == ("TOO_BUSY", 0.2)
    assert len(kind.proxy.asked) == 4
    kind.proxy.faults.append(Fault(status=500))
    assert (await refusal(kind.bucket.head("k"))).reason == "UNREACHABLE"
    assert len(kind.proxy.asked) == 5


@each
async def test_a_body_that_is_cut_is_asked_for_again(kind: Kind) -> None:
    made = await there(kind)
    kind.proxy.faults.extend([Fault("GET", keeps=100), Fault("GET", shortens=100)])
    assert await read(kind.bucket, made) == SOME
    assert len(kind.proxy.asked) == 3


@each
async def test_a_body_that_is_always_short_is_damage_and_never_taken(kind: Kind) -> None:
    made = await there(kind)
    kind.proxy.faults.extend([Fault("GET", shortens=100)] * 20)
    assert (await refusal(read(kind.bucket, made))).reason == "DAMAGE"


@each
async def test_bytes_that_are_spoilt_on_their_way_there_are_not_kept(kind: Kind) -> None:
    kind.limit(tries_max=1)
    # GCS sends the object's facts in the same body: its last part is the object.
    size = PART_BYTES * 2 + 8
    data = LARGE[:size]
    kind.proxy.faults.append(Fault("PUT", spoils_request=True))
    error = await refusal(kind.bucket.put("k", stream(data), size, absent=False))
    assert error.reason == "DAMAGE", error
    assert (await refusal(kind.bucket.head("k"))).reason == "NOT_FOUND"


@each
async def test_parts_that_meet_faults_make_the_object_whole(kind: Kind) -> None:
    kind.proxy.faults.extend(
        [Fault("PUT", lost=True), replace(BUSY, method="PUT"), Fault("PUT", lost=True)]
    )
    made = await kind.bucket.put("k", stream(LARGE), len(LARGE), absent=True)
    assert await read(kind.bucket, made) == LARGE


@pytest.mark.parametrize("kind", ["az"], indirect=True)
async def test_bytes_that_are_spoilt_on_their_way_back_are_asked_for_again(kind: Kind) -> None:
    """Only Azure sends a checksum with each range; others are compared where all was read."""
    made = await there(kind)
    kind.proxy.faults.append(Fault("GET", spoils_answer=True))
    assert await read(kind.bucket, made) == SOME
    assert len(kind.proxy.asked) == 2


@each
async def test_a_line_that_stands_still_is_left_and_tried_again(kind: Kind) -> None:
    made = await there(kind)
    kind.proxy.faults.append(Fault("GET", stalls=True))
    async with asyncio.timeout(30):
        assert await read(kind.bucket, made) == SOME
    assert len(kind.proxy.asked) == 2


@each
async def test_a_put_whose_answer_was_lost_is_still_the_only_one(kind: Kind) -> None:
    """Made again, it meets itself, and knows itself."""
    kind.proxy.faults.append(Fault(UPLOADS[kind.name], lost=True))
    made = await put(kind.bucket, "k", SOME, absent=True)
    assert await read(kind.bucket, made) == SOME
    error = await refusal(put(kind.bucket, "k", SOME, absent=True))
    assert error.reason == "ALREADY_EXISTS"


@each
async def test_a_redirect_is_never_followed(kind: Kind) -> None:
    made = await there(kind)
    kind.limit(tries_max=1)
    trap = f"Location: {kind.proxy.url}/trap"
    for status in (301, 302, 307, 308):
        kind.proxy.faults.append(Fault("GET", status=status, headers=trap))
        with pytest.raises(McError):
            await read(kind.bucket, made)
        kind.proxy.faults.clear()
    assert not [path for path in kind.proxy.asked if "trap" in path]
    assert await read(kind.bucket, made) == SOME


@each
async def test_an_endpoint_that_is_gone_is_unreachable_and_named(kind: Kind) -> None:
    kind.limit(tries_max=2)
    kind.proxy.gone = True
    error = await refusal(kind.bucket.head("k"))
    assert error.reason in ("UNREACHABLE", "STALLED")
    assert "endpoint lab" in error.message


@with_keys
async def test_credentials_that_are_renewed_in_the_middle_of_a_job_are_used(kind: Kind) -> None:
    made = await there(kind)
    good = kind.key.read_text()
    wrong = {"s3": "test:tester:expired-key", "az": "ZXhwaXJlZC1rZXk="}[kind.name]
    kind.key.write_text(wrong)
    error = await refusal(read(kind.bucket, made))
    assert error.reason == "NOT_ALLOWED"
    assert str(kind.key) in error.next
    shown = f"{error} {error!r} {error.next} {error.facts} {kind.bucket!r} {vars(kind.bucket)}"
    for secret in (wrong, good, wrong.rpartition(":")[2], good.rpartition(":")[2]):
        assert secret not in shown
    kind.key.write_text(good)
    assert await read(kind.bucket, made) == SOME


EXPIRED = {
    "s3": (400, "<Error><Code>ExpiredToken</Code><Message>x</Message></Error>", ""),
    "gs": (401, '{"error": {"code": 401, "message": "Invalid Credentials"}}', ""),
    "az": (403, "", "x-ms-error-code: AuthenticationFailed"),
}


@each
async def test_credentials_that_expired_are_called_so_and_not_tried_again(kind: Kind) -> None:
    made = await there(kind)
    status, body, headers = EXPIRED[kind.name]
    kind.proxy.faults.extend([Fault(status=status, body=body, headers=headers)] * 5)
    error = await refusal(read(kind.bucket, made))
    assert error.reason == "NOT_ALLOWED"
    assert "expired" in error.message
    assert "renew" in error.next
    asked = [one for one in kind.proxy.asked if "projection=" not in one]  # For Google's region.
    assert len(asked) == 1


DENIED = {
    "s3": ("<Error><Code>AccessDenied</Code></Error>", "s3:GetObject on arn:aws:s3:::{0}/k"),
    "gs": ('{"error": {"code": 403, "message": "no"}}', "storage.objects.get on gs://{0}/k"),
    "az": ("", "containers/blobs/read on az://{0}/k"),
}


@each
async def test_a_grant_that_is_missing_is_named_exactly(kind: Kind) -> None:
    made = await there(kind)
    body, grant = DENIED[kind.name]
    kind.proxy.faults.append(Fault("GET", status=403, body=body))
    error = await refusal(read(kind.bucket, made))
    assert error.reason == "NOT_ALLOWED"
    assert grant.format(kind.bucket.place.bucket) in error.message
    assert kind.bucket.place.bucket in error.next
    assert set(error.facts) == {"action", "resource"}


@with_keys
async def test_no_log_has_a_secret_however_much_is_logged(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kind.limit(tries_max=1)
    made = await there(kind)
    kind.proxy.faults.append(Fault(status=500))
    error = await refusal(read(kind.bucket, made))
    assert await read(kind.bucket, made) == SOME
    secret = kind.key.read_text().rpartition(":")[2]
    told = f"{caplog.text} {error} {error!r} {error.next} {error.facts} {error.__cause__!r}"
    for word in (secret, "Authorization", "Signature"):
        assert word not in told
