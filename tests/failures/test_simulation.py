"""The whole library in a simulated world: 500 seeds on every change, each with crashes; more by
``python -m rud_fakes.simulation``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rud_fakes.simulation.__main__ import main
from rud_fakes.simulation.driver import Outcome, simulate
from rud_fakes.simulation.faults import KINDS, MEANING
from rud_fakes.simulation.report import Smallest, explain, shrink, sums_of

from tests.support.broken import VARIANTS, Variant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not offered: the simulated locks are those of Linux")

SEEDS = 500
CHUNK = 25


def words(seed: int) -> str:
    return explain(shrink(seed))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_is_kept(first: int) -> None:
    """Nothing accepted is lost, nothing is sent twice without need, out of its order, or left behind; everything ends
    once faults have ceased."""
    sums = sums_of(simulate(seed) for seed in range(first, first + CHUNK))

    assert not sums.failed, words(sums.failed[0])
    assert sums.crashes > CHUNK // 2
    assert sums.accepted > 4 * CHUNK


SAMPLE = (3, 41, 252)


@pytest.fixture(scope="module")
def elsewhere() -> list[str]:
    """The traces of the sample in another process, whose hashes of text are others."""
    script = f"from rud_fakes.simulation.driver import simulate\nfor seed in {SAMPLE}: print(simulate(seed).trace)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_seed_is_the_same_story_each_time(seed: int, elsewhere: list[str]) -> None:
    """Every event, in this process and in another one; and another seed is another story."""
    once, again = simulate(seed), simulate(seed)

    assert once.trace == again.trace == elsewhere[SAMPLE.index(seed)]
    assert once.trace != simulate(seed + 1).trace
    assert once.fired == again.fired


def test_leaving_out_a_fault_changes_no_other() -> None:
    """The rates of all others stay as they were, so that a seed can be made smaller."""
    whole = simulate(3)
    kind = next(iter(whole.rates))
    without = simulate(3, without=[kind])

    assert without.rates == {other: rate for other, rate in whole.rates.items() if other != kind}
    assert kind not in without.fired


def test_nothing_of_a_simulation_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, and every call of the system is its own again."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(place))
    before = (os.open, os.getpid, os.pwrite, os.urandom, open)
    simulate(1)

    assert (os.open, os.getpid, os.pwrite, os.urandom, open) == before
    assert not place.exists()


# The library, broken on purpose


@pytest.fixture(params=VARIANTS, ids=lambda variant: variant.__name__)
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Variant:
    found: Variant = request.param
    found(monkeypatch.setattr)
    return found


def first_red() -> Outcome:
    return next(outcome for seed in range(SEEDS) if (outcome := simulate(seed)).problems)


def test_a_broken_library_is_found(variant: Variant) -> None:
    """Each of seven mistakes turns a seed red that is run on every change; which one is told."""
    red = first_red()

    print(f"{variant.__name__}: seed {red.seed}: {red.problems[0]}")
    assert red.seed < SEEDS


# What is shown of a failure


def fake(seed: int, *, without: tuple[str, ...] = (), runs: int | None = None) -> Outcome:
    """Fails with power cuts alone, and only from the third run on."""
    rates = {kind: 1.0 for kind in ("kill", "power", "clock") if kind not in without}
    red = "power" in rates and (runs is None or runs >= 3)
    return Outcome(seed, problems=["LOST: 1"] if red else [], rates=rates, last=["the last event"])


def test_a_failing_seed_is_made_smaller() -> None:
    """Kinds of faults that it does not need are left out, then runs; one command shows the rest."""
    smallest = shrink(7, fake)

    assert (smallest.without, smallest.runs) == (("kill", "clock"), 3)
    assert smallest.command == "python -m rud_fakes.simulation --seed 7 --without kill,clock --runs 3"


def test_a_failing_seed_is_explained() -> None:
    """What is wrong, by which faults, the last events, and how to see it again."""
    text = explain(shrink(7, fake))

    for part in ("seed 7:", "LOST: 1", MEANING["power"], "the last event", "--without kill,clock"):
        assert part in text
    assert MEANING["kill"] not in text


def test_every_kind_of_fault_has_a_meaning() -> None:
    """In words, for whoever reads a report."""
    assert KINDS.keys() == MEANING.keys()


def test_the_command_runs_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """Sums of many, by processes of its own; 0 when nothing is wrong."""
    assert main(["--seeds", "4", "--jobs", "1"]) == 0
    said = capsys.readouterr().out

    assert said.startswith("4 seeds, ")
    assert "lost 0, seeds with any problem 0" in said


def test_the_command_shows_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    """Every event of it, and what to make of it."""
    assert main(["--seed", "3", "--without", "power,kill", "--runs", "1"]) == 0
    said = capsys.readouterr().out.splitlines()

    assert said[-1] == "seed 3: nothing is wrong"
    assert "builds an uploader" in said[0]


def test_the_command_refuses_an_unknown_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, and runs nothing."""
    with pytest.raises(SystemExit):
        main(["--seed", "3", "--without", "earthquake"])

    assert "unknown kinds of faults: earthquake" in capsys.readouterr().err


def test_the_smallest_may_be_the_whole() -> None:
    """A seed of which nothing can be left out is shown by its number alone."""
    assert Smallest(Outcome(9)).command == "python -m rud_fakes.simulation --seed 9"
