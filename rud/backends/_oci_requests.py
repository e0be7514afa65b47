"""Requests of an OCI store, by the SDK: to one bucket of one namespace."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from rud.backends import _sums
from rud.backends._oci_access import COMPLETION_TIMEOUT, READ_TIMEOUT, Access
from rud.errors import IntegrityError
from rud.store import Arguments, PutMode, PutResult

ENTRY_ID = "rud-entry-id"
"""The user metadata of an object (``opc-meta-rud-entry-id``) that names the upload which wrote it."""


class Requests:
    """The clients are made by the first request. ``namespace``: ``None`` to ask for it."""

    def __init__(self, access: Access, bucket: str, namespace: str | None) -> None:
        self._access = access
        self._bucket = bucket
        self._given_namespace = namespace
        self._clients: dict[float, Any] = {}

    def call(self, method: str, *arguments: Any, patient: bool = False, **others: Any) -> Any:
        """The SDK's answer; ``patient`` waits for it as long as a commit may take."""
        client = self._client(COMPLETION_TIMEOUT if patient else READ_TIMEOUT)
        return getattr(client, method)(self._namespace, self._bucket, *arguments, **others)

    def prepare(self) -> None:
        self._client(READ_TIMEOUT)

    def close(self) -> None:
        for client in self._clients.values():
            client.base_client.session.close()
        self._clients.clear()

    def _client(self, read_timeout: float) -> Any:
        if read_timeout not in self._clients:
            self._clients[read_timeout] = self._access.client(read_timeout)
        return self._clients[read_timeout]

    @cached_property
    def _namespace(self) -> str:
        found: str = self._given_namespace or self._client(READ_TIMEOUT).get_namespace().data
        return found


def only_if(mode: PutMode) -> Arguments:
    """The condition under which a put or a commit is carried out."""
    return {"if_none_match": "*"} if mode is PutMode.CREATE else {}


def sum_of(crc: int) -> Arguments:
    """``crc``, for a request with a body to be compared with it."""
    return {"opc_checksum_algorithm": "CRC32C", "opc_content_crc32c": _sums.written(crc)}


def result_of(key: str, answer: Any, crc: int) -> PutResult:
    """What a put has answered; ``IntegrityError`` when the service has summed other bytes than we have."""
    there = answer.headers.get("opc-content-crc32c")
    if there is not None and _sums.read(there) != crc:
        reason = f"we sent CRC32C {crc:08x}, the service received {_sums.read(there):08x}"
        raise IntegrityError.during("put", key, reason)
    return PutResult(etag=answer.headers.get("etag"), version=answer.headers.get("version-id"))
