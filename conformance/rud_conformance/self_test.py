"""The suite's own power: every mutant has to be killed by each of its cases, and no case may be without one."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rud_fakes.clock import FakeClock

from rud_conformance.harnesses import Folder, Memory
from rud_conformance.liveness import assertions, never_failed
from rud_conformance.mutants import Mutant, mutants
from rud_conformance.mutants.lying import Lie, lies
from rud_conformance.registry import Case, Profile, case_of, cases
from rud_conformance.remove_one import Caught, caught, needless
from rud_conformance.run import Run
from rud_conformance.verdict import Result, Verdict

GOOD = frozenset({Verdict.PASS, Verdict.REFUSED, Verdict.NOT_OFFERED})
LIVE = 0.5
"""The least share of assertions that some mutant makes fail; measured, and to be raised when it is more."""
OF_TWENTY = 19
"""In so many of twenty seeds a mutant has to be killed."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Whether ``case`` has killed ``mutant``; if not, how it ended instead. ``at``: the line that failed."""

    mutant: Mutant
    case: Case
    killed: bool
    instead: str
    reason: str
    at: str = ""


def kills(profile: Profile = "quick", *, seed: int | None = None, chosen: Iterable[Mutant] | None = None) -> list[Kill]:
    """Each mutant against each of its cases."""
    found: list[Kill] = []
    for one in mutants() if chosen is None else chosen:
        # On a clock that stands still: as many examples are tried on a busy machine as on an idle one.
        run = Run(one.harness, profile, seed=seed, shrink=False, clock=FakeClock())
        try:
            for killer in one.killers:
                result = run.result(case_of(killer))
                killed = result.verdict is Verdict.FAIL
                found.append(Kill(one, case_of(killer), killed, result.verdict.value, result.reason, result.at))
        finally:
            run.harness.close()
    return found


def unproven() -> list[str]:
    """The ids of cases that no mutant names: decoration, until somebody writes one."""
    named = {killer for one in mutants() for killer in one.killers}
    return [one.id for one in cases() if one.id not in named]


def believed(chosen: Iterable[Lie] | None = None) -> list[tuple[Lie, Result]]:
    """Lying harnesses whose own case ends as if all were well."""
    found: list[tuple[Lie, Result]] = []
    for one in lies() if chosen is None else chosen:
        result = Run(one.harness, "smoke", shrink=False).result(case_of(one.case))
        if result.verdict in GOOD:
            found.append((one, result))
    return found


def false_alarms(seeds: Iterable[int], profile: Profile = "quick") -> Iterator[tuple[int, str, Result]]:
    """What is said against the memory and the folder, in which nothing is known to be wrong; and when a seed is done,
    so much of it that there is something to see."""
    for seed in seeds:
        for harness in (Memory, Folder):
            run = Run(harness, profile, seed=seed, shrink=False)
            for result in run.results():
                if result.verdict not in GOOD:
                    yield seed, harness.__name__, result
            run.harness.close()


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


def self_test(arguments: Sequence[str]) -> int:
    """Print what was asked for; 0 when all is as it should be."""
    parser = argparse.ArgumentParser(prog="python -m rud_conformance.mutants", description=__doc__)
    parser.add_argument("ids", nargs="*", help="only these mutants")
    parser.add_argument("--seeds", type=int, metavar="N", help="with the seeds 0 to N-1, all but one of twenty killing")
    parser.add_argument("--false-alarms", type=int, metavar="N", help="with N seeds, on stores that are right")
    parser.add_argument("--remove-one", action="store_true", help="which cases no mutant needs, and why they stay")
    parser.add_argument("--liveness", action="store_true", help="which assertions no mutant makes fail")
    given = parser.parse_args(arguments)
    if given.false_alarms:
        return _tell_alarms(given.false_alarms)
    chosen = [one for one in mutants() if not given.ids or one.id in given.ids]
    if given.seeds:
        return _tell_seeds(chosen, given.seeds)
    if given.remove_one:
        return _tell_needless(chosen)
    found = kills(chosen=chosen)
    if given.liveness:
        return _tell_liveness(found)
    _say(score(found))
    lied = [] if given.ids else believed()
    for one, result in lied:
        _say(f"BELIEVED {one.id}: {one.case} ended as {result.verdict.value}")
    return 0 if all(kill.killed for kill in found) and found and not lied else 1


def _tell_seeds(chosen: list[Mutant], seeds: int) -> int:
    killed, tried = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for seed in range(seeds):
        for kill in kills(seed=seed, chosen=chosen):
            pair = (kill.mutant.id, kill.case.id)
            tried[pair] += 1
            killed[pair] += kill.killed
        _say(f"seed {seed}: {sum(killed.values())} of {sum(tried.values())} kills so far")
    weak = [pair for pair in tried if killed[pair] * 20 < tried[pair] * OF_TWENTY]
    for mutant, case in sorted(tried):
        if killed[mutant, case] < tried[mutant, case]:
            _say(f"{mutant} by {case}: {killed[mutant, case]} of {tried[mutant, case]}")
    return 1 if weak or not tried else 0


def _tell_alarms(seeds: int) -> int:
    alarms = 0
    for seed, harness, result in false_alarms(range(seeds)):
        alarms += 1
        _say(f"ALARM seed {seed} {harness}: {result.case} {result.verdict.value}: {result.reason}\n{result.script}")
    _say(f"{alarms} false alarms, {seeds} seeds, on Memory and Folder")
    return 1 if alarms else 0


def _tell_needless(chosen: list[Mutant]) -> int:
    found: list[Caught] = []
    for one in caught(chosen):
        found.append(one)
        if not one.by:
            _say(f"ALIVE {one.mutant.id}")
    needed = {case for one in found if len(one.by) == 1 for case in one.by}
    _say(f"{len(needed)} cases are all that some mutant is caught by: {', '.join(sorted(needed))}")
    for case, why in needless(found).items():
        _say(f"{case}: {why}")
    return 0 if all(one.by for one in found) else 1


def _tell_liveness(found: list[Kill]) -> int:
    dead, count = never_failed(kill.at for kill in found), len(assertions())
    for one in dead:
        _say(f"never failed: {one.file}:{one.first}")
    _say(f"{count - len(dead)} of {count} assertions failed for some mutant; the floor is {LIVE:.0%}")
    return 0 if count - len(dead) >= LIVE * count else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
