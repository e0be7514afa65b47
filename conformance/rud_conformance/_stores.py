"""Harnesses for any place that rud can open, without further means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rud_conformance.harness import Address, Harness, Limits
from rud_conformance.harnesses import S3


class _Alive(Harness):
    """``answers`` is asked of the place as a whole."""

    answers: Callable[[], bool] | None = None

    def alive(self) -> bool:
        return self.answers is None or self.answers()


class AtUri(_Alive):
    """Any store that rud knows."""

    limits = Limits(part=1 << 20, threshold=1 << 20, slow=True)

    def __init__(self, uri: str, backend_kwargs: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._arguments = backend_kwargs

    def address(self, scope: str) -> Address:
        return f"{self._uri}/{scope}", self._arguments


class AtS3(_Alive, S3):
    """With parts as small as S3 allows."""
