"""Any object that stores things, made to fail as a plan says."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from rud._clock import SystemClock
from rud_fakes._http.exchange import flipped
from rud_fakes._http.faults import Action, Fault
from rud_fakes._http.log import Request
from rud_fakes.faults.plan import Plan, PlanError
from rud_fakes.faults.points import SERVER_POINTS, faults_of
from rud_fakes.faults.runtime import Firing, Injector, fired, missed, parse

Store = TypeVar("Store")

OPERATIONS = ("put", "get", "head", "list", "delete")
WITHOUT_WIRE: frozenset[Action] = frozenset({"trickle_in", "trickle_out"})
_KEPT = "_rud_kept"
_BEFORE: frozenset[Action] = frozenset({"reset_before", "reset_in_body", "reset_after"})


class StatusError(OSError):
    """What a call raises that a plan answers with a status. ``status``; ``code``: as S3 names it, or empty."""

    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(f"{status} {code}".strip() + " (by a fault plan)")
        self.status = status
        self.code = code


def wrap(
    store: Store,
    plan: Plan | str,
    *,
    names: Mapping[str, str] | None = None,
    key: str | None = None,
    error: Callable[[int, str], Exception] = StatusError,
    sleep: Callable[[float | None], object] | None = None,
) -> Store:
    """``store``, whose five operations meet the rules of ``plan`` at the points of the fault server.

    ``names``: how the store calls ``put``, ``get``, ``head``, ``list`` and ``delete``, where it calls them otherwise;
    every other attribute is the store's own. A rule chooses by ``op`` (one of the five) and ``key``: the argument of
    the name ``key``, or else the first one that is a text. ``error``: what a status and its code raise as; a connection
    that breaks is a ``ConnectionError``. ``sleep`` is given seconds, or ``None`` for ever. Bytes are flipped in a
    ``put`` where an argument is ``bytes``, in others where the result is.

    ``PlanError`` for a rule at a point of the library, or with an action that needs a wire (``trickle``). The methods
    are taken to be synchronous; they may be called from any thread. ``firings`` and ``unfired`` tell what was done.
    """
    plan = parse(plan) if isinstance(plan, str) else plan
    for rule in plan.rules:
        if rule.at not in SERVER_POINTS:
            raise PlanError(f"rule {rule.id}: {rule.at} is a point of the library; an object that is wrapped has none")
        if any(fault.action in WITHOUT_WIRE for fault in faults_of(rule, _request("put", ""))):
            raise PlanError(f"rule {rule.id}: an object has no wire on which bytes could trickle; use the fault server")
    folder = tempfile.mkdtemp(prefix="rud-faults-")
    injector = Injector(plan, Path(folder))
    made = obeying(store, injector.befalls, names, Manner(key, error, sleep or threading.Event().wait))
    weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
    vars(made)[_KEPT] = injector
    return made


@dataclass(frozen=True, slots=True)
class Manner:
    """How a wrapped store fails; the arguments of ``wrap``."""

    key: str | None
    error: Callable[[int, str], Exception]
    sleep: Callable[[float | None], object]


def obeying(
    store: Store, befalls: Callable[[Request], list[Fault]], names: Mapping[str, str] | None, manner: Manner
) -> Store:
    """As ``wrap``, with what befalls a call decided by ``befalls``."""
    methods = {(names or {}).get(one, one): one for one in OPERATIONS}
    return cast(Store, _Wrapped(store, befalls, methods, manner))


def firings(wrapped: object) -> list[Firing]:
    """What has befallen the calls of a store that ``wrap`` has wrapped."""
    return fired(vars(wrapped)[_KEPT].state)


def unfired(wrapped: object) -> list[str]:
    """What the plan of a store that ``wrap`` has wrapped has yet to do, a line a rule."""
    return missed(vars(wrapped)[_KEPT].plan, firings(wrapped))


class _Wrapped:
    """Its own names begin with ``_rud_``, since all others are the store's."""

    def __init__(
        self,
        store: object,
        befalls: Callable[[Request], list[Fault]],
        methods: Mapping[str, str],
        manner: Manner,
    ) -> None:
        self._rud_store = store
        self._rud_befalls = befalls
        self._rud_methods = methods
        self._rud_manner = manner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._rud_store, name)
        operation = self._rud_methods.get(name)
        if operation is None:
            return found
        return lambda *given, **named: self._rud_call(operation, found, given, named)

    def _rud_call(
        self, operation: str, method: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        """In the order of ``FaultyServer``: what comes before the call, the call, and what comes after it."""
        faults = self._rud_befalls(_request(operation, self._rud_key_of(given, named)))
        for fault in faults:
            self._rud_before(fault)
        actions = {fault.action for fault in faults}
        if "flip" in actions and operation == "put":
            given = tuple(_flipped(one) for one in given)
            named = {name: _flipped(one) for name, one in named.items()}
        result = method(*given, **named)
        if "lost_reply" in actions:
            raise ConnectionError("it is done, and no answer came (by a fault plan)")
        if "truncate" in actions and operation == "get":
            raise ConnectionError("the answer has ended too early (by a fault plan)")
        return _flipped(result) if "flip" in actions and operation != "put" else result

    def _rud_before(self, fault: Fault) -> None:
        if fault.action == "delay":
            self._rud_manner.sleep(fault.seconds)
        elif fault.action == "never":
            self._rud_manner.sleep(None)
            raise TimeoutError("no answer came (by a fault plan)")
        elif fault.action in _BEFORE:
            raise ConnectionResetError("the connection was reset, nothing is done (by a fault plan)")
        elif fault.action == "status":
            raise self._rud_manner.error(fault.status, fault.code or "")
        elif fault.action == "error_in_200":
            raise self._rud_manner.error(200, fault.code or "")

    def _rud_key_of(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> str:
        name = self._rud_manner.key
        if name is not None and name in named:
            return str(named[name])
        return next((one for one in (*given, *named.values()) if isinstance(one, str)), "")


def _request(operation: str, key: str) -> Request:
    return Request(operation, "", key, None, "", {}, {}, via_proxy=False, began=SystemClock().monotonic())


def _flipped(value: Any) -> Any:
    return flipped(value) if isinstance(value, bytes) else value
