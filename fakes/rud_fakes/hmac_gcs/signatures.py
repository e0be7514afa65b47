"""Who asks: ``Authorization: GOOG1 KEY:SIGNATURE`` (Cloud Storage, "HMAC authentication", version 2 signing)."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping

from rud_fakes._http.dialect import Head
from rud_fakes.s3.documents import S3Error

_AUTHORIZATION = re.compile(r"GOOG1\s+(?P<key>[^:\s]+):(?P<signature>[A-Za-z0-9+/=]+)")


def check(head: Head, credentials: Mapping[str, str]) -> None:
    """Refuse who is not who it claims to be."""
    found = _AUTHORIZATION.fullmatch(head.headers.get("authorization", "").strip())
    if found is None:
        raise S3Error("AccessDenied", "Access denied.")
    secret = credentials.get(found["key"])
    if secret is None:
        raise S3Error("InvalidAccessKeyId", "The HMAC key does not exist.")
    wanted = base64.b64encode(hmac.digest(secret.encode(), _to_sign(head).encode(), "sha1")).decode()
    if not hmac.compare_digest(wanted, found["signature"]):
        raise S3Error("SignatureDoesNotMatch", "The signature that was calculated is another one.")


def _to_sign(head: Head) -> str:
    """The method, three headers, those of Google's own, and the path as it was sent."""
    standard = [head.headers.get(name, "") for name in ("content-md5", "content-type", "date")]
    ours = [f"{name}:{text.strip()}" for name, text in sorted(head.headers.items()) if name.startswith("x-goog-")]
    return "\n".join([head.method, *standard, *ours, head.path])
