"""Which cases could go without a mutant going with them: measured by running, not by what mutants name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rud_fakes.clock import FakeClock

from rud_conformance.mutants import Mutant
from rud_conformance.registry import Case, case_of, cases
from rud_conformance.run import Run
from rud_conformance.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Caught:
    """``mutant`` fails on the cases ``by``: two at most, its own first."""

    mutant: Mutant
    by: tuple[str, ...]


def caught(mutants: Iterable[Mutant]) -> Iterator[Caught]:
    """Each mutant, with the first two cases that fail on it. Others than its own have the examples of ``smoke``: what
    takes more of them finds it by luck."""
    for mutant in mutants:
        yield Caught(mutant, tuple(_first_two(mutant)))


def _first_two(mutant: Mutant) -> list[str]:
    own, others = (Run(mutant.harness, profile, shrink=False, clock=FakeClock()) for profile in ("quick", "smoke"))
    groups = {killer[0] for killer in mutant.killers}
    rest = sorted(cases("quick"), key=lambda one: one.id[0] not in groups)
    found: list[str] = []
    for case in dict.fromkeys([*map(case_of, mutant.killers), *rest]):
        run = own if case.id in mutant.killers else others
        if run.result(case).verdict is Verdict.FAIL:
            found.append(case.id)
        if len(found) == 2:
            break
    own.harness.close()
    others.harness.close()
    return found


def needless(found: Iterable[Caught]) -> dict[str, str]:
    """The ids of cases without which every mutant of ``found`` would still be caught, each with why it stays."""
    alone, beside = set[str](), dict[str, set[str]]()
    for one in found:
        alone |= set(one.by) if len(one.by) == 1 else set()
        for killer in one.mutant.killers:
            beside.setdefault(killer, set()).update(case for case in one.by if case != killer)
    return {one.id: _why(one, beside) for one in cases() if one.id in beside and one.id not in alone}


def _why(case: Case, beside: Mapping[str, set[str]]) -> str:
    others = [case_of(one) for one in sorted(beside[case.id])]
    names = ", ".join(one.id for one in others)
    if case.given is not None:
        return "it looks for what nobody has thought of"
    if all(one.given is not None for one in others):
        return f"it tries each time what {names} meets only where it is drawn"
    if any(set(one.needs) - set(case.needs) for one in others):
        return f"it needs less of a harness than {names}"
    if case.profile == "smoke" and any(one.profile != "smoke" for one in others):
        return f"it is in the profile smoke, and {names} is not"
    return f"its property is another than that of {names}; what breaks it has broken both so far"
