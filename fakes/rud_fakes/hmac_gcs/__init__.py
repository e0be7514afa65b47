"""Cloud Storage's XML API for who has an HMAC key: a faulty server, as ``rud_fakes.s3`` is.

::

    with HmacGCSServer("bucket", credentials={"GOOGKEY": "secret"}) as server:
        ...  # a client whose proxy is server.url, asking http://storage.googleapis.com/bucket/key
"""

from __future__ import annotations

from rud_fakes.hmac_gcs.server import HmacGCSServer as HmacGCSServer

__all__ = ["HmacGCSServer"]
