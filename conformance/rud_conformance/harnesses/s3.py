"""Harnesses of ``S3ObjectStore``."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from rud_fakes.s3 import S3Server
from rud_fakes.servers import Moto, S3Address, Server, Versitygw, moto, versitygw

from rud._registry import resolve
from rud.backends.s3 import S3ObjectStore
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._faulty import FaultyWire, Objects
from rud_conformance.harnesses._places import where
from rud_conformance.quirks import is_one_line, is_path
from rud_conformance.wire import Kind, Wire

PART = 5 << 20
"""Bytes of the least part that S3 takes."""
ONE_TRY: dict[str, Any] = {"retries": {"total_max_attempts": 1}}


class S3(Harness):
    """``S3ObjectStore`` on a server that speaks S3; ``uri`` is where scopes begin."""

    limits = Limits(part=PART, threshold=PART, slow=True)

    def __init__(self, uri: str, backend_kwargs: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        transfer = {"multipart_threshold": PART, "multipart_chunksize": PART}
        self._arguments = {"client_config": ONE_TRY, "transfer_config": transfer, **backend_kwargs}

    def address(self, scope: str) -> Address:
        return f"{self._uri}/{scope}", self._arguments

    def stranger(self, scope: str) -> Backend | None:
        if "aws_secret_access_key" not in self._arguments:
            return None
        return self._as(scope, aws_secret_access_key="of-nobody")

    def _as(self, scope: str, **credentials: str) -> Backend:
        return resolve(self.address(scope)[0], {**self._arguments, **credentials}).open()

    def alive(self) -> bool:
        url = urlsplit(str(self._arguments.get("endpoint_url", "")))
        if url.hostname is None:
            return True
        try:
            socket.create_connection((url.hostname, url.port or 443), timeout=10).close()
        except OSError:
            return False
        return True


class FakeS3(S3):
    """``S3ObjectStore`` on the faulty server of ``rud_fakes``."""

    limits = Limits(part=1 << 20, threshold=1 << 20, page=5, slow=True)
    nested: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({"status", "reset", "lost", "short", "flip", "error_in_200"})

    def __init__(self) -> None:
        address = S3Address("", "KEY", "rud-conformance-secret")
        self._server = S3Server("bucket", page=5, minimum_part=1, credentials={"KEY": address.secret_key})
        self._server.start()
        super().__init__("s3://", replace(address, url=self._server.url).backend_kwargs)

    def address(self, scope: str) -> Address:
        bucket, prefix = where(scope, nested=self.nested)
        self._server.at(bucket)
        return f"s3://{bucket}/{prefix}", self._arguments

    def open(self, scope: str) -> Backend:
        made = super().open(scope)
        assert isinstance(made, S3ObjectStore)
        return with_small_parts(made)

    def wire(self, scope: str) -> Wire | None:
        return FaultyWire(self._server, self.kinds, _NAMES)

    def raw(self, scope: str) -> Raw:
        bucket, prefix = where(scope, nested=self.nested)
        return Objects(self._server.at(bucket), prefix)

    def unfinished(self, scope: str) -> int:
        bucket, prefix = where(scope, nested=self.nested)
        return sum(one.key.startswith(prefix) for one in self._server.at(bucket).uploads.values())

    def close(self) -> None:
        self._server.close()


class FakeS3AtRoot(FakeS3):
    """The same without a prefix."""

    nested = False


def with_small_parts(made: S3ObjectStore) -> S3ObjectStore:
    """Smaller than S3 allows, which would be megabytes for each case; a planned part has at least 1 MiB. One after the
    other, so that the n-th request is the same each time."""
    made._transfer = replace(made._transfer, threshold=1 << 20, chunk=1 << 20, concurrency=1)  # noqa: SLF001 - no user can
    return made


_NAMES = {
    "PutObject": "put",
    "CreateMultipartUpload": "begin",
    "UploadPart": "part",
    "CompleteMultipartUpload": "complete",
    "AbortMultipartUpload": "abort",
    "GetObject": "get",
    "HeadObject": "head",
    "ListObjectsV2": "page",
    "DeleteObject": "delete",
}


class _OnServer(S3):
    """On a real server: ``server``, which runs, or one of its own."""

    nested: ClassVar[bool] = True

    def __init__(self, server: Server[S3Address] | None = None) -> None:
        self._server = server or self._start()
        self._is_ours = server is None
        self._making = threading.Lock()
        self._made: set[str] = set()
        super().__init__("s3://", self._server.backend_kwargs)

    def _start(self) -> Server[S3Address]:
        raise NotImplementedError

    def address(self, scope: str) -> Address:
        bucket, prefix = self._where(scope)
        return f"s3://{bucket}/{prefix}", self._arguments

    def _where(self, scope: str) -> tuple[str, str]:
        bucket, prefix = where(scope, nested=self.nested)
        with self._making:  # a case may open several instances at once
            if bucket not in self._made:
                self._server.make_bucket(bucket)
                self._made.add(bucket)
        return bucket, prefix

    def raw(self, scope: str) -> Raw:
        return _ByBoto3(self._client, *self._where(scope))

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client("s3", config=Config(**ONE_TRY), **self._server.backend_kwargs)

    def unfinished(self, scope: str) -> int:
        bucket, prefix = self._where(scope)
        told = self._server.address.ask("GET", f"/{bucket}?uploads=")[1]
        return sum(key.startswith(prefix) for key in re.findall(r"<Key>(.*?)</Key>", told, re.DOTALL))

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()
        if self._is_ours:
            self._server.stop()


class _ByBoto3:
    """The objects of ``bucket`` below ``prefix``, by the SDK alone."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def read(self) -> dict[str, bytes]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        names = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {name[len(self._prefix) :]: self._get(name) for name in names}

    def _get(self, name: str) -> bytes:
        data: bytes = self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        return data


class S3OnMoto(_OnServer):
    """``S3ObjectStore`` on moto, which lets everybody in."""

    limits = replace(S3.limits, keeps=is_one_line)

    def _start(self) -> Moto:
        server = moto()
        server.start()
        return server

    def stranger(self, scope: str) -> Backend | None:
        return None


class S3OnMotoAtRoot(S3OnMoto):
    """The same without a prefix."""

    nested = False


class S3OnVersitygw(_OnServer):
    """``S3ObjectStore`` on versitygw."""

    limits = replace(S3.limits, keeps=is_path)
    _server: Versitygw

    def _start(self) -> Versitygw:
        server = versitygw()
        server.start()
        return server

    def reader(self, scope: str) -> Backend:
        bucket, _ = self._where(scope)
        policy = self._server._policy(bucket)  # noqa: SLF001 - only this suite needs it
        self._server.address.ask("PUT", f"/{bucket}?policy", policy.encode())
        access = self._reader
        return self._as(scope, aws_access_key_id=access.access_key, aws_secret_access_key=access.secret_key)

    @cached_property
    def _reader(self) -> S3Address:
        return self._server.add_user(f"reader-{secrets.token_hex(4)}", "readersecret", may="read")


class S3OnVersitygwAtRoot(S3OnVersitygw):
    """The same without a prefix."""

    nested = False
