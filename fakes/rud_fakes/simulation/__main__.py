"""``python -m rud_fakes.simulation``: run many seeds, or show one, event by event."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from rud_fakes.simulation.driver import Outcome, simulate
from rud_fakes.simulation.faults import KINDS, MEANING
from rud_fakes.simulation.report import Smallest, explain, shrink, sums_of


def main(arguments: Sequence[str] | None = None) -> int:
    """0: everything kept its word; 1: something did not; 2: wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m rud_fakes.simulation",
        description="The library in a simulated world: crashes, power cuts, full disks, a store that fails.",
        epilog="kinds of faults: " + "; ".join(f"{kind}: {MEANING[kind]}" for kind in KINDS),
    )
    parser.add_argument("--seeds", type=int, default=500, metavar="N", help="how many (500)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (one a processor)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="show this one")
    parser.add_argument("--without", default="", metavar="KIND,KIND", help="of --seed: leave these faults out")
    parser.add_argument("--runs", type=int, metavar="N", help="of --seed: at most so many runs")
    given = parser.parse_args(arguments)
    without = tuple(kind for kind in given.without.split(",") if kind)
    if unknown := sorted(set(without) - set(KINDS)):
        parser.error(f"unknown kinds of faults: {', '.join(unknown)}")
    if given.seed is not None:
        return _show(given.seed, without, given.runs)
    return _many(range(given.first, given.first + given.seeds), given.jobs)


def _show(seed: int, without: tuple[str, ...], runs: int | None) -> int:
    outcome = simulate(seed, without=without, runs=runs, tell=_say)
    _say(explain(Smallest(outcome, without, runs)) if outcome.problems else f"seed {seed}: nothing is wrong")
    return bool(outcome.problems)


def _many(seeds: range, jobs: int) -> int:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        sums = sums_of(_told(pool.map(simulate, seeds, chunksize=10)))
    _say(str(sums))
    for seed in sums.failed[:3]:
        _say(explain(shrink(seed)))
    return bool(sums.failed)


def _told(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    for count, outcome in enumerate(outcomes, 1):
        if count % 1000 == 0:
            _say(f"{count} seeds so far")
        for problem in outcome.problems:
            _say(f"seed {outcome.seed}: {problem}")
        yield outcome


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
