"""Harnesses of ``LibcloudObjectStore``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from libcloud.storage.drivers import s3 as drivers
from rud_fakes.hmac_gcs import HmacGCSServer
from rud_fakes.s3 import S3Server
from rud_fakes.servers import Azurite, azurite

from rud._registry import resolve
from rud.backends._libcloud_providers import provider_of, whole_name
from rud.errors import InvalidKeyError
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._faulty import FaultyWire, Objects
from rud_conformance.harnesses._places import where
from rud_conformance.harnesses.s3 import S3OnMoto, S3OnVersitygw
from rud_conformance.quirks import is_path
from rud_conformance.wire import Kind, Wire

_KEY, _SECRET = "GOOGRUDTEST", "rud-conformance-secret"
_REGION = "us-east-1"
_PART = 1 << 20


def _keeps(provider: str) -> Any:
    def keeps(key: str) -> bool:
        try:
            whole_name(provider_of(provider), "", key)
        except InvalidKeyError:
            return False
        return True

    return keeps


class _Faulty(Harness):
    """On a faulty server of ``rud_fakes``."""

    limits = Limits(part=_PART, threshold=_PART, page=5, slow=True, keeps=_keeps("s3"))
    kinds: ClassVar[frozenset[Kind]] = frozenset({"status", "reset", "lost", "short"})
    names: ClassVar[Mapping[str, str]] = {
        "PutObject": "put",
        "CreateMultipartUpload": "begin",
        "UploadPart": "part",
        "CompleteMultipartUpload": "complete",
        "AbortMultipartUpload": "abort",
        "GetObject": "get",
        "HeadObject": "head",
        "ListObjects": "page",
        "DeleteObject": "delete",
    }

    def __init__(self) -> None:
        self._server = self._made()
        self._server.start()
        # Smaller than libcloud's own, which would be megabytes for each case.
        self._chunk, drivers.CHUNK_SIZE = drivers.CHUNK_SIZE, _PART

    def _made(self) -> S3Server:
        raise NotImplementedError

    def _arguments(self, secret: str = _SECRET) -> dict[str, Any]:
        raise NotImplementedError

    def address(self, scope: str) -> Address:
        bucket, prefix = where(scope, nested=True)
        self._server.at(bucket)
        return f"libcloud://{bucket}/{prefix}", self._arguments()

    def stranger(self, scope: str) -> Backend:
        return resolve(self.address(scope)[0], self._arguments("of-nobody")).open()

    def wire(self, scope: str) -> Wire:
        return FaultyWire(self._server, self.kinds, self.names)

    def raw(self, scope: str) -> Raw:
        bucket, prefix = where(scope, nested=True)
        return Objects(self._server.at(bucket), prefix)

    def unfinished(self, scope: str) -> int:
        bucket, prefix = where(scope, nested=True)
        return sum(one.key.startswith(prefix) for one in self._server.at(bucket).uploads.values())

    def close(self) -> None:
        drivers.CHUNK_SIZE = self._chunk
        self._server.close()


class LibcloudS3OnFake(_Faulty):
    """Provider ``s3``."""

    def _made(self) -> S3Server:
        return S3Server("bucket", page=5, minimum_part=1, credentials={_KEY: _SECRET})

    def _arguments(self, secret: str = _SECRET) -> dict[str, Any]:
        return {"provider": "s3", "provider_kwargs": kwargs_of_s3(self._server.url, _KEY, secret)}


class LibcloudGoogle(_Faulty):
    """Provider ``google_storage``, by an HMAC key."""

    def _made(self) -> S3Server:
        return HmacGCSServer("bucket", page=5, credentials={_KEY: _SECRET})

    def _arguments(self, secret: str = _SECRET) -> dict[str, Any]:
        return {
            "provider": "google_storage",
            "provider_kwargs": {"key": _KEY, "secret": secret, "secure": False, "proxy_url": self._server.url},
        }


def kwargs_of_s3(url: str, key: str, secret: str, region: str = _REGION) -> dict[str, Any]:
    """``provider_kwargs`` that lead the provider ``s3`` to the server at ``url``."""
    parts = urlsplit(url)
    return {
        "key": key,
        "secret": secret,
        "host": parts.hostname,
        "port": parts.port,
        "secure": parts.scheme == "https",
        "region": region,
    }


class LibcloudS3OnMoto(S3OnMoto):
    """Provider ``s3``, on moto."""

    limits = Limits(part=5 << 20, threshold=5 << 20, slow=True, keeps=_keeps("s3"))

    def address(self, scope: str) -> Address:
        bucket, prefix = self._where(scope)
        there = self._server.address
        given = kwargs_of_s3(there.url, there.access_key, there.secret_key, there.region)
        return f"libcloud://{bucket}/{prefix}", {"provider": "s3", "provider_kwargs": given}


class LibcloudS3OnVersitygw(S3OnVersitygw):
    """Provider ``s3``, on versitygw."""

    limits = replace(LibcloudS3OnMoto.limits, keeps=lambda key: is_path(key) and _keeps("s3")(key))

    def address(self, scope: str) -> Address:
        return self._by(scope, self._server.address.access_key, self._server.address.secret_key)

    def _by(self, scope: str, key: str, secret: str) -> Address:
        bucket, prefix = self._where(scope)
        there = self._server.address
        given = kwargs_of_s3(there.url, key, secret, there.region)
        return f"libcloud://{bucket}/{prefix}", {"provider": "s3", "provider_kwargs": given}

    def _as(self, scope: str, **credentials: str) -> Backend:
        key = credentials.get("aws_access_key_id", self._server.address.access_key)
        return resolve(*self._by(scope, key, credentials["aws_secret_access_key"])).open()


class LibcloudAzure(Harness):
    """Provider ``azure_blobs``, on azurite: ``server``, which runs, or one of its own."""

    limits = Limits(part=4 << 20, threshold=4 << 20, slow=True, keeps=_keeps("azure_blobs"))

    def __init__(self, server: Azurite | None = None) -> None:
        self._is_ours = server is None
        self._server = server or azurite()
        if self._is_ours:
            self._server.start()

    def address(self, scope: str) -> Address:
        bucket, prefix = where(scope, nested=True)
        self._server.make_bucket(bucket)
        there = self._server.address
        parts = urlsplit(there.url)
        given = {"key": there.account, "secret": there.key, "host": parts.hostname, "port": parts.port, "secure": False}
        return f"libcloud://{bucket}/{prefix}", {"provider": "azure_blobs", "provider_kwargs": given}

    def close(self) -> None:
        if self._is_ours:
            self._server.stop()


class LibcloudLocal(Harness):
    """Provider ``local``, in a temporary folder."""

    limits = Limits(part=1 << 20, threshold=1 << 20, slow=True, keeps=_keeps("local"))
    ephemeral = True

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="rud-conformance-libcloud-")

    def address(self, scope: str) -> Address:
        bucket, prefix = where(scope, nested=True)
        os.makedirs(os.path.join(self._folder, bucket), exist_ok=True)
        return f"libcloud://{bucket}/{prefix}", {"provider": "local", "provider_kwargs": {"key": self._folder}}

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
