"""The registry of cases: the one source of what is checked, skipped, reported and documented."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from rud_conformance.harness import Limits

Profile = Literal["smoke", "quick", "emulator", "full", "soak"]
PROFILES: tuple[Profile, ...] = ("smoke", "quick", "emulator", "full", "soak")
"""Each has all the cases of those before it. ``emulator`` has those of ``quick``, for a server whose every request
takes its time; ``soak`` those of ``full``, for hours."""

GROUPS = {
    "N": "names and keys",
    "R": "round trips and sizes",
    "O": "overwriting and creating",
    "V": "visibility",
    "L": "listing",
    "S": "metadata",
    "E": "errors and their classes",
    "A": "credentials",
    "P": "partial failure",
    "D": "downloads",
    "C": "checksums",
    "K": "callbacks",
    "T": "concurrency",
    "Z": "life cycle",
    "X": "declared capabilities",
    "M": "laws without a model",
    "Q": "state machines",
}
"""By the letter with which the ids of their cases begin."""

Check = Callable[..., None]
Given = Callable[["Limits"], "SearchStrategy[Any]"]


@dataclass(frozen=True, slots=True)
class Case:
    """One property. ``needs``: capabilities of the backend, and means of the harness, without which it says nothing.

    ``check`` is called with a fresh ``Place``, and with one example of ``given`` where there is one; it raises
    ``AssertionError`` in words. ``weight``: its share of examples, 1 being that of most.
    """

    id: str
    property: str
    check: Check
    needs: tuple[str, ...] = ()
    profile: Profile = "quick"
    given: Given | None = None
    weight: float = 1.0

    @builtins.property
    def group(self) -> str:
        return GROUPS[self.id[0]]


_cases: dict[str, Case] = {}


def case(
    id: str,  # noqa: A002 - as it is called everywhere else
    *,
    needs: tuple[str, ...] = (),
    profile: Profile = "quick",
    given: Given | None = None,
    weight: float = 1.0,
) -> Callable[[Check], Check]:
    """Enter the decorated function; its docstring is the property."""

    def enter(check: Check) -> Check:
        if id in _cases:
            raise ValueError(f"there are two cases {id!r}")
        if id[0] not in GROUPS or not check.__doc__:
            raise ValueError(f"the case {id!r} has no group or no docstring")
        words = " ".join(check.__doc__.split())
        _cases[id] = Case(id, words, check, needs, profile, given, weight)
        return check

    return enter


def cases(profile: Profile = "soak") -> list[Case]:
    """Those of ``profile``, by group and id."""
    import rud_conformance.cases as _  # noqa: F401 - enters them

    wanted = PROFILES[: PROFILES.index(profile) + 1]
    order = list(GROUPS)
    found = [one for one in _cases.values() if one.profile in wanted]
    return sorted(found, key=lambda one: (order.index(one.id[0]), one.id))


def case_of(id: str) -> Case:  # noqa: A002 - as above
    """The case of that id; ``KeyError`` if there is none."""
    return {one.id: one for one in cases()}[id]
