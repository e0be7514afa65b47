"""A plan that makes something fail, made as small as it still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rud_fakes.faults.plan import Plan, Rule


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The least plan that ``fails`` is still true of: rules first, by halves and then one by one, then their counts.

    ``fails`` is true of ``plan``, and is asked of no plan without rules.
    """
    plan = _fewer_rules(plan, fails)
    progress = True
    while progress:
        progress = False
        for smaller in _simpler(plan):
            if fails(smaller):
                plan, progress = smaller, True
                break
    return plan


def _fewer_rules(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    size = len(plan.rules) // 2
    while size >= 1:
        for start in range(0, len(plan.rules), size):
            left = plan.rules[:start] + plan.rules[start + size :]
            if left and fails(_with(plan, left)):
                plan = _with(plan, left)
                break
        else:
            size //= 2
    return plan


def _simpler(plan: Plan) -> Iterator[Plan]:
    for at, rule in enumerate(plan.rules):
        for simpler in _simpler_rule(rule):
            yield _with(plan, (*plan.rules[:at], simpler, *plan.rules[at + 1 :]))


def _simpler_rule(rule: Rule) -> Iterator[Rule]:
    pick = rule.pick
    if len(rule.actions) > 1:
        yield from (
            replace(rule, actions=rule.actions[:at] + rule.actions[at + 1 :]) for at in range(len(rule.actions))
        )
    if len(pick.nth) > 1:
        yield from (
            replace(rule, pick=replace(pick, nth=pick.nth[:at] + pick.nth[at + 1 :])) for at in range(len(pick.nth))
        )
    elif pick.nth and pick.nth[0] > 1:
        yield from (replace(rule, pick=replace(pick, nth=(n,))) for n in {1, pick.nth[0] // 2, pick.nth[0] - 1})
    if pick.max is None:
        yield replace(rule, pick=replace(pick, max=1))
    elif pick.max > 1:
        yield from (replace(rule, pick=replace(pick, max=n)) for n in {1, pick.max // 2, pick.max - 1})


def _with(plan: Plan, rules: tuple[Rule, ...]) -> Plan:
    ids = {rule.id for rule in rules}
    return replace(plan, rules=rules, expect={name: count for name, count in plan.expect.items() if name in ids})
