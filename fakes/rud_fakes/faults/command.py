"""Fault plans from a shell: what may go wrong, what a plan would do, a command under a plan, a server under one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rud.cli.exits import DONE, FAILED
from rud.cli.screen import print_json, printable
from rud.errors import ConfigurationError
from rud_fakes.faults.plan import Plan, PlanError, to_json

if TYPE_CHECKING:
    from rud.cli import Subparsers
    from rud_fakes.faults.runtime import Firing

_PLAN = "a file, or the plan itself in one line"
_LIST = "Prints every point: what is true there, who injects (the library, or the fault server), what may be done."
_RUN = """\
Runs COMMAND, and every process of rud's below it, under the plan. Exits as COMMAND does; with 4 if that is well and a
rule has not fired as it should.
"""
_SERVE = """\
Serves S3 or Cloud Storage on this machine, in memory, and fails as the plan says. Prints its address as one line; ends
with SIGTERM or Ctrl-C, and then with 4 if a rule of the last plan has not fired as it should. Below /_rud/ of that
address: GET, PUT and DELETE faults, GET log.
"""


def add(subparsers: Subparsers) -> None:
    """Enter ``rud faults``: the entry point of the group ``rud.commands``."""
    parser = subparsers.add_parser("faults", help="make things fail on purpose", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="every point where a plan may strike", description=_LIST)
    listing.add_argument("--json", action="store_true", help="print one object of JSON")
    listing.set_defaults(run=_list)
    explaining = commands.add_parser("explain", help="what a plan would do, in words")
    explaining.add_argument("plan", metavar="PLAN", help=_PLAN)
    explaining.add_argument("--json", action="store_true", help="print it in its other form, as JSON")
    explaining.set_defaults(run=_explain)
    running = commands.add_parser("run", help="run a command under a plan", description=_RUN)
    running.add_argument("plan", metavar="PLAN", help=_PLAN)
    running.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="with its arguments")
    running.set_defaults(run=_run)
    _add_serve(commands)


def _add_serve(commands: Any) -> None:
    serving = commands.add_parser("serve", help="a store that fails as a plan says", description=_SERVE)
    serving.add_argument("--dialect", choices=("s3", "gcs"), default="s3", help="default: s3")
    serving.add_argument("--plan", metavar="PLAN", help=f"{_PLAN}; default: nothing fails")
    serving.add_argument("--bucket", default="bucket", help="exists from the start (default: bucket)")
    serving.add_argument("--port", type=int, default=0, help="default: a free one")
    serving.add_argument(
        "--log", metavar="FILE", type=Path, help="append a line of JSON for each request that has ended"
    )
    serving.set_defaults(run=_serve)


def plan_of(text: str) -> Plan:
    """The plan in the file of that name, or of the text itself; ``ConfigurationError`` when it is none."""
    from rud_fakes.faults.runtime import parse, read

    try:
        return read(text) if os.path.isfile(text) else parse(text)
    except PlanError as error:
        raise ConfigurationError(f"the plan is wrong: {error}") from error


def _list(args: Any) -> int:
    from rud_fakes.faults.points import POINTS, SERVER_POINTS
    from rud_fakes.faults.words import place

    if args.json:
        rows = [
            {
                "name": point.name, "layer": point.layer, "injected": place(point.name), "contract": point.contract,
                "actions": point.actions, "facts": point.facts,
            }
            for point in POINTS.values()
        ]  # fmt: skip
        print_json({"points": rows})
        return DONE
    for point in POINTS.values():
        facts = f"[{', '.join(point.facts)}]" if point.facts else ""
        print(f"{point.name}{facts}\n    {point.contract}\n    {place(point.name)}: {', '.join(point.actions)}")
    print(f"{len(POINTS)} points, {len(SERVER_POINTS)} of them at the fault server")
    return DONE


def _explain(args: Any) -> int:
    from rud_fakes.faults.words import explain

    plan = plan_of(args.plan)
    if args.json:
        print(to_json(plan))
        return DONE
    for line in explain(plan):
        print(printable(line))
    return DONE


def _run(args: Any) -> int:
    from rud_fakes.faults.runtime import environment, fired, missed, state_of

    plan = plan_of(args.plan)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise ConfigurationError("rud faults run PLAN -- COMMAND: there is no COMMAND")
    with tempfile.TemporaryDirectory(prefix="rud-faults-") as folder:
        file = Path(folder) / "plan.json"
        file.write_text(to_json(plan), encoding="utf-8")
        state = state_of(file)
        (state / "fired").mkdir(parents=True)
        done = subprocess.run(command, env={**os.environ, **environment(file)}, check=False)
        firings = fired(state)
        lines = missed(plan, firings)
    _say(args, firings, lines)
    if done.returncode:
        return done.returncode if done.returncode > 0 else 128 - done.returncode
    return FAILED if lines else DONE


def _serve(args: Any) -> int:
    from rud_fakes.faults.serve import controlled, line_of

    plan = plan_of(args.plan) if args.plan else Plan(())
    with tempfile.TemporaryDirectory(prefix="rud-faults-") as folder, _ended_by_signal() as wait:
        server, rules = controlled(args.dialect, args.bucket, Path(folder), port=args.port)
        rules.set(plan)
        if args.log is not None:
            args.log.touch()
            server.on_end(lambda request, met: _append(args.log, line_of(request, met)))
        with server:
            print(server.url, flush=True)
            wait()
        lines = rules.missed()
    for line in lines:
        args.screen.say(line)
    return FAILED if lines else DONE


@contextmanager
def _ended_by_signal() -> Iterator[Any]:
    """A wait that SIGTERM and Ctrl-C end, whichever thread they strike."""
    ends = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield lambda: signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _append(file: Path, line: str) -> None:
    """In one write, so that lines of several threads do not mix."""
    with open(file, "ab", buffering=0) as log:
        log.write(f"{line}\n".encode())


def _say(args: Any, firings: list[Firing], lines: list[str]) -> None:
    for one in firings:
        where = f", {one.scope}" if one.scope else ""
        args.screen.say(f"rule {one.rule} has fired at {one.point} (number {one.n}{where}) in process {one.pid}")
    for line in lines:
        args.screen.say(line)
