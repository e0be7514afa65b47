"""A fault server that obeys a plan, and can be told and asked over HTTP what no client of a store would say.

Below ``/_rud/``, for any language: ``GET faults`` (the plan, what has fired, what is missed), ``PUT faults`` (a plan in
either form, counted from the start), ``DELETE faults`` (no more of them; what waits goes on), ``GET log`` (every
request so far, a line of JSON each).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rud_fakes._http.dialect import Head, RefusalError, Reply, Target
from rud_fakes._http.exchange import CONTROL
from rud_fakes._http.log import Request
from rud_fakes._http.server import FaultyServer
from rud_fakes.faults.line import format_line
from rud_fakes.faults.plan import Plan, PlanError
from rud_fakes.faults.runtime import Injector, fired, missed, parse
from rud_fakes.gcs.server import GCSServer
from rud_fakes.s3.server import S3Server

DIALECTS: dict[str, Callable[[str], FaultyServer]] = {"s3": S3Server, "gcs": GCSServer}
_LOGGED = ("operation", "bucket", "key", "part", "method", "status", "bytes_in", "began", "ended")
"""Of a request; its headers may have secrets."""


class Rules:
    """The plan that ``server`` obeys now, at first one without rules; each counts in a folder of its own below
    ``folder``."""

    def __init__(self, server: FaultyServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.set(Plan(()))

    def set(self, plan: Plan) -> None:
        """From now on this plan; nothing waits any more because of the one before."""
        injector = Injector(plan, Path(tempfile.mkdtemp(dir=self._folder)))
        self._server.obey(injector.befalls)
        self._server.clear_faults()
        self._injector = injector

    def missed(self) -> list[str]:
        """What the plan in force has yet to do, a line a rule."""
        return missed(self._injector.plan, fired(self._injector.state))

    def told(self) -> dict[str, object]:
        """The plan in force, what it has done, and what it has yet to do."""
        injector = self._injector
        told = [{"rule": one.rule, "point": one.point, "scope": one.scope, "n": one.n} for one in fired(injector.state)]
        return {"plan": format_line(injector.plan), "fired": told, "missed": self.missed()}


class Control:
    """The paths below ``/_rud/`` as a dialect."""

    def __init__(self, rules: Rules, log: Callable[[], Iterator[str]]) -> None:
        self._rules = rules
        self._log = log

    def recognise(self, head: Head) -> Target:
        return Target(f"{head.method} {head.path.removeprefix(CONTROL)}")

    def admit(self, head: Head, target: Target) -> None:
        """Everybody who is on this machine."""

    def receive(self, head: Head, target: Target, chunks: Iterator[bytes]) -> bytes:
        return b"".join(chunks)

    def spoil(self, received: bytes) -> bytes:
        return received

    def answer(self, head: Head, target: Target, received: bytes) -> Reply:
        if target.operation == "GET log":
            text = "".join(f"{line}\n" for line in self._log())
            return Reply(200, text.encode(), {"Content-Type": "application/x-ndjson"})
        if target.operation in ("PUT faults", "DELETE faults"):
            self._set(received.decode("utf-8", "replace") if head.method == "PUT" else "")
        elif target.operation != "GET faults":
            raise RefusalError(
                _document(404, {"error": f"there is GET, PUT and DELETE {CONTROL}faults, GET {CONTROL}log"})
            )
        return _document(200, self._rules.told())

    def failure(self, head: Head, status: int, code: str | None) -> Reply:
        return _document(status, {"error": code or "refused"})

    def _set(self, text: str) -> None:
        try:
            self._rules.set(parse(text))
        except PlanError as error:
            raise RefusalError(_document(400, {"error": str(error)})) from error


def line_of(request: Request, rules: Iterable[str]) -> str:
    """A request as a line of JSON, with the rules that it has met; times are seconds of the monotonic clock."""
    return json.dumps({**{name: getattr(request, name) for name in _LOGGED}, "rules": list(rules)})


def controlled(dialect: str, bucket: str, folder: Path, *, port: int = 0) -> tuple[FaultyServer, Rules]:
    """A server of ``dialect`` with the paths below ``/_rud/``, not started, and the rules that it obeys: none."""
    server = DIALECTS[dialect](bucket)
    rules = Rules(server, folder)
    server.prepare(port=port, control=Control(rules, lambda: (line_of(*one) for one in server.requests_with_rules)))
    return server, rules


def _document(status: int, document: dict[str, object]) -> Reply:
    return Reply(status, json.dumps(document).encode() + b"\n", {"Content-Type": "application/json"})
