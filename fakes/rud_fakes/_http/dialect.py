"""What a dialect has to do with the server that speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

Received = TypeVar("Received")


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body."""

    method: str
    path: str
    """As sent: percent-encoded, without the query."""
    query: str
    """As sent."""
    parameters: Mapping[str, str]
    """The query, decoded; a name without a value has an empty one."""
    headers: Mapping[str, str]
    """By name in lower case."""
    via_proxy: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about."""

    operation: str
    bucket: str = ""
    key: str = ""
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``length``: of the body that a HEAD leaves away."""

    status: int
    body: bytes | memoryview = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    length: int | None = None


class RefusalError(Exception):
    """The request is answered by ``reply``, and nothing else is done."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Dialect(Protocol, Generic[Received]):
    """A request passes through these in turn; any but the first may raise ``RefusalError``."""

    def recognise(self, head: Head) -> Target:
        """What ``head`` asks for."""
        ...

    def admit(self, head: Head, target: Target) -> None:
        """Refuse what can be refused before the body is read."""
        ...

    def receive(self, head: Head, target: Target, chunks: Iterator[bytes]) -> Received:
        """Read the body; change nothing yet."""
        ...

    def spoil(self, received: Received) -> Received:
        """The same with one bit wrong, unnoticed by any check that comes."""
        ...

    def answer(self, head: Head, target: Target, received: Received) -> Reply:
        """Do it."""
        ...

    def failure(self, head: Head, status: int, code: str | None) -> Reply:
        """An error as this dialect words it."""
        ...
