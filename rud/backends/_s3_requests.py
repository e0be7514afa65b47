"""Requests about the objects of one bucket: the client is made by the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from rud.backends._s3_client import COMPLETION_TIMEOUT, Access
from rud.backends._s3_sums import Sums
from rud.store import Arguments


class Requests:
    """Every request names the bucket, and has those of ``extra_args`` that its operation knows. ``sums``: what whoever
    makes one says of sums."""

    def __init__(self, access: Access, bucket: str, extra_args: Arguments, connections: int, sums: Sums) -> None:
        self.sums = sums
        self._access = access
        self._bucket = bucket
        self._extra_args = extra_args
        self._connections = connections
        self._made: list[Any] = []

    def prepare(self) -> None:
        """Make the client now; ``ConfigurationError``."""
        assert self._client is not None

    def call(self, operation: str, *, patient: bool = False, **arguments: Any) -> Arguments:
        """The answer; raises what botocore raises. ``patient``: it may take minutes."""
        client = self._patient_client if patient else self._client
        answer: Arguments = getattr(client, operation)(**self._whole(operation, arguments))
        return answer

    def pages(self, operation: str, **arguments: Any) -> Iterator[Arguments]:
        """One answer after the other, to the last."""
        yield from self._client.get_paginator(operation).paginate(**self._whole(operation, arguments))

    def close(self) -> None:
        """Close the connections."""
        while self._made:
            self._made.pop().close()

    @cached_property
    def _client(self) -> Any:
        return self._keep(self._access.client(connections=self._connections))

    @cached_property
    def _patient_client(self) -> Any:
        return self._keep(self._access.client(connections=1, read_timeout=COMPLETION_TIMEOUT))

    def _keep(self, client: Any) -> Any:
        self._made.append(client)
        return client

    def _whole(self, operation: str, arguments: Arguments) -> Arguments:
        extra: Arguments = {}
        if self._extra_args:
            meta = self._client.meta
            shape = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape
            extra = {name: value for name, value in self._extra_args.items() if name in shape.members}
        if "Metadata" in extra and "Metadata" in arguments:
            arguments = {**arguments, "Metadata": {**extra["Metadata"], **arguments["Metadata"]}}
        return {**extra, "Bucket": self._bucket, **arguments}
