"""What ``DESIGN.md`` says and the code can tell."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.diagram import diagram

ROOT = Path(__file__).parents[2]
DESIGN = (ROOT / "DESIGN.md").read_text(encoding="utf-8")


def test_the_state_diagram_is_the_table() -> None:
    """The diagram is what ``python -m tests.support.diagram`` prints."""
    assert diagram() in DESIGN


def test_every_module_has_its_line() -> None:
    """A stranger finds the room of each module in the list of rooms, and no room that is not there."""
    named = set(re.findall(r"^\| `(rud/[\w/]+?)(?:\.py|/)` \|", DESIGN, re.MULTILINE))
    there = {f"rud/{path.stem}" for path in (ROOT / "rud").glob("*.py")}
    there |= {f"rud/{path.parent.name}" for path in (ROOT / "rud").glob("*/__init__.py")}

    assert named == there - {"rud/__init__", "rud/__main__"}


def test_every_invariant_is_accounted_for() -> None:
    """Each of I1 to I24 has a test that names it, or stands in the list of those that are open."""
    named: set[str] = set()
    for path in set((ROOT / "tests").rglob("test_*.py")) - {Path(__file__)}:
        named |= set(re.findall(r"\bI(\d+)\b", path.read_text(encoding="utf-8")))
    open_ones = set(re.findall(r"^- I(\d+)", DESIGN.partition("## Invariants still open")[2], re.MULTILINE))

    assert {str(i) for i in range(1, 25)} == named | open_ones
    assert not named & open_ones
