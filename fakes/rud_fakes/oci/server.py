"""The faulty server of OCI's native API."""

from __future__ import annotations

from collections.abc import Iterable

from rud_fakes.oci.dialect import OCIDialect
from rud_fakes.oci.keys import ApiKey
from rud_fakes.s3.server import S3Server


class OCIServer(S3Server):
    """OCI Object Storage on a free port of ``127.0.0.1``, in memory; its faults are ``S3Server``'s.

    Every request is signed by one of ``keys`` or refused; so is one whose body is a document that was not signed with
    it. Operations: ``GetNamespace``, ``PutObject``, ``GetObject``, ``HeadObject``, ``DeleteObject``, ``ListObjects``,
    ``CreateMultipartUpload``, ``UploadPart``, ``CommitMultipartUpload``, ``AbortMultipartUpload``. Bodies are compared
    with ``opc-content-crc32c`` and ``Content-MD5``; every object tells its CRC32C.

    ``namespace``: of the one tenancy. ``page``: the most that a listing tells at once; 1,000 as OCI documents.
    """

    def __init__(self, bucket: str, *, keys: Iterable[ApiKey], namespace: str = "rud", page: int = 1000) -> None:
        super().__init__(bucket, page=page)
        self._dialect = OCIDialect(self._state, namespace, {key.id: key.public for key in keys})
