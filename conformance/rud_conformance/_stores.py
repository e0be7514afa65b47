"""Harnesses for any place that rud can open, without further means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rud._registry import resolve
from rud_conformance.harness import Address, Harness, Limits
from rud_conformance.harnesses import S3


class AtUri(Harness):
    """``answers`` is asked of the place as a whole."""

    _uri: str
    _given: Mapping[str, Any]
    answers: Callable[[], bool] | None = None

    def alive(self) -> bool:
        return self.answers is None or self.answers()

    @property
    def again(self) -> str:
        public = resolve(self._uri, self._given).destination
        shown = [f"{name!r}: {value!a}" for name, value in self._given.items() if name in public]
        shown += [_from_environment(name, value) for name, value in self._given.items() if name not in public]
        return f"at_uri({self._uri!a}, {{{', '.join(shown)}}})"


def _from_environment(name: str, value: object) -> str:
    """What may be a secret is not shown."""
    there = f"os.environ[{name.upper()!r}]"
    return f"{name!r}: {there if isinstance(value, str) else f'json.loads({there})'}"


class _Any(AtUri):
    """Any store that rud knows."""

    limits = Limits(part=1 << 20, threshold=1 << 20, slow=True)

    def __init__(self, uri: str, backend_kwargs: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        self._given = backend_kwargs

    def address(self, scope: str) -> Address:
        return f"{self._uri}/{scope}", self._given


class _S3(AtUri, S3):
    """With parts as small as S3 allows."""

    def __init__(self, uri: str, backend_kwargs: Mapping[str, Any]) -> None:
        super().__init__(uri, backend_kwargs)
        self._given = backend_kwargs


def at_uri(uri: str, backend_kwargs: Mapping[str, Any] | None = None) -> AtUri:
    """A harness at ``uri``, below which scopes begin: what ``rud conformance`` runs on."""
    return (_S3 if uri.startswith("s3://") else _Any)(uri, backend_kwargs or {})
