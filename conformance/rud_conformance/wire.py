"""Trouble between a backend and its service, as a harness may offer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal[
    "status",
    "reset",
    "lost",
    "status_after",
    "short",
    "short_clean",
    "flip",
    "flip_in",
    "empty_page",
    "same_token",
    "error_in_200",
    "garbage",
    "whole",
]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls one request.

    ``status``: the answer is ``status`` and nothing was done; with ``status_after`` it was. ``reset``: the connection
    breaks before anything was done; ``lost``: after it was. ``short``, ``short_clean``: the body of the answer stops in
    the middle, by a broken connection or as if it were whole. ``flip``: one bit of the body of the answer is wrong;
    ``flip_in``: of the request's. ``empty_page``: a page of a listing has nothing but the token of the next;
    ``same_token``: its token leads to itself. ``error_in_200``: 200 with an error in the body, nothing was done.
    ``garbage``: 200 and nonsense. ``whole``: a range is not heeded.
    """

    kind: Kind
    status: int = 0
    code: str = ""
    retry_after: float | None = None


BEFORE = (Trouble("status", 503), Trouble("reset"))
AFTER = (Trouble("lost"), Trouble("status_after", 500))


class Wire(Protocol):
    """Plans trouble for the requests of every backend that was opened at one scope."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that it can make."""
        ...

    def plan(self, troubles: Mapping[int, Trouble]) -> None:
        """What befalls the n-th request from now, from 0."""
        ...

    def plan_all(self, trouble: Trouble) -> None:
        """What befalls every request from now until ``clear``."""
        ...

    def clear(self) -> int:
        """Plan nothing any more; how many requests met trouble since the plan was made."""
        ...

    def requests(self) -> list[str]:
        """The names of all requests so far."""
        ...
