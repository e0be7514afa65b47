"""The conformance suite's power: it kills what is wrong, believes no harness that lies, and its assertions can fail."""

from __future__ import annotations

import pytest
from rud_conformance.liveness import Assertion, assertions, never_failed
from rud_conformance.mutants import Mutant, mutants
from rud_conformance.mutants.lying import Lie, lies
from rud_conformance.registry import cases
from rud_conformance.self_test import believed, kills, score, self_test, unproven


@pytest.mark.parametrize("mutant", mutants(), ids=lambda one: one.id)
def test_mutants_are_killed_by_their_own_cases(mutant: Mutant) -> None:
    """Each case that a faulty backend names fails on it, in the quick profile."""
    found = kills(chosen=[mutant])

    assert [kill.case.id for kill in found if not kill.killed] == [], score(found)


def test_every_case_has_a_mutant() -> None:
    """A case that nothing has ever made fail proves nothing."""
    assert unproven() == []
    assert {killer for one in mutants() for killer in one.killers} <= {one.id for one in cases()}


@pytest.mark.parametrize("lie", lies(), ids=lambda one: one.id)
def test_no_lying_harness_is_believed(lie: Lie) -> None:
    """A harness that does not do what it says ends in a failure, an error of the harness or nothing conclusive."""
    assert believed([lie]) == []


def test_a_failure_tells_its_line() -> None:
    """The line of the case that a mutant makes fail is that of an assertion, which counts as live by it."""
    (kill,) = kills(chosen=[one for one in mutants() if one.id == "id-lower-case"])

    assert kill.at.startswith("metadata.py:")
    assert len(never_failed([kill.at])) < len(assertions())
    assert not Assertion("metadata.py", 1, 9).is_at("metadata.py:10")


def test_the_self_test_says_what_it_has_done(capsys: pytest.CaptureFixture[str]) -> None:
    """It is green with a mutant that is killed by each seed, and red when too few assertions have failed."""
    assert self_test(["id-lower-case", "--seeds", "2"]) == 0
    assert "2 of 2 kills" in capsys.readouterr().out
    assert self_test(["id-lower-case", "--liveness"]) == 1
    assert "never failed: " in capsys.readouterr().out
