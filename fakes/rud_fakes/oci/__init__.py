"""OCI Object Storage by its native API: a faulty server, as ``rud_fakes.s3`` is.

::

    key = ApiKey.make(folder)
    with OCIServer("bucket", keys=[key]) as server:
        config_file = key.write_config(server.url)
        ...  # a client of the profile DEFAULT in that file

Needs ``cryptography``, which comes with the OCI SDK.
"""

from __future__ import annotations

from rud_fakes.oci.keys import ApiKey as ApiKey
from rud_fakes.oci.server import OCIServer as OCIServer

__all__ = ["ApiKey", "OCIServer"]
