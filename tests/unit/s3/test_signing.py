"""Requests are taken apart and their signatures judged: by AWS's own vectors, and by nonsense."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from nodeagent.s3.asked import Asked, asked_of, range_of, unmet
from nodeagent.s3.buckets import which
from nodeagent.s3.refusal import Refusal
from nodeagent.s3.signing import (
    EMPTY_SHA256,
    Claim,
    check_signature,
    check_time,
    claim_of,
    signature_of,
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AWS_KEY = "AKIAIOSFODNN7EXAMPLE"
HOST = (b"host", b"examplebucket.s3.amazonaws.com")
TIME_S = datetime(2013, 5, 24, tzinfo=UTC).timestamp()


def vector(signed: str, signature: str) -> str:
    scope = f"{AWS_KEY}/20130524/us-east-1/s3/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={signed},Signature={signature}"


@pytest.mark.parametrize(
    ("path", "query", "extra", "signed", "signature"),
    [
        (
            b"/test.txt",
            b"",
            [(b"range", b"bytes=0-9")],
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            b"/",
            b"max-keys=2&prefix=J",
            [],
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_aws_are_signed_as_aws_says(
    path: bytes, query: bytes, extra: list[tuple[bytes, bytes]], signed: str, signature: str
) -> None:
    headers = [
        HOST,
        *extra,
        (b"x-amz-content-sha256", EMPTY_SHA256.encode()),
        (b"x-amz-date", b"20130524T000000Z"),
        (b"Authorization", vector(signed, signature).encode()),
    ]
    asked = asked_of("GET", path, query, headers)
    claim = claim_of(asked)
    check_time(claim, TIME_S)
    check_signature(claim, asked, AWS_SECRET)
    with pytest.raises(Refusal, match="not that of the key's secret"):
        check_signature(claim, asked, AWS_SECRET + "x")
    for skew_s in (901, -901):
        with pytest.raises(Refusal) as late:
            check_time(claim, TIME_S + skew_s)
        assert late.value.code == "RequestTimeTooSkewed"


KEYS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)


@given(KEYS, st.dictionaries(st.sampled_from(["prefix", "marker", "delimiter"]), KEYS))
def test_what_botocore_signs_is_accepted(key: str, query: dict[str, str]) -> None:
    url = f"https://node:7481/bucket/{quote(key, safe='/~')}?{urlencode(query, quote_via=quote)}"
    for auth in (
        S3SigV4Auth(Credentials("MCKEY", "secret"), "s3", "eu-west-1"),
        S3SigV4QueryAuth(Credentials("MCKEY", "secret"), "s3", "eu-west-1", expires=60),
    ):
        request = AWSRequest("GET", url)
        auth.add_auth(request)
        parts = urlsplit(request.url)
        headers = [
            (name.lower().encode(), value.encode()) for name, value in request.headers.items()
        ]
        headers.append((b"host", b"node:7481"))
        asked = asked_of("GET", parts.path.encode(), parts.query.encode(), headers)
        assert asked.key == key.encode()
        check_signature(claim_of(asked), asked, "secret")
        with pytest.raises(Refusal):
            check_signature(claim_of(asked), asked, "Secret")


@given(
    st.sampled_from(["GET", "HEAD", "PUT", ""]),
    st.binary(max_size=60),
    st.binary(max_size=120),
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-amz-date", b"x-amz-content-sha256", b"range"]),
            st.binary(max_size=100) | st.just(vector("host", "0" * 64).encode()),
        ),
        max_size=4,
    ),
)
@example("GET", b"/", b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=\xd9\xa3", [])
@example("GET", b"/%", b"", [])
@example("GET", b"/", b"X-Amz-Signature&X-Amz-Signature", [])
def test_nonsense_is_refused_with_a_code_and_never_a_defect(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    with pytest.raises(Refusal) as refused:
        asked = asked_of(method, b"/" + path, query, headers)
        claim = claim_of(asked)
        check_time(claim, TIME_S)
        check_signature(claim, asked, "secret")
    assert 400 <= refused.value.status < 600


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d{0,30}-\d{0,30}"), st.integers(0, 1000))
def test_a_range_is_within_the_file_or_refused(text: str, size_bytes: int) -> None:
    try:
        found = range_of(text, size_bytes)
    except Refusal:
        return
    if found is not None:
        assert 0 <= found[0] < found[1] <= size_bytes


def test_ranges_are_those_of_http() -> None:
    assert range_of("bytes=0-9", 100) == (0, 10)
    assert range_of("bytes=90-", 100) == (90, 100)
    assert range_of("bytes=-10", 100) == (90, 100)
    assert range_of("bytes=-1000", 100) == (0, 100)
    assert range_of("bytes=50-1000", 100) == (50, 100)
    for whole in ("bytes=9-5", "bytes=-", "lines=1-2", "bytes=0-1,5-6", ""):
        assert range_of(whole, 100) is None
    for over in ("bytes=100-", "bytes=-0", "bytes=500-600"):
        with pytest.raises(Refusal):
            range_of(over, 100)


def test_conditions_are_weighed_in_the_order_of_http() -> None:
    date = "Tue, 14 Nov 2023 22:13:20 GMT"  # 1_700_000_000
    at = 1_700_000_000
    assert unmet({"if-match": '"a", "b"'}, "b", at) == 0
    assert unmet({"if-match": '"a"'}, "b", at) == 412
    assert unmet({"if-none-match": "*"}, "b", at) == 304
    assert unmet({"if-none-match": '"a"', "if-modified-since": date}, "b", at) == 0
    assert unmet({"if-modified-since": date}, "b", at) == 304
    assert unmet({"if-unmodified-since": date}, "b", at + 1) == 412
    assert unmet({"if-match": '"b"', "if-unmodified-since": date}, "b", at + 1) == 0
    assert unmet({"if-modified-since": "yesterday"}, "b", at) == 0


def test_a_bucket_is_the_newest_version_or_one_by_number() -> None:
    assert which("corpus") == ("corpus", "")
    assert which("corpus.v12") == ("corpus", "12")
    assert which("a.v1.v2") == ("a.v1", "2")
    assert which(".v1") == (".v1", "")
    assert which("corpus.v") == ("corpus.v", "")


def test_a_signature_is_over_each_header_that_it_names() -> None:
    claim = Claim("K", "20130524", "r", ("host", "range"), "", "20130524T000000Z", None, "p")
    one, two = (Asked("GET", b"/", (), {"host": "h", "range": r}) for r in ("a  b", "a b"))
    other = Asked("GET", b"/", (), {"host": "h", "range": "ab"})
    assert signature_of(claim, one, "s") == signature_of(claim, two, "s")
    assert signature_of(claim, one, "s") != signature_of(claim, other, "s")
