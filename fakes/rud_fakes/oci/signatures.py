"""Who asks: ``Authorization: Signature …`` with an RSA key (OCI documentation, "Request Signatures")."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from rud_fakes._http.dialect import Head
from rud_fakes.oci.documents import OCIError

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_ALWAYS = {"date", "(request-target)", "host"}
_WITH_DOCUMENT = {"content-length", "content-type", "x-content-sha256"}
_SKEW = 300.0
"""Seconds that the clock of a client may be wrong."""


def check(head: Head, keys: Mapping[str, Any], now: float, *, with_document: bool) -> None:
    """Refuse who is not who it claims to be. ``keys``: public ones by their ids."""
    scheme, _, rest = head.headers.get("authorization", "").partition(" ")
    claim = dict(_PARAMETER.findall(rest))
    key = keys.get(claim.get("keyId", ""))
    if scheme != "Signature" or claim.get("algorithm") != "rsa-sha256" or claim.get("version") != "1" or key is None:
        raise _refusal("The required information to complete authentication was not provided or was incorrect.")
    names = claim.get("headers", "").split(" ")
    if not (_ALWAYS | (_WITH_DOCUMENT if with_document else set())) <= set(names):
        raise _refusal("Not all headers that have to be are signed.")
    try:
        signature = base64.b64decode(claim.get("signature", ""), validate=True)
        key.verify(signature, _signed(head, names).encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error):
        raise _refusal("Failed to verify the HTTP(S) Signature") from None
    if abs(parsedate_to_datetime(head.headers["date"]).timestamp() - now) > _SKEW:
        raise _refusal("The date of the request is not within the allowed clock skew.")


def _signed(head: Head, names: list[str]) -> str:
    """What the client has signed, written down again from what arrived."""
    target = f"{head.method.lower()} {head.path}" + (f"?{head.query}" if head.query else "")
    lines = [(name, target if name == "(request-target)" else head.headers.get(name, "")) for name in names]
    return "\n".join(f"{name}: {text}" for name, text in lines)


def _refusal(said: str) -> OCIError:
    return OCIError(401, "NotAuthenticated", said)
