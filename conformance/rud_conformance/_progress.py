"""What the command says before it begins, and how long it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rud_conformance._journal import Written
from rud_conformance.registry import cases
from rud_conformance.run import Budget, Run
from rud_conformance.verdict import Result, Verdict

_AT_A_TIME = 40
"""The most objects that one example of a case has, except where it fills a page of a listing."""


def announcement(run: Run, budget: Budget, written: Written, journal: Path) -> str:
    """Where it writes, about how much, for how long, and how to clean up by hand."""
    limits, chosen = run.harness.limits, cases(run.profile)
    examples = max(5, budget.examples // (5 if limits.slow else 1))
    biggest = (limits.threshold + 2 * limits.part) / (1 << 20)
    place = f"{written.uri.rstrip('/')}/{written.scopes}"
    return (
        f"writes below {place}/ and two objects beside it; all of it goes again afterwards\n"
        f"tries {len(chosen)} cases, most of them on up to {examples} examples: about {len(chosen) * examples} objects "
        f"in turn, at most about {_AT_A_TIME} at a time (or one page of a listing), of at most about "
        f"{biggest:.0f} MiB each\n"
        f"begins no case after {budget.total:.0f} s; a case is given up after {budget.limit:g} s\n"
        f"if this is killed: the same command cleans up first, or rud conformance --clean {journal}; by hand, remove "
        f"everything whose key begins with {written.scopes}"
    )


def results(
    run: Run, budget: Budget, answers: Callable[[], bool], known: Mapping[str, str] | None = None
) -> Iterator[Result]:
    """Of each case, until the time is up or the store ``answers`` no more; a reason for each case that is left, and for
    each that a ``known`` defect of the server makes fail."""
    began, over = run.now(), ""
    for case in cases(run.profile):
        if known and case.id in known:
            yield Result(case.id, Verdict.QUIRK, known[case.id], examples=0)
            continue
        if not over and run.now() - began > budget.total:
            over = f"not begun: the run has taken more than {budget.total:.0f} s"
        if over:
            yield Result(case.id, Verdict.INCONCLUSIVE, over, examples=0)
            continue
        result = run.result(case)
        yield result
        if result.verdict is Verdict.INCONCLUSIVE and not answers():
            over = "not begun: the store does not answer any more"
