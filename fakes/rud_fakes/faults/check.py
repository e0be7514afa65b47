"""Whether a plan can be obeyed, and every rule of it can fire: else it is refused before anything runs."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from rud._faultpoints import Point
from rud_fakes.faults.actions import ACTIONS
from rud_fakes.faults.plan import SCOPES, Plan, PlanError, Rule
from rud_fakes.faults.points import KNOWN, POINTS, SERVER_POINTS

_ID = re.compile(r"[A-Za-z0-9_-]+")
_EXPECTED = re.compile(r"(>=)?\d+")
_NUMBERS = ("part", "attempt", "bytes", "at")
_FACT_OF = {"key": "key", "entry": "entry"}


def check(plan: Plan) -> Plan:
    """``plan``, when it can be obeyed; ``PlanError`` names the first rule that cannot, why, and the nearest name."""
    seen: set[str] = set()
    for rule in plan.rules:
        if not _ID.fullmatch(rule.id) or rule.id in seen:
            raise PlanError(f"rule {rule.id!r}: an id is of letters, digits, - and _, and of one rule only")
        seen.add(rule.id)
        point = POINTS.get(rule.at)
        if point is None:
            raise PlanError(f"rule {rule.id}: there is no point {rule.at!r}{nearest(rule.at, POINTS)}")
        _check_actions(rule, point)
        _check_filters(rule, point)
        _check_pick(rule, point)
    for name, count in plan.expect.items():
        if name not in seen:
            raise PlanError(f"expect names {name!r}, which is no rule{nearest(name, seen)}")
        if not _EXPECTED.fullmatch(str(count)) or count == ">=0":
            raise PlanError(f'expect of {name}: {count!r} is neither a number nor ">=" and a number above 0')
        (rule,) = (one for one in plan.rules if one.id == name)
        if int(str(count).removeprefix(">=")) > (most := most_firings(rule)):
            raise PlanError(f"expect of {name}: it can never fire {count} times, but at most {most:g}")
    return plan


def most_firings(rule: Rule) -> float:
    """How often a rule can fire, whoever comes by."""
    if rule.once:
        return 1
    if rule.scope != "global":
        return math.inf
    pick = rule.pick
    picked = len(set(pick.nth)) if pick.nth else 1 if pick.byte is not None else math.inf
    return min(picked, math.inf if pick.max is None else pick.max)


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"``, or that there is nothing like it."""
    found = difflib.get_close_matches(name, list(known), 1, 0.4)
    return f"; did you mean {found[0]!r}?" if found else "; rud faults list prints all points"


def _check_actions(rule: Rule, point: Point) -> None:
    if not rule.actions:
        raise PlanError(f"rule {rule.id}: it does nothing; {rule.at} allows {', '.join(point.actions)}")
    for name, value in rule.actions:
        if name not in point.actions:
            raise PlanError(
                f"rule {rule.id}: {rule.at} does not allow {name!r}{nearest(name, point.actions)} "
                f"It allows {', '.join(point.actions)}"
            )
        if not ACTIONS[name].right(value):
            raise PlanError(f"rule {rule.id}: {name} takes {ACTIONS[name].takes}, not {value!r}")


def _check_filters(rule: Rule, point: Point) -> None:
    for fact, glob in rule.where:
        if fact not in point.facts:
            raise PlanError(
                f"rule {rule.id} can never fire: {rule.at} does not tell {fact!r}{nearest(fact, point.facts)} "
                f"It tells {', '.join(point.facts) or 'nothing'}"
            )
        if not glob or glob.count("[") > len(re.findall(r"\[!?\]?[^\]]*\]", glob)):
            raise PlanError(f"rule {rule.id}: {glob!r} is no glob ({fact}): it is empty, or a [ has no ]")
        _check_values(rule, fact, glob)
    if rule.scope not in SCOPES:
        raise PlanError(f"rule {rule.id}: there is no scope {rule.scope!r}{nearest(rule.scope, SCOPES)}")
    if rule.scope in _FACT_OF and rule.scope not in point.facts:
        raise PlanError(f"rule {rule.id}: {rule.at} does not tell the {rule.scope}, so nothing is counted by it")


def _check_values(rule: Rule, fact: str, glob: str) -> None:
    """Whether there can be a fact that the glob lets pass."""
    if fact in _NUMBERS and not re.fullmatch(r"[\d*?\[\]!-]+", glob):
        raise PlanError(f"rule {rule.id} can never fire: {fact} is a number, and never {glob!r}")
    known = KNOWN.get(fact, ()) if rule.at in SERVER_POINTS else ()
    if known and not any(fnmatchcase(one, glob) for one in known):
        found = difflib.get_close_matches(glob, list(known), 1, 0.4)
        hint = f"; did you mean {found[0]!r}?" if found else ""
        raise PlanError(f"rule {rule.id} can never fire: {fact} is never {glob!r}{hint}")


def _check_pick(rule: Rule, point: Point) -> None:
    pick = rule.pick
    if not all(_is_positive(one) for one in pick.nth):
        raise PlanError(f"rule {rule.id} can never fire: nth counts from 1, not {pick.nth}")
    for name in ("every", "byte", "max"):
        value = getattr(pick, name)
        if value is not None and not _is_positive(value):
            raise PlanError(f"rule {rule.id} can never fire: {name} is at least 1, not {value!r}")
    if pick.p is not None and not 0 < pick.p <= 1:
        raise PlanError(f"rule {rule.id} can never fire: p is above 0 and at most 1, not {pick.p!r}")
    if pick.nth and pick.every and not any(one % pick.every == 0 for one in pick.nth):
        raise PlanError(f"rule {rule.id} can never fire: none of {pick.nth} is a multiple of {pick.every}")
    if pick.byte is not None and "bytes" not in point.facts:
        raise PlanError(f"rule {rule.id} can never fire: {rule.at} does not tell a number of bytes")


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
