"""The suite from a shell: may this bucket, gateway or folder be trusted?"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rud._registry import resolve
from rud._spec import StoreSpec
from rud.cli.arguments import add_backend_kwargs, backend_kwargs, seconds
from rud.cli.folders import left_as_found
from rud.errors import RudError
from rud_conformance._journal import Journal, Written, dead_runs, state_folder
from rud_conformance._scope import Scope, canaries, within
from rud_conformance.quirks import SERVERS, known
from rud_conformance.registry import PROFILES
from rud_conformance.report import BACKEND_FAILS, HARNESS_FAILS, console, exit_code, json_line, matrix
from rud_conformance.run import BUDGETS, Budget, Run
from rud_conformance.verdict import HarnessError, Result, Verdict

if TYPE_CHECKING:
    from rud.cli import Subparsers

CODES = """\
exit codes of this command:
  0  green
  1  the backend fails, or touched what is beside its place
  2  the place, the store or the command line is to blame, or it was interrupted
  3  too little could be tried
"""
_ENDS_WITHIN = 10.0
"""Seconds that a case which is under way has to end when the run is stopped."""
_SEEN_WITHIN = 60.0
"""Seconds for the requests that show what a server gets wrong."""


def add(subparsers: Subparsers) -> None:
    """Enter ``rud conformance``: the entry point of the group ``rud.commands``."""
    parser = subparsers.add_parser(
        "conformance",
        help="try whether a store keeps the contract of rud.Backend",
        description=__doc__,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_arguments(parser)
    parser.set_defaults(run=command)


def main(arguments: Sequence[str]) -> int:
    """``python -m rud_conformance``; see ``CODES``."""
    parser = argparse.ArgumentParser(
        prog="python -m rud_conformance",
        description=__doc__,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_arguments(parser)
    return command(parser.parse_args(arguments))


def command(given: argparse.Namespace) -> int:
    """What was asked for on the command line; the exit code."""
    if importlib.util.find_spec("hypothesis") is None:
        _say("the conformance suite needs hypothesis: pip install 'rud-uploader[conformance]'")
        return HARNESS_FAILS
    if given.self_test:
        from rud_conformance.self_test import self_test

        return self_test([])
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _clean(given) if given.clean else _conformance(given)
    except (HarnessError, RudError) as error:
        _say(f"error: {error}")
    except KeyboardInterrupt:
        _say("interrupted")
    finally:
        signal.signal(signal.SIGTERM, before)
    return HARNESS_FAILS


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uri", nargs="?", help="an empty place, such as s3://bucket/prefix")
    parser.add_argument("--profile", choices=PROFILES, default="smoke", help="how much to try (default: smoke)")
    parser.add_argument("--yes", action="store_true", help="also where it is no emulator on this machine")
    parser.add_argument("--seed", type=int, help="other examples than the same ones each time")
    parser.add_argument("--limit", type=seconds, metavar="SECONDS", help="give up a case after so long")
    parser.add_argument("--server", choices=("none", *SERVERS), help="whose defects are known (default: as it says)")
    parser.add_argument("--require", action="append", default=[], metavar="ID", help="a case or capability; repeatable")
    parser.add_argument("--json", dest="json_lines", metavar="FILE", help="append each result to FILE, a line each")
    parser.add_argument("--markdown", metavar="FILE", help="write the results to FILE, as a table")
    parser.add_argument("--clean", metavar="JOURNAL", help="only remove what a killed run has left")
    parser.add_argument("--self-test", action="store_true", help="run the cases on faulty backends instead")
    add_backend_kwargs(parser)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class _Asked:
    """A checked command line."""

    uri: str
    arguments: Mapping[str, Any]
    spec: StoreSpec
    budget: Budget
    given: argparse.Namespace

    @property
    def patience(self) -> float:
        """Seconds for one thing that is asked of the store."""
        return min(30.0, self.budget.limit)


def _asked(given: argparse.Namespace, uri: str | None) -> _Asked:
    if uri is None:
        raise HarnessError("give the URI of an empty place, such as s3://bucket/prefix, or --self-test")
    budget = BUDGETS[given.profile]
    if given.limit is not None:
        budget = Budget(budget.examples, budget.seconds, given.limit, budget.total, budget.floor)
    arguments = backend_kwargs(given) or {}
    return _Asked(uri, arguments, resolve(uri, arguments), budget, given)


def _clean(given: argparse.Namespace) -> int:
    journal = Journal.of_dead_run(Path(given.clean))
    asked = _asked(given, journal.written.uri)
    return 0 if _removed(Scope(asked.spec, journal.written, asked.patience), journal) else HARNESS_FAILS


def _conformance(given: argparse.Namespace) -> int:
    asked = _asked(given, given.uri)
    if not given.yes and not _is_here(asked.spec):
        _say(f"{asked.uri} is no emulator on this machine: requests may cost money. Say --yes to go on")
        return HARNESS_FAILS
    for journal in dead_runs(asked.uri, state_folder()):
        _say(f"an earlier run was killed here; removing what it left below {journal.written.scopes}/")
        _removed(Scope(asked.spec, journal.written, asked.patience), journal)
    name = _server_of(asked)
    from rud_conformance._stores import at_uri

    harness = at_uri(asked.uri, asked.arguments)
    if name:
        harness.limits = replace(harness.limits, keeps=SERVERS[name].keeps)
    run = Run(harness, given.profile, seed=given.seed, limit=asked.budget.limit)
    scope = Scope(asked.spec, Written(asked.uri, run.scopes, canaries(run.scopes)), asked.patience)
    harness.answers = scope.answers
    try:
        if not scope.is_empty():
            raise HarnessError(f"{asked.uri} is not empty: give a place where nothing is, below a prefix of its own")
        with left_as_found(asked.spec):
            return _tried(run, scope, asked, name)
    finally:
        run.harness.close()
        scope.close()


def _server_of(asked: _Asked) -> str | None:
    """The server whose defects are known, if the store is on one."""
    given: str | None = asked.given.server
    if asked.spec.scheme != "s3" and given not in (None, "none"):
        raise HarnessError(f"--server {given} is for s3 URIs: {asked.uri} does not lead to one")
    if asked.spec.scheme != "s3" or given:
        return None if given == "none" else given
    from rud_conformance._servers import server_at

    endpoint = str(asked.spec.arguments.get("endpoint_url") or "")
    return server_at(endpoint) if endpoint else None


def _tried(run: Run, scope: Scope, asked: _Asked, server: str | None) -> int:
    from rud_conformance._progress import announcement, results

    journal = Journal.begin(scope.written, state_folder())
    found: list[Result] = []
    touched: list[str] = []
    try:
        _say(announcement(run, asked.budget, scope.written, journal.path))
        scope.set_canaries()
        for result in results(run, asked.budget, scope.answers, _known(scope, server)):
            found.append(result)
            if asked.given.json_lines:
                with open(asked.given.json_lines, "a", encoding="utf-8") as file:
                    file.write(json_line(result, asked.uri, run.profile) + "\n")
        touched = scope.touched()
    except KeyboardInterrupt:
        found.append(Result("X01", Verdict.INCONCLUSIVE, "interrupted"))
    finally:
        ended = run.stop(min(_ENDS_WITHIN, asked.patience))
        clean = _removed(scope, journal, ended=ended)
    return _verdict(found, touched, asked, clean=clean)


def _known(scope: Scope, server: str | None) -> Mapping[str, str]:
    """The cases that ``server`` makes fail, each with why."""
    if server is None:
        return {}
    from rud_conformance._servers import seen

    below = f"{scope.written.scopes}/quirks"
    found = within(_SEEN_WITHIN, "show what it gets wrong", lambda: seen(server, scope.backend, below))
    _say(str(found))
    return known(*found.shown)


def _verdict(found: list[Result], touched: list[str], asked: _Asked, *, clean: bool) -> int:
    given = asked.given
    _say(console(found, given.profile, given.require))
    if given.markdown:
        Path(given.markdown).write_text(matrix({asked.uri: found}), encoding="utf-8")
    if touched:
        _say(f"objects beside the place were changed or are gone: {', '.join(touched)}")
        return BACKEND_FAILS
    code = exit_code(found, given.profile, given.require)
    return code if code or clean else HARNESS_FAILS


def _removed(scope: Scope, journal: Journal, *, ended: bool = True) -> bool:
    """Whether nothing is left of what ``journal`` names, which then goes."""
    left = "the run was ended by force"
    try:
        left = scope.remove() or ("" if ended else "a case still runs and may write more")
    finally:
        journal.close(done=not left)
    if left:
        _say(f"not all that was written could be removed ({left}); later: rud conformance --clean {journal.path}")
    return not left


def _is_here(spec: StoreSpec) -> bool:
    endpoint = urlsplit(str(spec.arguments.get("endpoint_url") or ""))
    return spec.scheme in ("file", "memory") or endpoint.hostname in ("localhost", "127.0.0.1", "::1")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
