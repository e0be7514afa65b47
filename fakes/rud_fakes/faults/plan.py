"""A fault plan as values: what shall happen, where, and to which of those who come by. And its JSON form.

A rule fires at a *point* (``at``), for those whom its filters let pass (``where``: a name of a fact, and a glob), and
of them for those that its count picks (``pick``); then it does its ``actions``, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from rud_fakes.faults.actions import Value

SCHEMA = "rud.faults/1"
SCOPES = ("entry", "key", "worker", "owner", "global")


_MORE = ("code", "retry_after")
"""What an action ``status`` takes beside its number."""


class PlanError(ValueError):
    """A plan is wrong; the text names the rule and, where there is one, the nearest right name."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Which of those who come by: the ``nth`` ones (from 1), every ``every``-th, each with the chance ``p``, or the
    first that has reached ``byte`` bytes; at most ``max`` of them in one scope. None of these: everyone.
    """

    nth: tuple[int, ...] = ()
    every: int | None = None
    p: float | None = None
    byte: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """``scope``: what is counted apart. ``once``: fires once over all processes and restarts together."""

    id: str
    at: str
    actions: tuple[tuple[str, Value], ...]
    where: tuple[tuple[str, str], ...] = ()
    pick: Pick = Pick()
    scope: str = "global"
    once: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """``expect``: by a rule's id how often it has to fire, ``1`` or ``">=1"``."""

    rules: tuple[Rule, ...]
    seed: int = 0
    expect: Mapping[str, int | str] = field(default_factory=dict[str, int | str])


def to_json(plan: Plan) -> str:
    """The canonical text: what is at its default is left out."""
    document: dict[str, Any] = {"schema": SCHEMA, "seed": plan.seed, "rules": [_rule_out(one) for one in plan.rules]}
    if plan.expect:
        document["expect"] = {"fired": dict(plan.expect)}
    return json.dumps(document, indent=1, ensure_ascii=False)


def from_json(text: str) -> Plan:
    """The plan of a text; ``PlanError`` for what is none. Whether it can be obeyed, ``check`` says."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PlanError(f"a plan is JSON, and this is none: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise PlanError(f'a plan is an object with "schema": "{SCHEMA}"')
    _only(document, {"schema", "seed", "rules", "expect"}, "the plan")
    expect = document.get("expect", {})
    rules = document.get("rules")
    seed = document.get("seed", 0)
    if not isinstance(rules, list) or not isinstance(seed, int) or not isinstance(expect, dict):
        raise PlanError('"rules" is a list, "seed" a whole number and "expect" an object')
    _only(expect, {"fired"}, "expect")
    return Plan(tuple(_rule_in(one, number) for number, one in enumerate(rules, 1)), seed, expect.get("fired", {}))


def _rule_out(rule: Rule) -> dict[str, Any]:
    when: dict[str, Any] = dict(rule.where)
    for name in ("every", "p", "byte", "max"):
        if (value := getattr(rule.pick, name)) is not None:
            when[name] = value
    if rule.pick.nth:
        when["nth"] = list(rule.pick.nth)
    if rule.scope != "global":
        when["scope"] = rule.scope
    if rule.once:
        when["once"] = True
    do: dict[str, Any] = {}
    for name, value in rule.actions:
        first, *more = value if isinstance(value, tuple) else (value,)
        do |= {name: first, **dict(zip(_MORE, more, strict=False))}
    return {"id": rule.id, "at": rule.at, **({"when": when} if when else {}), "do": do}


def _rule_in(given: Any, number: int) -> Rule:
    if not isinstance(given, dict) or not isinstance(given.get("at"), str) or not isinstance(given.get("do"), dict):
        raise PlanError(f'rule {number} needs "at", the name of a point, and "do", an object of actions')
    name = str(given.get("id", f"r{number}"))
    _only(given, {"id", "at", "when", "do"}, f"rule {name}")
    when = dict(given.get("when", {}))
    nth = when.pop("nth", [])
    pick = Pick(
        tuple([nth] if isinstance(nth, int) else nth),
        *(when.pop(one, None) for one in ("every", "p", "byte", "max")),
    )
    scope, once = when.pop("scope", "global"), bool(when.pop("once", False))
    actions = _actions_in(dict(given["do"]))
    where = tuple((fact, _glob(glob)) for fact, glob in when.items())
    return Rule(name, given["at"], actions, where, pick, scope, once)


def _actions_in(do: dict[str, Any]) -> tuple[tuple[str, Value], ...]:
    names = _MORE if "retry_after" in do else _MORE[:1] if "code" in do else ()
    more = [do.pop(name, "") for name in names]
    found: list[tuple[str, Value]] = []
    for name, value in do.items():
        if name == "status" and more:
            found.append((name, (value, *more)))
        else:
            found.append((name, True if value is None else value))
    return tuple(found)


def _glob(value: Any) -> str:
    """``[1]`` and ``1`` are ``"1"``: a filter compares texts."""
    if isinstance(value, list):
        if len(value) != 1:
            raise PlanError(f"a filter is one glob, not the list {value}; write one rule for each")
        value = value[0]
    return str(value)


def _only(given: Mapping[str, Any], known: set[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise PlanError(f"{what} has {name!r}, which is none of {', '.join(sorted(known))}")


def chance(p: float) -> int:
    """``p`` of all 64-bit numbers, exactly."""
    return int(Fraction(p) * 2**64)
