"""The suite's own power: every mutant has to be killed by each of its cases, and no case may be without one."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rud_conformance.mutants import Mutant, mutants
from rud_conformance.registry import Case, Profile, case_of, cases
from rud_conformance.run import Run
from rud_conformance.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Kill:
    """Whether ``case`` has killed ``mutant``; if not, how it ended instead."""

    mutant: Mutant
    case: Case
    killed: bool
    instead: str
    reason: str


def kills(profile: Profile = "quick", *, seed: int | None = None, chosen: Iterable[Mutant] | None = None) -> list[Kill]:
    """Each mutant against each of its cases."""
    found: list[Kill] = []
    for one in mutants() if chosen is None else chosen:
        run = Run(one.harness, profile, seed=seed, shrink=False)
        try:
            for killer in one.killers:
                result = run.result(case_of(killer))
                killed = result.verdict is Verdict.FAIL
                found.append(Kill(one, case_of(killer), killed, result.verdict.value, result.reason))
        finally:
            run.harness.close()
    return found


def unproven() -> list[str]:
    """The ids of cases that no mutant names: decoration, until somebody writes one."""
    named = {killer for one in mutants() for killer in one.killers}
    return [one.id for one in cases() if one.id not in named]


def score(found: list[Kill]) -> str:
    """A line for each group, then what was not killed."""
    tried, killed = Counter[str](), Counter[str]()
    for kill in found:
        tried[kill.case.group] += 1
        killed[kill.case.group] += kill.killed
    lines = [f"{group:28} {killed[group]:4} of {tried[group]:4} killed" for group in tried]
    alive = [kill for kill in found if not kill.killed]
    lines += [f"ALIVE {kill.mutant.id}: {kill.case.id} ended as {kill.instead} {kill.reason[:200]}" for kill in alive]
    lines.append(f"{len({k.mutant.id for k in found})} mutants, {len(found) - len(alive)} of {len(found)} kills")
    if bare := unproven():
        lines.append(f"cases without a mutant: {', '.join(bare)}")
    return "\n".join(lines)


def self_test(arguments: list[str]) -> int:
    """Print the score; 0 when every mutant was killed by each of its cases. ``arguments``: ids of mutants, or none."""
    chosen = [one for one in mutants() if not arguments or one.id in arguments]
    found = kills(chosen=chosen)
    sys.stdout.write(score(found) + "\n")
    return 0 if all(kill.killed for kill in found) and found else 1
