"""Who asks: AWS Signature Version 4 in the ``Authorization`` header."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rud_fakes._http.dialect import Head
from rud_fakes.s3.documents import S3Error

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an ``Authorization`` header claims."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str


def claim_of(head: Head) -> Claim | None:
    """``None`` if nothing is claimed; ``AuthorizationHeaderMalformed`` if something is that cannot be read."""
    given = head.headers.get("authorization")
    if given is None:
        return None
    found = AUTHORIZATION.fullmatch(given.strip())
    if found is None:
        raise S3Error("AuthorizationHeaderMalformed", "The authorization header that you provided is not valid.")
    return Claim(*found.groups())


def check(head: Head, claim: Claim | None, credentials: Mapping[str, str], region: str) -> None:
    """Refuse who is not who it claims to be."""
    if claim is None:
        raise S3Error("AccessDenied", "Access Denied.")
    secret = credentials.get(claim.access_key)
    if secret is None:
        raise S3Error(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            AWSAccessKeyId=claim.access_key,
        )
    if claim.region != region:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{claim.region}' is wrong; expecting '{region}'",
            Region=region,
            headers={"x-amz-bucket-region": region},
        )
    if not hmac.compare_digest(_signature(head, claim, secret), claim.signature):
        raise S3Error(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and "
            "signing method.",
            AWSAccessKeyId=claim.access_key,
        )


def _signature(head: Head, claim: Claim, secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    summary = hashlib.sha256(_canonical(head, claim).encode("latin-1", "replace")).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", head.headers.get("x-amz-date", ""), scope, summary])
    key = f"AWS4{secret}".encode()
    for step in (*scope.split("/"), to_sign):
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex()


def _canonical(head: Head, claim: Claim) -> str:
    """What the client has summed, written down again from what arrived: the path and the query as they were sent, but
    for a space, which some send as ``+`` and all sum as ``%20``."""
    query = head.query.replace("+", "%20")
    pairs = sorted(tuple(pair.partition("=")[::2]) for pair in query.split("&") if pair)
    names = claim.signed_headers.split(";")
    headers = [f"{name}:{' '.join(head.headers.get(name, '').split())}" for name in names]
    return "\n".join(
        [
            head.method,
            head.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *headers,
            "",
            claim.signed_headers,
            head.headers.get("x-amz-content-sha256", ""),
        ]
    )
