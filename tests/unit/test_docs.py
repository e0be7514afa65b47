"""What ``docs/`` and the other pages say and the code can tell."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
DIFFERENCES = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells for line in DIFFERENCES.splitlines() if (cells := [cell.strip() for cell in line.split(" | ")])[3:]
}
"""Rows of its tables by their first cell."""
STORES = ("S3", "GCS", "OCI", "libcloud", "SFTP", "Unity Catalog", "all")
NEWER = tuple(f"R{number}" for number in range(1, 10))
"""Defects of the class that uploads a ``save_folder``."""
NO_TEST = ("*not ours*", "*by design*", "*not built*")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def functions_of(path: str) -> frozenset[str]:
    """Names of the functions of a module; none of one that is not there."""
    if not (ROOT / path).is_file():
        return frozenset()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_are_there(page: Path) -> None:
    """A page that refers to a test names one that exists."""
    named = _TEST.findall(page.read_text(encoding="utf-8"))

    assert [f"{path}::{name}" for path, name in named if name not in functions_of(path)] == []


def test_every_defect_has_its_row() -> None:
    """Each of the 35 defects of the incumbent, of its stores and of its newer class is accounted for, in order."""
    assert [name.removeprefix("| ") for name in ROWS if name.removeprefix("| ").isdigit()] == [
        str(number) for number in range(1, 36)
    ]
    assert [name for name in (*STORES, *NEWER) if f"| {name}" not in ROWS] == []


def test_every_row_has_a_test_or_says_why_not() -> None:
    """What is claimed of rud is shown by a test, unless there is nothing to show."""
    claims = {name: cells[-1] for name, cells in ROWS.items() if name not in ("|", "| store", "| ---")}
    bare = [name for name, last in claims.items() if not _TEST.search(last) and not last.startswith(NO_TEST)]

    assert len(claims) == 35 + len(STORES) + len(NEWER)
    assert bare == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the project leads to one."""
    targets = [link.partition("#")[0] for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]

    assert [target for target in targets if target and not (page.parent / target).exists()] == []
