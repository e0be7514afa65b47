"""The pytest plugin: tests under a plan, and tests that are run again under each fault that they might have met.

Named in ``pytest_plugins`` or with ``-p``. It imports pytest and nothing else until a test asks for its fixture. What
it adds is named so that it cannot meet others': ``rud_faults``, ``--rud-faults-…``.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from rud_fakes.faults.handle import Faults
    from rud_fakes.faults.plan import Plan
    from rud_fakes.faults.sweep import Reached

MARK = "rud_faults"
LIMIT = 120.0
"""Seconds: twice what a common client waits for an answer before it gives up."""
_PLAN: pytest.StashKey[Plan] = pytest.StashKey()
_REACHED: pytest.StashKey[Reached] = pytest.StashKey()
_MARKS: pytest.StashKey[list[pytest.Mark]] = pytest.StashKey()
_FORCED: pytest.StashKey[bool] = pytest.StashKey()
_SHRINKING: pytest.StashKey[bool] = pytest.StashKey()
_SMALLEST: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("rud faults", "failures on purpose")
    group.addoption(
        "--rud-faults-sweep", action="store_true", help="run each test that is marked rud_faults once under each fault"
    )
    group.addoption("--rud-faults-replay", metavar="PLAN", help="run under PLAN instead of the tests' own")
    group.addoption(
        "--rud-faults-shrink", action="store_true", help="look for the smallest plan that a test still fails under"
    )
    group.addoption(
        "--rud-faults-limit",
        metavar="SECONDS",
        type=float,
        default=LIMIT,
        help=f"after which a test under a plan has failed, and servers answer again (default: {LIMIT:g})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark, and refuse a plan that is none before anything runs."""
    config.addinivalue_line(
        "markers", f"{MARK}(plan): run under a fault plan; without a plan: to be swept by --rud-faults-sweep"
    )
    if config.option.rud_faults_replay is not None:
        if config.option.rud_faults_sweep:
            raise pytest.UsageError("--rud-faults-sweep has plans of its own: it cannot replay one")
        config.stash[_PLAN] = _parsed(config.option.rud_faults_replay)


def pytest_itemcollected(item: pytest.Item) -> None:
    """What is marked has the fixture, and in a sweep no time limit for all its runs together."""
    mark = item.get_closest_marker(MARK)
    if mark is None or not isinstance(item, pytest.Function):
        return
    if MARK not in item.fixturenames:
        item.fixturenames.append(MARK)
    if mark.args:
        item.stash[_PLAN] = _parsed(mark.args[0])
    if _is_swept(item):
        item.stash[_MARKS] = list(item.own_markers)
        if item.config.pluginmanager.hasplugin("timeout"):
            item.add_marker(pytest.mark.timeout(0), append=False)


@pytest.fixture
def rud_faults(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """``Faults``: call it with a plan; it has servers that obey (``s3``, ``gcs``), ``wrap``, ``environ``, ``fired``."""
    from rud_fakes.faults.handle import Faults

    config, item = request.config, request.node
    replayed = None if _FORCED in item.stash else config.stash.get(_PLAN, None)
    plan = replayed or item.stash.get(_PLAN, None)
    with Faults(tmp_path_factory.mktemp("rud_faults"), limit=config.option.rud_faults_limit) as faults:
        if plan is not None:
            faults(plan)
            faults.is_forced = replayed is not None or _FORCED in item.stash
        yield faults
    item.stash[_REACHED] = faults.reached()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test has failed, too, when its plan has not fired, or when only the time limit has ended a wait."""
    faults = getattr(item, "funcargs", {}).get(MARK)
    if faults is None:
        return (yield)
    try:
        yield
    finally:
        fired = [f"rule {one.rule} at {one.point}, number {one.n}, process {one.pid}" for one in faults.fired]
        if fired:
            item.add_report_section("call", "faults that have fired", "\n".join(fired))
    if faults.overdue:
        pytest.fail(f"under the fault it took more than {faults.limit:g} s: --rud-faults-limit", pytrace=False)
    if _SHRINKING not in item.stash and (missed := faults.missed()):
        pytest.fail("; ".join(missed), pytrace=False)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A run of a sweep is told apart from the others by its plan."""
    report = yield
    for name, value in item.user_properties:
        if name == "rud_faults":
            report.nodeid = f"{item.nodeid}[{cast('list[str]', value)[1]}]"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """In a sweep, or when a plan is to be made smaller, one test is many runs."""
    if not isinstance(item, pytest.Function) or MARK not in item.fixturenames or _SHRINKING in item.stash:
        return None
    if _MARKS in item.stash and _PLAN not in item.stash:
        _sweep(item, nextitem)
        return True
    if item.config.option.rud_faults_shrink:
        _shrink(item, nextitem)
        return True
    return None


def _sweep(item: pytest.Function, nextitem: pytest.Item | None) -> None:
    """Once without a fault; when that is well, once for each plan that might have befallen it."""
    from rud_fakes.faults.plan import Plan
    from rud_fakes.faults.runtime import parse
    from rud_fakes.faults.sweep import left_out, line_of, plans

    failed = item.session.testsfailed
    first = _again(item, Plan(()))
    item.config.hook.pytest_runtest_protocol(item=first, nextitem=nextitem)
    if item.session.testsfailed > failed or _REACHED not in first.stash:
        return  # What fails without a fault, or was skipped, says nothing under one.
    reached = first.stash[_REACHED]
    # Where nothing was reached, this one fails because it never fires: a sweep of nothing is none.
    lines = [line_of(plan) for plan in plans(reached)] or ["http.response#1=status(503)"]
    runs = [_again(item, parse(line)) for line in lines]
    for run, line in zip(runs, lines, strict=True):
        run.user_properties.append(("rud_faults", [item.nodeid, line]))
    runs[0].user_properties.append(("rud_faults_left_out", [item.nodeid, *left_out(reached)]))
    item.session.testscollected += len(runs)
    for run, following in zip(runs, [*runs[1:], nextitem], strict=True):
        item.config.hook.pytest_runtest_protocol(item=run, nextitem=following)
        if item.session.shouldfail or item.session.shouldstop:
            break


def _shrink(item: pytest.Function, nextitem: pytest.Item | None) -> None:
    """As usual; when it has failed, silently under smaller and smaller plans."""
    from _pytest.runner import runtestprotocol

    from rud_fakes.faults.shrink import shrink
    from rud_fakes.faults.sweep import line_of

    def fails(plan: Plan, following: pytest.Item | None = item) -> bool:
        again = _again(item, plan)
        again.stash[_SHRINKING] = True
        reports = runtestprotocol(again, log=False, nextitem=following)
        return any(report.failed and report.when == "call" for report in reports)

    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    plan = item.config.stash.get(_PLAN, None) or item.stash.get(_PLAN, None)
    if plan is not None and any(report.failed for report in reports) and fails(plan):
        smallest = shrink(plan, fails)
        fails(smallest, nextitem)  # The last one clears up for whoever comes next.
        item.config.stash.setdefault(_SMALLEST, {})[item.nodeid] = line_of(smallest)


def _again(item: pytest.Function, plan: Plan) -> pytest.Function:
    """The test once more, with fixtures of its own."""
    again = type(item).from_parent(
        cast(pytest.Collector, item.parent),
        name=item.name,
        callspec=getattr(item, "callspec", None),
        fixtureinfo=item._fixtureinfo,  # noqa: SLF001  # where parameters of the test stand
        originalname=item.originalname,
    )
    marks: list[pytest.Mark] = item.stash.get(_MARKS, item.own_markers)
    again.own_markers[:] = marks
    again.stash[_PLAN] = plan
    again.stash[_FORCED] = True
    return again


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What a sweep has tried, and how to run again what has failed in it."""
    reports = [one for some in terminalreporter.stats.values() for one in some if hasattr(one, "user_properties")]
    tried: dict[str, dict[str, bool]] = {}
    left: set[str] = set()
    for report in reports:
        given = dict(report.user_properties)
        if "rud_faults" in given:
            name, line = given["rud_faults"]
            lines = tried.setdefault(name, {})
            lines[line] = lines.get(line, False) or report.failed
        left |= set(given.get("rud_faults_left_out", [""])[1:])
    smallest = config.stash.get(_SMALLEST, {})
    if not tried and not smallest:
        return
    terminalreporter.section("rud faults")
    for name, lines in tried.items():
        failed = [line for line, is_bad in lines.items() if is_bad]
        terminalreporter.write_line(f"{name}: {len(lines)} faults, {len(failed)} of them make it fail")
        for line in failed:
            terminalreporter.write_line(f"  {_replay(config, name, line)}")
    if left:
        counted = Counter(one.partition("=")[2] for one in left)
        told = ", ".join(f"{action} at {count}" for action, count in sorted(counted.items()))
        terminalreporter.write_line(f"not tried, of the points that were reached: {told}")
    for name, line in smallest.items():
        terminalreporter.write_line(f"{name}: the smallest plan that makes it fail\n  {_replay(config, name, line)}")


def _replay(config: pytest.Config, name: str, line: str) -> str:
    """The command that runs one test under one plan."""
    file, _, test = name.partition("::")
    file = os.path.relpath(config.rootpath / file, config.invocation_params.dir)
    words = ["pytest", f"{file}::{test}", "--rud-faults-replay", line]
    if __name__ in config.option.plugins:
        words[1:1] = ["-p", __name__]
    if config.option.rud_faults_limit != LIMIT:
        words += ["--rud-faults-limit", f"{config.option.rud_faults_limit:g}"]
    return shlex.join(words)


def _is_swept(item: pytest.Item) -> bool:
    return item.config.option.rud_faults_sweep and _PLAN not in item.stash


def _parsed(text: str) -> Plan:
    from rud.errors import ConfigurationError
    from rud_fakes.faults.command import plan_of

    try:
        return plan_of(text)
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from error
