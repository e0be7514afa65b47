"""MinIO, for a second opinion on S3."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rud_fakes.servers._child import Child, answers
from rud_fakes.servers._programs import MINIO
from rud_fakes.servers._s3 import OfS3
from rud_fakes.servers._server import Folder


class Minio(OfS3):
    """Keeps its objects on disk, verifies signatures and checksums, and decides conditions atomically.

    Not to be believed about a delete with a stale ``If-Match``, which deletes, about listings of unfinished uploads by
    a prefix, which are empty, nor about ``a/b`` beside an object ``a``, which is stored and not listed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        *,
        access_key: str,
        secret_key: str,
        region: str,
        buckets: Sequence[str],
    ) -> None:
        self._program = MINIO.find()
        self._folder = Folder("minio", folder)
        environment = {
            "MINIO_ROOT_USER": access_key,
            "MINIO_ROOT_PASSWORD": secret_key,
            "MINIO_REGION": region,
            "MINIO_BROWSER": "off",
            "HOME": os.path.expanduser("~"),
        }
        # Its /minio/health/ready and /live say yes while requests are still answered 503, XMinioServerNotInitialized;
        # it can serve when it asks a stranger who that is.
        child = Child("minio", self._command, environment, ready=answers("/", 403))
        super().__init__(child, access_key=access_key, secret_key=secret_key, region=region, buckets=buckets)

    def _command(self, port: int) -> list[str]:
        return [self._program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(self._folder / "objects")]

    def start(self) -> None:
        self._folder.make("objects")
        super().start()

    def stop(self) -> None:
        super().stop()
        self._folder.remove()


def minio(
    folder: str | os.PathLike[str] | None = None,
    *,
    buckets: Sequence[str] = ("bucket",),
    access_key: str = "rudtest",
    secret_key: str = "rudtestsecret",
    region: str = "us-east-1",
) -> Minio:
    """MinIO over ``folder``, by default a temporary one that ``stop`` removes; it takes some 0.5 s to start.

    ``MissingServerError`` where the program is not to be found.
    """
    return Minio(folder, access_key=access_key, secret_key=secret_key, region=region, buckets=buckets)
