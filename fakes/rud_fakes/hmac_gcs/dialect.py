"""Google's XML API as a dialect of the faulty server: S3's, with other names."""

from __future__ import annotations

from dataclasses import replace

from rud_fakes._http.dialect import Head, Reply, Target
from rud_fakes.hmac_gcs import signatures
from rud_fakes.s3.dialect import S3Dialect
from rud_fakes.s3.documents import NAMESPACE
from rud_fakes.s3.state import Received, State

GOOGLES_NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"
"""Of what Cloud Storage answers; clients look for elements of that name alone."""


class HmacDialect(S3Dialect):
    """Over ``state``."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._secrets = state

    def _check_caller(self, head: Head) -> None:
        if self._secrets.credentials is not None:
            signatures.check(head, self._secrets.credentials)

    def answer(self, head: Head, target: Target, received: Received) -> Reply:
        headers = {name.replace("x-goog-meta-", "x-amz-meta-"): text for name, text in head.headers.items()}
        said = super().answer(replace(head, headers=headers), target, received)
        renamed = {name.lower().replace("x-amz-", "x-goog-"): text for name, text in said.headers.items()}
        body = said.body
        if target.operation not in ("GetObject", "HeadObject"):
            body = bytes(body).replace(NAMESPACE.encode(), GOOGLES_NAMESPACE.encode())
        return replace(said, headers=renamed, body=body)
