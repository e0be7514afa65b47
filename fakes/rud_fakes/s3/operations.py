"""Which operation of the API a request is."""

from __future__ import annotations

from urllib.parse import unquote

from rud_fakes._http.dialect import Head, Target

UNKNOWN = "Unknown"
SUBRESOURCES = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "versioning",
        "versions",
        "versionId",
        "website",
    ]
)
"""Of which this server has none."""


def recognise(head: Head) -> Target:
    """The target of ``head``, by path, method and query; path style only."""
    bucket, _, key = head.path.removeprefix("/").partition("/")
    bucket, key = unquote(bucket), unquote(key)
    if SUBRESOURCES & head.parameters.keys() or (head.method == "CONNECT"):
        return Target(UNKNOWN, bucket, key)
    if key:
        return Target(_object_operation(head), bucket, key, _part(head))
    if bucket:
        return Target(_bucket_operation(head), bucket)
    return Target("ListBuckets" if head.method == "GET" else UNKNOWN)


def _bucket_operation(head: Head) -> str:
    given = head.parameters
    if head.method == "GET":
        if "location" in given:
            return "GetBucketLocation"
        if "uploads" in given:
            return "ListMultipartUploads"
        return "ListObjectsV2" if given.get("list-type") == "2" else "ListObjects"
    if head.method == "POST":
        return "DeleteObjects" if "delete" in given else UNKNOWN
    return {"HEAD": "HeadBucket", "PUT": "CreateBucket"}.get(head.method, UNKNOWN)


def _object_operation(head: Head) -> str:
    given = head.parameters
    if "uploadId" in given:
        if head.method == "PUT":
            return UNKNOWN if "x-amz-copy-source" in head.headers else "UploadPart"
        found = {"POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return found.get(head.method, UNKNOWN)
    if head.method == "POST":
        return "CreateMultipartUpload" if "uploads" in given else UNKNOWN
    if "partNumber" in given:
        return UNKNOWN
    if head.method == "PUT":
        return UNKNOWN if "x-amz-copy-source" in head.headers else "PutObject"
    return {"HEAD": "HeadObject", "GET": "GetObject", "DELETE": "DeleteObject"}.get(head.method, UNKNOWN)


def _part(head: Head) -> int | None:
    given = head.parameters.get("partNumber", "")
    return int(given) if given.isdecimal() else None
