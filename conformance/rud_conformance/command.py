"""The suite from a shell: may this bucket, gateway or folder be trusted?"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Self
from urllib.parse import urlsplit

from rud._registry import resolve
from rud.errors import RudError
from rud.store import Backend
from rud_conformance.acts import get, put
from rud_conformance.harness import Address, Harness, Limits
from rud_conformance.harnesses import S3
from rud_conformance.registry import PROFILES, cases
from rud_conformance.report import BACKEND_FAILS, HARNESS_FAILS, console, exit_code, json_line
from rud_conformance.run import BUDGETS, Run
from rud_conformance.verdict import HarnessError, Result, Verdict

_CANARY = b"This object was made by a conformance run, beside the place where it wrote, and should have gone with it."


class _Cleaned(Harness):
    """Removes what is left of a place by way of the whole, so that a folder of it goes, too."""

    backend: Backend

    def clean(self, scope: str) -> None:
        _remove_below(self.backend, f"{scope}/")


class _AtUri(_Cleaned):
    """Any store that rud knows."""

    limits = Limits(part=1 << 20, threshold=1 << 20, slow=True)

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")

    def address(self, scope: str) -> Address:
        return f"{self._uri}/{scope}", {}


class _AtS3(_Cleaned, S3):
    """With parts as small as S3 allows."""


def main(arguments: Sequence[str]) -> int:
    """0: green; 1: the backend fails; 2: the place or the store is to blame; 3: too little was executed."""
    given = _parser().parse_args(arguments)
    if given.self_test:
        from rud_conformance.self_test import self_test

        return self_test([])
    if given.uri is None:
        _say("give the URI of an empty place, such as s3://bucket/prefix, or --self-test")
        return HARNESS_FAILS
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _conformance(given)
    except (HarnessError, RudError) as error:
        _say(f"error: {error}")
        return HARNESS_FAILS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rud_conformance", description=__doc__)
    parser.add_argument("uri", nargs="?", help="an empty place, such as s3://bucket/prefix")
    parser.add_argument("--profile", choices=PROFILES, default="smoke", help="how much to try (default: smoke)")
    parser.add_argument("--yes", action="store_true", help="also where it is no emulator on this machine")
    parser.add_argument("--seed", type=int, help="other examples than the same ones each time")
    parser.add_argument("--require", action="append", default=[], metavar="ID", help="a case or capability; repeatable")
    parser.add_argument("--json", metavar="FILE", help="append each result to FILE, as a line of JSON")
    parser.add_argument("--self-test", action="store_true", help="run the cases on faulty backends instead")
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _conformance(given: argparse.Namespace) -> int:
    harness = _AtS3(given.uri, {}) if given.uri.startswith("s3:") else _AtUri(given.uri)
    if not given.yes and not _is_here(given.uri):
        _say(f"{given.uri} is no emulator on this machine: requests may cost money. Say --yes to go on")
        return HARNESS_FAILS
    harness.backend = backend = resolve(given.uri).open()
    try:
        if any(True for _ in backend.list("")):
            _say(f"{given.uri} is not empty: give a place where nothing is, below a prefix of its own")
            return HARNESS_FAILS
        run = Run(harness, given.profile, seed=given.seed)
        _announce(given.uri, run)
        with _Canaries(backend, run.scopes) as canaries:
            results = _results(run, given, backend)
    finally:
        backend.close()
    _say(console(results, given.profile, given.require))
    if canaries.touched:
        _say(f"objects beside the place were changed or are gone: {', '.join(canaries.touched)}")
        return BACKEND_FAILS
    return exit_code(results, given.profile, given.require)


def _announce(uri: str, run: Run) -> None:
    chosen, budget = cases(run.profile), BUDGETS[run.profile]
    biggest = run.harness.limits.threshold + 2 * run.harness.limits.part
    _say(
        f"{len(chosen)} cases, below {uri.rstrip('/')}/{run.scopes}/, which goes again afterwards.\n"
        f"Objects of at most about {biggest >> 20} MiB, a few dozen at a time. A case tries examples for at most "
        f"{budget.seconds:.0f} s, and is given up after {budget.limit:.0f} s."
    )


def _results(run: Run, given: argparse.Namespace, backend: Backend) -> list[Result]:
    results: list[Result] = []
    try:
        for result in run.results():
            results.append(result)
            if given.json:
                with open(given.json, "a", encoding="utf-8") as file:
                    file.write(json_line(result, given.uri, given.profile) + "\n")
    except KeyboardInterrupt:
        results.append(Result(cases()[0].id, Verdict.INCONCLUSIVE, "interrupted; what was written is removed"))
    finally:
        _remove_below(backend, f"{run.scopes}/")
        run.harness.close()
    return results


def _remove_below(backend: Backend, prefix: str) -> None:
    # The name was drawn for this run: nobody else has anything there.
    with suppress(RudError):
        for meta in list(backend.list(prefix)):
            with suppress(RudError):
                backend.delete(meta.key)


class _Canaries:
    """Objects beside the place of the run, whose names begin as it does."""

    def __init__(self, backend: Backend, scopes: str) -> None:
        self._backend = backend
        self._keys = [f"{scopes}x", f"{scopes}-beside/canary"]
        self.touched: list[str] = []

    def __enter__(self) -> Self:
        for key in self._keys:
            put(self._backend, key, _CANARY)
        return self

    def __exit__(self, *_: object) -> None:
        for key in self._keys:
            try:
                if get(self._backend, key) != _CANARY:
                    self.touched.append(key)
                self._backend.delete(key)
            except RudError:
                self.touched.append(key)


def _is_here(uri: str) -> bool:
    spec = resolve(uri)
    endpoint = urlsplit(str(spec.arguments.get("endpoint_url", "")))
    return spec.scheme in ("file", "memory") or endpoint.hostname in ("localhost", "127.0.0.1", "::1")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
