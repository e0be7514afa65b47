"""A plan at work: counts that all processes and restarts share, the decision, and the log of what fired.

Beside the plan's file lies the folder ``<file>.state``: a file for each count, a file for each point that was reached,
with the pids of those who did, and, made before the action is taken, a file for each firing. So a process that is
killed does not meet the same fault again when it is started anew, and what has fired is known afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rud import _faultpoints
from rud._faultpoints import Active
from rud_fakes._http.faults import Fault
from rud_fakes._http.log import Request
from rud_fakes.faults.actions import Doer, Facts
from rud_fakes.faults.check import check
from rud_fakes.faults.line import parse_line
from rud_fakes.faults.plan import Plan, Rule, chance, from_json
from rud_fakes.faults.points import SERVER_POINTS, VERB_OF, faults_of

LOADER = "rud_fakes.faults.runtime:load"
_WORKER_OF = "RUD_WORKER_OF"


def read(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file, in either form, checked."""
    return parse(Path(path).read_text(encoding="utf-8"))


def parse(text: str) -> Plan:
    """The plan of a text, in either form, checked; ``PlanError`` when it is none or could do nothing."""
    return check(from_json(text) if text.lstrip().startswith("{") else parse_line(text))


def picks(seed: int, rule: Rule, scope: str, n: int) -> bool:
    """Whether the ``n``-th that comes by in ``scope`` is one of those that ``rule`` picks. Depends on nothing else."""
    pick = rule.pick
    nth = pick.nth or ((1,) if pick.byte is not None else ())
    if (nth and n not in nth) or (pick.every and n % pick.every):
        return False
    if pick.p is None:
        return True
    text = json.dumps([seed, rule.id, rule.at, scope, n]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") < chance(pick.p)


@dataclass(frozen=True, slots=True)
class Firing:
    """``n``: the count within ``scope`` when it fired."""

    rule: str
    point: str
    scope: str
    n: int
    pid: int


class Injector:
    """Obeys ``plan``; ``state`` is the folder that all processes share."""

    def __init__(self, plan: Plan, state: Path) -> None:
        self.plan = plan
        self.state = state
        for name in ("counts", "fired", "hits"):
            (state / name).mkdir(parents=True, exist_ok=True)
        self._do = Doer(str(state))
        self._known: set[str] = set()
        self._lock = threading.Lock()  # Guards _requests.
        self._requests: dict[tuple[str, str], int] = {}

    def __call__(self, point: str, facts: Facts) -> None:
        """What ``rud._faultpoints.active`` is set to."""
        self._note(point)
        for rule in self.plan.rules:
            if rule.at == point and self.fires(rule, facts):
                for action, value in rule.actions:
                    self._do(action, value, facts)

    def befalls(self, request: Request) -> list[Fault]:
        """What a fault server does to a request; see ``FaultyServer.obey``."""
        about = (request.operation, request.key)
        with self._lock:
            seen = self._requests[about] = self._requests.get(about, 0) + 1
        facts: dict[str, object] = {
            "op": (request.operation, VERB_OF.get(request.operation, "")),
            "key": request.key, "part": request.part, "attempt": seen,
            "method": request.method, "bytes": int(request.headers.get("content-length", 0)),
        }  # fmt: skip
        found: list[Fault] = []
        for rule in self.plan.rules:
            if rule.at in SERVER_POINTS:
                self._note(rule.at)
                if self.fires(rule, facts):
                    found += faults_of(rule, request)
        return found

    def fires(self, rule: Rule, facts: Facts) -> bool:
        """Count who has come by, decide, and when it fires say so before anything happens."""
        if not all(_passes(facts.get(fact, ""), glob) for fact, glob in rule.where):
            return False
        if rule.pick.byte is not None and int(str(facts["bytes"])) < rule.pick.byte:
            return False
        scope = _scope(rule, facts)
        n = self._count(f"{rule.id}.{_digest(scope)}")
        if not picks(self.plan.seed, rule, scope, n):
            return False
        if rule.once and self._count(f"{rule.id}.once") > 1:
            return False
        if rule.pick.max is not None and self._count(f"{rule.id}.{_digest(scope)}.max") > rule.pick.max:
            return False
        firing = {"rule": rule.id, "point": rule.at, "scope": scope, "n": n, "pid": os.getpid()}
        claim = self.state / "fired" / f"{rule.id}.{_digest(scope)}.{n}"
        with open(claim, "x", encoding="utf-8") as file:
            file.write(json.dumps(firing))
        return True

    def _count(self, name: str) -> int:
        descriptor = os.open(self.state / "counts" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            n = int(os.pread(descriptor, 20, 0) or b"0") + 1
            os.pwrite(descriptor, str(n).encode(), 0)
            return n
        finally:
            os.close(descriptor)

    def _note(self, point: str) -> None:
        if point not in self._known:
            self._known.add(point)
            with open(self.state / "hits" / point, "a", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")


def load(path: str) -> Active:
    """What the library calls, by the name in ``RUD_FAULTS_LOADER``, with what ``RUD_FAULTS`` says."""
    return Injector(read(path), state_of(path))


def state_of(path: str | os.PathLike[str]) -> Path:
    """The folder beside a plan's file."""
    return Path(f"{os.fspath(path)}.state")


def environment(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a process needs in its environment to obey the plan in a file."""
    return {"RUD_FAULTS": os.path.abspath(path), "RUD_FAULTS_ENABLE": "1", "RUD_FAULTS_LOADER": LOADER}


def fired(state: Path) -> list[Firing]:
    """Everything that has fired so far, in any process, by rule, scope and count."""
    found = [Firing(**json.loads(path.read_text())) for path in (state / "fired").iterdir() if path.stat().st_size]
    return sorted(found, key=lambda one: (one.rule, one.scope, one.n))


def missed(plan: Plan, firings: list[Firing]) -> list[str]:
    """Expectations that were not met, a line each; a rule without one has to fire at all."""
    counts = {rule.id: sum(one.rule == rule.id for one in firings) for rule in plan.rules}
    lines: list[str] = []
    for rule in plan.rules:
        wanted = str(plan.expect.get(rule.id, ">=1"))
        least, exact = int(wanted.removeprefix(">=")), not wanted.startswith(">=")
        if counts[rule.id] < least or (exact and counts[rule.id] > least):
            lines.append(f"rule {rule.id} at {rule.at} has fired {counts[rule.id]} times; expected: {wanted}")
    return lines


def coverage(state: Path) -> Mapping[str, bool]:
    """Every point of the library, and whether it was reached under the plan."""
    return {point: (state / "hits" / point).exists() for point in _faultpoints.POINTS}


def reached(state: Path) -> dict[str, set[int]]:
    """The points that were reached, and the pids of the processes that did."""
    return {path.name: set(map(int, path.read_text("ascii").split())) for path in (state / "hits").iterdir()}


def _passes(fact: object, glob: str) -> bool:
    return any(fnmatchcase(str(one), glob) for one in (fact if isinstance(fact, tuple) else (fact,)))


def _digest(scope: str) -> str:
    return hashlib.blake2b(scope.encode(), digest_size=6).hexdigest()


def _scope(rule: Rule, facts: Facts) -> str:
    if rule.scope in ("key", "entry"):
        return str(facts[rule.scope])
    if rule.scope == "worker":
        return f"worker {os.getpid()}"
    if rule.scope == "owner":
        return f"owner {os.environ.get(_WORKER_OF, os.getpid())}"
    return ""
