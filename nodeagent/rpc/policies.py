"""Policies as they come over the wire: checked field by field, and what cannot be is refused."""

import re
from collections.abc import Iterator

from coordinator.policy import (
    ANY_BUCKET,
    REPLICAS_DEFAULT,
    REPLICAS_MAX,
    Level,
    MissingBucket,
    Policy,
    PolicyImpossible,
    spread_of,
)
from multicloud.errors import FieldFault, McError
from multicloud.v1 import job_pb2

ALLOW_MAX = 64
# As names in the configuration are; a node may stand outside of any cloud's list.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_REGION = re.compile(rf"{_NAME}/{_NAME}")
_BUCKET = re.compile(rf"{ANY_BUCKET}|(s3|gs|az)://[A-Za-z0-9._/=-]{{1,512}}")
_REGIONS = re.compile(rf"{_NAME}/({_NAME}|\*)")


def policy_of(asked: job_pb2.Policy) -> Policy:
    """What is not said is the default: three copies, three zones, two clouds."""
    faults = list(_faults(asked))
    if faults:
        raise McError("BAD_REQUEST", "this is no policy", faults=faults)
    replicas = asked.replicas or REPLICAS_DEFAULT
    rules = {Level(rule.level): rule.count for rule in asked.spread}
    return Policy(
        replicas,
        spread_of(replicas, rules),
        tuple(asked.allow_regions),
        asked.near_region,
        asked.bucket_copy_uri.rstrip("/"),
    )


def policy_message(policy: Policy) -> job_pb2.Policy:
    """The same, with what was left to the default written out."""
    return job_pb2.Policy(
        replicas=policy.replicas,
        spread=[job_pb2.SpreadRule(level=int(at), count=n) for at, n in policy.spread],  # type: ignore[arg-type]
        allow_regions=policy.allow,
        near_region=policy.near,
    )


def refused(policy: Policy, impossible: PolicyImpossible) -> McError:
    ways = ["add nodes in other places"]
    if any(isinstance(one, MissingBucket) for one in impossible.missing):
        ways[:] = ["let a node serve a bucket: [[bucket]] in its configuration", *ways]
    if policy.allow:
        ways.append("allow more regions with --allow")
    if impossible.flags:
        ways.append(f"relax it with {' '.join(impossible.flags)}")
    return McError(
        "POLICY_IMPOSSIBLE",
        f"the nodes of this cluster can never meet the policy: {impossible}",
        next=", or ".join(ways),
    )


def _faults(asked: job_pb2.Policy) -> Iterator[FieldFault]:
    replicas = asked.replicas or REPLICAS_DEFAULT
    if replicas > REPLICAS_MAX:
        yield FieldFault("policy.replicas", f"{replicas} are more than {REPLICAS_MAX}")
        return
    levels = [rule.level for rule in asked.spread]
    if len(set(levels)) < len(levels):
        yield FieldFault("policy.spread", "has two rules for one level")
    for rule in asked.spread:
        known = int(rule.level) in {int(level) for level in Level}
        if not known:
            yield FieldFault("policy.spread.level", "is one of node, zone, region, cloud")
        if not 1 <= rule.count <= replicas:
            word = Level(rule.level).word if known else "domain"
            what = f"{replicas} copies stand in 1 to {replicas} {word}s, not in {rule.count}"
            yield FieldFault("policy.spread.count", what)
    if len(asked.allow_regions) > ALLOW_MAX:
        yield FieldFault("policy.allow_regions", f"has more than {ALLOW_MAX} entries")
    for allowed in asked.allow_regions[:ALLOW_MAX]:
        if not _REGIONS.fullmatch(allowed):
            rule_ = f"{allowed[:80]!r} is neither like aws/eu-west-1 nor like gcp/*"
            yield FieldFault("policy.allow_regions", rule_)
    if asked.bucket_copy_uri and not _BUCKET.fullmatch(asked.bucket_copy_uri):
        said = f"{asked.bucket_copy_uri[:80]!r} is neither {ANY_BUCKET!r} nor like s3://name/prefix"
        yield FieldFault("policy.bucket_copy_uri", said)
    if asked.near_region and not _REGION.fullmatch(asked.near_region):
        yield FieldFault(
            "policy.near_region", f"{asked.near_region[:80]!r} is not like aws/eu-west-1"
        )
