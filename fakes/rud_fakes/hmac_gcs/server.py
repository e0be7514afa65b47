"""The faulty server of Cloud Storage's XML API."""

from __future__ import annotations

from collections.abc import Mapping

from rud_fakes.hmac_gcs.dialect import HmacDialect
from rud_fakes.s3.server import S3Server


class HmacGCSServer(S3Server):
    """Cloud Storage for who has an HMAC key, on a free port of ``127.0.0.1``, in memory; its faults are ``S3Server``'s.

    The client names ``url`` as its proxy. Every request is signed in the way ``GOOG1`` with one of ``credentials``
    (secrets by access id) or refused; metadata is ``x-goog-meta-``; documents have Google's namespace.
    """

    def __init__(self, bucket: str, *, credentials: Mapping[str, str], page: int = 1000) -> None:
        super().__init__(bucket, credentials=credentials, page=page)
        self._dialect = HmacDialect(self._state)
