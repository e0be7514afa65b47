"""The page that says which backend keeps the contract where."""

from __future__ import annotations

import re
from pathlib import Path

from rud_conformance import harnesses
from rud_conformance.quirks import MOTO, VERSITYGW
from rud_conformance.registry import cases
from rud_conformance.verdict import Result, Verdict

from tests.support.matrix import PAIRS, page

PAGE = Path(__file__).parents[2] / "docs/conformance-matrix.md"
MODULE = "rud_conformance.harnesses"


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each case."""
    found = re.findall(r"^\| ([A-Z]\d\d) \| (.*) \|$", text, re.MULTILINE)
    return {case: cells.split(" | ") for case, cells in found}


def test_the_page_has_exactly_the_cases() -> None:
    """A case that is new, or gone, makes the page old: .ci/full writes it anew."""
    assert list(rows(PAGE.read_text(encoding="utf-8"))) == [case.id for case in cases()]


def test_the_page_is_green_and_complete() -> None:
    """Every case was run on every pair, but for those that take too long, and none fails without a server to blame."""
    text = PAGE.read_text(encoding="utf-8")
    good = {"yes", "refused", "–", "quirk"}
    marks = {case: {mark for cell in cells for mark in cell.split(" / ")} for case, cells in rows(text).items()}
    long = {case.id for case in cases()} - {case.id for case in cases("quick")}

    assert {case: found - good for case, found in marks.items() if found - good} == {case: {"not run"} for case in long}
    assert {len(cells) for cells in rows(text).values()} == {len(PAIRS)}
    assert {quirk.id for quirk in (*VERSITYGW, *MOTO)} <= set(re.findall(r"^\| (\w+-[\w-]+) \|", text, re.MULTILINE))


def test_every_pair_is_a_harness() -> None:
    """The page knows every harness that the full run uses."""
    there = {name.removesuffix("AtRoot") for name in dir(harnesses) if name[0].isupper()}

    assert set(PAIRS) <= there
    assert there - set(PAIRS) == {"S3"}


def test_marks() -> None:
    """A failure is a server's only where a quirk says so; a prefix and the root are told apart where they differ."""
    runs = {
        f"{MODULE}.s3:S3OnMoto": [Result("C03", Verdict.FAIL, "no sum"), Result("N01", Verdict.FAIL, "lost")],
        f"{MODULE}.s3:FakeS3": [Result("C03", Verdict.PASS), Result("A01", Verdict.NOT_OFFERED, "no stranger")],
        f"{MODULE}.s3:FakeS3AtRoot": [Result("C03", Verdict.INCONCLUSIVE), Result("A01", Verdict.NOT_OFFERED, "x")],
    }
    found = rows(page(runs))
    moto, fake = list(PAIRS).index("S3OnMoto"), list(PAIRS).index("FakeS3")

    assert (found["C03"][moto], found["N01"][moto], found["O01"][moto]) == ("quirk", "**FAILS**", "not run")
    assert (found["C03"][fake], found["A01"][fake]) == ("yes / ?", "–")
    assert "- S3, faulty server: no stranger (A01)" in page(runs)
