"""Which assertions of the cases some mutant has made fail. One that nothing has ever failed may be unable to."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CASES = Path(__file__).parent / "cases"
_CHECKS = frozenset({"same", "expect", "for_good", "holds", "keep", "keep_apart"})
"""The functions of ``rud_conformance.acts`` that raise ``AssertionError``."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """Lines ``first`` to ``last`` of ``file``."""

    file: str
    first: int
    last: int

    def is_at(self, place: str) -> bool:
        """Whether it is what failed at ``place``, which is ``Result.at``."""
        file, _, line = place.partition(":")
        return file == self.file and self.first <= int(line) <= self.last


def assertions() -> list[Assertion]:
    """Every one in the cases: a call of a function that checks, or a bare ``raise AssertionError``."""
    found: list[Assertion] = []
    for path in sorted(_CASES.glob("*.py")):
        found += [
            Assertion(path.name, node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call | ast.Raise) and _checks(node)
        ]
    return found


def _checks(node: ast.Call | ast.Raise) -> bool:
    called = node.func if isinstance(node, ast.Call) else getattr(node.exc, "func", None)
    names = _CHECKS if isinstance(node, ast.Call) else {"AssertionError"}
    return isinstance(called, ast.Name) and called.id in names


def never_failed(places: Iterable[str]) -> list[Assertion]:
    """The assertions of which none of ``places`` is a failure."""
    seen = {place for place in places if place}
    return [one for one in assertions() if not any(one.is_at(place) for place in seen)]
