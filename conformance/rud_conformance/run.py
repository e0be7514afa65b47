"""Runs cases over a harness."""

from __future__ import annotations

import ast
import os
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, cast

from rud._clock import Clock, SystemClock, new_random
from rud.store import Capabilities
from rud_conformance.harness import Harness, harness_of
from rud_conformance.place import Place
from rud_conformance.registry import Case, Profile, case_of, cases
from rud_conformance.verdict import HarnessError, InconclusiveError, NotOfferedError, Result, Verdict

_CAPABILITIES = frozenset(field.name for field in fields(Capabilities))


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one case: at most so many examples, in at most so many seconds; given up after ``limit`` seconds.

    ``total``: seconds after which the command begins no more cases. ``floor``: so many cases have to be executed, or
    the run proves nothing.
    """

    examples: int
    seconds: float
    limit: float
    total: float
    floor: int


BUDGETS: dict[Profile, Budget] = {
    "smoke": Budget(25, 1.0, limit=30.0, total=300.0, floor=45),
    "quick": Budget(120, 2.0, limit=60.0, total=900.0, floor=80),
    "emulator": Budget(60, 1.0, limit=60.0, total=900.0, floor=80),
    "full": Budget(600, 60.0, limit=600.0, total=6 * 3600.0, floor=80),
    "soak": Budget(10_000, 600.0, limit=3600.0, total=48 * 3600.0, floor=80),
}
"""A sound backend takes far less than ``total``: in process on two cores ``smoke`` is meant for 20 seconds and
``quick`` for 60, ``emulator`` for three minutes on a server of this machine."""
SHRINKING = 5.0
"""Seconds."""
FLOORS: dict[Profile, int] = {profile: budget.floor for profile, budget in BUDGETS.items()}


class Run:
    """One profile over one harness.

    ``seed``: ``None`` makes the same choices each time. ``limit``: seconds after which a case is given up. ``shrink``:
    look for a small example of a failure.
    """

    def __init__(
        self,
        harness: object,
        profile: Profile = "quick",
        *,
        seed: int | None = None,
        limit: float | None = None,
        shrink: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.name = harness if isinstance(harness, str) else _name_of(harness)
        self.harness: Harness = harness_of(harness)
        self.again = self.harness.again or repr(self.name)
        self.profile: Profile = profile
        self._seed = seed
        self._shrink = shrink
        self._limit = BUDGETS[profile].limit if limit is None else limit
        self._clock = clock or SystemClock()
        self._stopped = False
        self._begun: list[_Trial] = []
        # Scopes of two runs in one store never meet.
        self.scopes = f"rud-conf-{new_random().getrandbits(40):010x}"

    def results(self, chosen: Iterable[Case] | None = None) -> Iterator[Result]:
        """What becomes of each case, in turn."""
        for one in cases(self.profile) if chosen is None else chosen:
            yield self.result(one)

    def result(self, case: Case) -> Result:
        """What becomes of ``case``; within the time limit of the profile."""
        began = self._clock.monotonic()
        trial = _Trial(self, case)
        thread = threading.Thread(target=trial.run, name=f"rud-conformance-{case.id}", daemon=True)
        self._begun = [one for one in self._begun if not one.ended.is_set()] + [trial]
        thread.start()
        in_time = trial.ended.wait(self._limit)
        took = self._clock.monotonic() - began
        if not in_time:
            verdict, reason = Verdict.INCONCLUSIVE, f"not done after {self._limit:g} s"
        else:
            verdict, reason = trial.verdict, trial.reason
        script = ""
        if verdict is Verdict.FAIL:
            script = script_for(case, self.again, trial.data)
        notes = tuple(trial.notes)
        at = trial.at if verdict is Verdict.FAIL else ""
        return Result(case.id, verdict, reason, took, trial.examples, trial.troubles, script, notes, at)

    def stop(self, seconds: float) -> bool:
        """Try no more examples; whether every case has ended within ``seconds``, so that nothing writes any more."""
        self._stopped = True
        until = self._clock.monotonic() + seconds
        return all(one.ended.wait(max(0.0, until - self._clock.monotonic())) for one in self._begun)

    def place(self) -> Place:
        """A new one."""
        return Place(self.harness, self.scopes)

    def over(self, began: float) -> bool:
        return self._stopped or self._clock.monotonic() - began > BUDGETS[self.profile].seconds

    def has_shrunk(self, failed: float) -> bool:
        """Whether a failure found at that time is small enough, as far as time goes."""
        return self._stopped or self._clock.monotonic() - failed > SHRINKING

    def now(self) -> float:
        return self._clock.monotonic()

    def executable(self) -> list[Case]:
        """The cases of the profile whose needs are met."""
        place = self.place()
        try:
            return [one for one in cases(self.profile) if _lacking(one, place) is None]
        finally:
            place.close()

    def settings(self, case: Case) -> Any:
        """How Hypothesis is to go about ``case``."""
        from hypothesis import HealthCheck, Phase, Verbosity, settings

        examples = BUDGETS[self.profile].examples * case.weight
        if self.harness.limits.slow:
            examples /= 5
        return settings(
            max_examples=max(5, int(examples)),
            derandomize=self._seed is None,
            database=None,
            deadline=None,
            suppress_health_check=list(cast(Any, HealthCheck)),  # its members are of another type to pyright
            verbosity=Verbosity.quiet,
            report_multiple_bugs=False,
            print_blob=False,
            phases=[Phase.generate, Phase.shrink] if self._shrink else [Phase.generate],
        )

    def seeded(self, test: Callable[..., None]) -> Callable[..., None]:
        if self._seed is None:
            return test
        from hypothesis import seed

        return seed(self._seed)(test)


class _Trial:
    """One case being tried, on a thread of its own."""

    def __init__(self, run: Run, case: Case) -> None:
        self._run = run
        self._case = case
        self.verdict = Verdict.PASS
        self.reason = ""
        self.examples = 0
        self.troubles = 0
        self.notes: list[str] = []
        self.data: object = None
        self.ended = threading.Event()
        """Not the thread's own end: CPython 3.11 takes a thread for ended whose ``join`` a signal has interrupted."""
        self.at = ""

    def run(self) -> None:
        try:
            self._judge()
        finally:
            self.ended.set()

    def _judge(self) -> None:
        try:
            if not self._is_lacking():
                self._try()
        except HarnessError as error:
            self._end(Verdict.ERROR, str(error))
        except NotOfferedError as error:
            self._end(Verdict.NOT_OFFERED, str(error))
        except InconclusiveError as error:
            self._end(Verdict.INCONCLUSIVE, str(error))
        except AssertionError as error:
            self._failed(error, str(error))
        except BaseException as error:  # noqa: BLE001 - whatever a backend lets out is its failure
            self._failed(error, _told(error))

    def _failed(self, error: BaseException, reason: str) -> None:
        frames = _frames(error)
        self.at = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
        if self._run.harness.alive():
            self._end(Verdict.FAIL, reason)
        else:
            self._end(Verdict.INCONCLUSIVE, f"the store does not answer any more; before that: {reason}")

    def _end(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason

    def _is_lacking(self) -> bool:
        place = self._run.place()
        try:
            lacking = _lacking(self._case, place)
            if lacking is None:
                return False
            self._end(*lacking)
            from rud_conformance.cases.capabilities import REFUSALS

            for need in self._case.needs:
                if need in REFUSALS and getattr(place.capabilities, need) is not True:
                    REFUSALS[need](place)
                    self._end(Verdict.REFUSED, str(getattr(place.capabilities, need)))
            return True
        finally:
            self._let_go(place)

    def _try(self) -> None:
        if self._case.given is None:
            self._check()
            return
        from hypothesis import given
        from hypothesis.errors import Unsatisfiable

        began = self._run.now()
        failed: float | None = None
        failing: set[str] = set()
        quiet: list[Exception] = []

        def test(data: object) -> None:
            nonlocal failed
            if quiet or (failed is None and self._run.over(began)):
                return
            # What has failed once has to fail again, or Hypothesis would call it flaky.
            if failed is not None and self._run.has_shrunk(failed) and ascii(data) not in failing:
                return
            try:
                self._check(data)
            except (NotOfferedError, InconclusiveError, HarnessError) as error:
                quiet.append(error)
            except BaseException:
                failed = self._run.now() if failed is None else failed
                failing.add(ascii(data))
                self.data = data
                raise

        strategy = self._case.given(self._run.harness.limits)
        try:
            self._run.seeded(self._run.settings(self._case)(given(strategy)(test)))()
        except Unsatisfiable as error:
            raise HarnessError("limits.keeps refuses so much that there is nothing to try") from error
        if quiet:
            raise quiet[0]

    def _check(self, *data: object) -> None:
        place = self._run.place()
        self.examples += 1
        try:
            self._case.check(place, *data)
        finally:
            self._let_go(place)
        if self.examples == 1:
            place.check_clean()

    def _let_go(self, place: Place) -> None:
        place.close()
        self.troubles += place.troubles
        self.notes += [note for note in place.notes if note not in self.notes]


def _lacking(case: Case, place: Place) -> tuple[Verdict, str] | None:
    """Why ``case`` cannot be tried here."""
    for need in case.needs:
        if need in _CAPABILITIES:
            if (offer := getattr(place.capabilities, need)) is not True:
                return Verdict.NOT_OFFERED, f"declared: {offer}"
        elif getattr(place.harness, need)(place.scope) is None:
            return Verdict.NOT_OFFERED, f"the harness has no {need}()"
    return None


def _told(error: BaseException) -> str:
    frames = _frames(error)
    at = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return f"{type(error).__name__} was raised{at}: {str(error)!a}"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Those in the cases."""
    return [frame for frame in traceback.extract_tb(error.__traceback__) if "rud_conformance/cases" in frame.filename]


def _name_of(harness: object) -> str:
    found = harness if isinstance(harness, type) or callable(harness) else type(harness)
    return f"{found.__module__}:{getattr(found, '__qualname__', type(found).__qualname__)}"


def script_for(case: Case, harness: str, data: object) -> str:
    """A program that shows the failure of ``case`` again; its end is the failure itself. ``harness``: an expression."""
    lines = [f"# {case.id}: {case.property}"]
    lines += [f"import {name}" for name in ("json", "os") if f"{name}." in harness]
    if "at_uri(" in harness:
        lines.append("from rud_conformance import at_uri")
    lines += ["from rud_conformance.run import replay", ""]
    arguments = [repr(case.id), harness]
    if case.given is not None:
        arguments.append(ascii(data))
        ast.literal_eval(arguments[-1])  # What cases are fed is plain.
    lines.append(f"replay({', '.join(arguments)})")
    return "\n".join(lines)


def replay(id: str, harness: object, *data: object) -> None:  # noqa: A002 - as in the registry
    """Try the case ``id`` once, with ``data``; raises what it raises, and returns when it passes."""
    run = Run(harness)
    place = run.place()
    try:
        case_of(id).check(place, *data)
    finally:
        place.close()
        run.harness.close()
