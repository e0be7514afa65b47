"""The one-line form of a plan, for command lines: ``point[fact=glob]#nth%every~p@byte*max = action(args)``.

Rules are joined by ``;``. Before a point may stand the rule's id and a colon; ``scope`` and ``once`` stand among the
filters; several actions are joined by ``+``. ``seed(7)`` and ``expect(k1=1, k2=>=1)`` are segments of their own. What
would be misread is written as a JSON string.
"""

from __future__ import annotations

import json
import re

from rud_fakes.faults.actions import Value
from rud_fakes.faults.plan import Pick, Plan, PlanError, Rule

_STRING = r'"(?:\\.|[^"\\])*"'
_SEGMENT = re.compile(rf'(?:{_STRING}|[^;"])+')
_RULE = re.compile(
    rf"(?:(?P<id>[\w-]+)\s*:)?\s*(?P<at>[\w.]+)\s*(?:\[(?P<where>(?:{_STRING}|[^\]\"])*)\])?"
    r"(?P<pick>(?:\s*[#%~@*][\d.,e+-]+)*)\s*=\s*(?P<do>.+)",
    re.DOTALL,
)
_PICK = re.compile(r"([#%~@*])([\d.,e+-]+)")
_PAIR = re.compile(rf"\s*(\w+)\s*=\s*({_STRING}|[^,\"]*)(?:,|$)")
_ACTION = re.compile(rf"\s*(\w+)\s*(?:\(((?:{_STRING}|[^)\"])*)\))?\s*(?:\+|$)")
_ARGUMENT = re.compile(rf"\s*({_STRING}|[^,\"]*?)\s*(?:,|$)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_NAMES = {"#": "nth", "%": "every", "~": "p", "@": "byte", "*": "max"}


def format_line(plan: Plan) -> str:
    """The plan in one line; ``parse_line`` of it is the plan again."""
    parts = [f"seed({plan.seed})"] if plan.seed else []
    parts += [_rule_out(rule, number) for number, rule in enumerate(plan.rules, 1)]
    if plan.expect:
        parts.append(f"expect({', '.join(f'{name}={count}' for name, count in plan.expect.items())})")
    return "; ".join(parts)


def parse_line(text: str) -> Plan:
    """The plan of a line; ``PlanError`` names the rule that cannot be read."""
    seed, expect, rules = 0, dict[str, int | str](), list[Rule]()
    for segment in map(str.strip, _SEGMENT.findall(text)):
        if found := re.fullmatch(r"seed\((-?\d+)\)", segment):
            seed = int(found[1])
        elif found := re.fullmatch(r"expect\((.*)\)", segment):
            for one in found[1].split(","):
                name, _, count = one.strip().partition("=")
                expect[name] = int(count) if count.isdigit() else count
        elif segment:
            rules.append(_rule_in(segment, len(rules) + 1))
    return Plan(tuple(rules), seed, expect)


def _rule_out(rule: Rule, number: int) -> str:
    where = [f"{name}={_quoted(glob, ',];[')}" for name, glob in rule.where]
    where += [f"scope={rule.scope}"] if rule.scope != "global" else []
    where += ["once=1"] if rule.once else []
    pick = "#" + ",".join(map(str, rule.pick.nth)) if rule.pick.nth else ""
    for sign, name in list(_NAMES.items())[1:]:
        if (value := getattr(rule.pick, name)) is not None:
            pick += f"{sign}{value!r}"
    label = "" if rule.id == f"r{number}" else f"{rule.id}: "
    filters = f"[{','.join(where)}]" if where else ""
    return f"{label}{rule.at}{filters}{pick}={'+'.join(map(_action_out, rule.actions))}"


def _action_out(action: tuple[str, Value]) -> str:
    name, value = action
    if value is True:
        return name
    values = value if isinstance(value, tuple) else (value,)
    return f"{name}({','.join(_quoted(one, ',();+') if isinstance(one, str) else repr(one) for one in values)})"


def _quoted(text: str, special: str) -> str:
    plain = text and text == text.strip() and not set(text) & set(special + '"\\') and not _NUMBER.fullmatch(text)
    return text if plain and text.isprintable() else json.dumps(text)


def _rule_in(segment: str, number: int) -> Rule:
    found = _RULE.fullmatch(segment)
    if found is None:
        raise PlanError(f"rule {number} ({segment!r}) is not of the form point[fact=glob]#nth = action(arguments)")
    where = dict(_pairs(found["where"] or "", segment))
    scope, once = where.pop("scope", "global"), where.pop("once", "0") not in ("0", "")
    given: dict[str, str] = {_NAMES[sign]: value for sign, value in _PICK.findall(found["pick"])}
    try:
        pick = Pick(
            tuple(int(one) for one in given.get("nth", "").split(",") if one),
            _whole(given, "every"),
            float(given["p"]) if "p" in given else None,
            _whole(given, "byte"),
            _whole(given, "max"),
        )
    except ValueError as error:
        raise PlanError(f"rule {number} ({segment!r}) has a count that is no number: {error}") from error
    return Rule(
        found["id"] or f"r{number}", found["at"], _actions(found["do"]), tuple(where.items()), pick, scope, once
    )


def _whole(given: dict[str, str], name: str) -> int | None:
    return int(given[name]) if name in given else None


def _pairs(text: str, segment: str) -> list[tuple[str, str]]:
    at, found = 0, list[tuple[str, str]]()
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None:
            raise PlanError(f"{segment!r} has filters that are not of the form fact=glob: {text[at:]!r}")
        found.append((pair[1], str(_value(pair[2].strip(), numbers=False))))
        at = pair.end()
    return found


def _actions(text: str) -> tuple[tuple[str, Value], ...]:
    at, found = 0, list[tuple[str, Value]]()
    while at < len(text):
        action = _ACTION.match(text, at)
        if action is None:
            raise PlanError(f"{text[at:]!r} is no action; one is written name or name(arguments)")
        found.append((action[1], _arguments(action[2])))
        at = action.end()
    return tuple(found)


def _arguments(text: str | None) -> Value:
    if not text:
        return True
    at, values = 0, list[int | float | str]()
    while at < len(text) and (found := _ARGUMENT.match(text, at)):
        values.append(_value(found[1], numbers=True))
        at = found.end()
    if at < len(text) or not values:
        raise PlanError(f"{text[at:]!r} is no list of arguments")
    return values[0] if len(values) == 1 else tuple(values)


def _value(text: str, *, numbers: bool) -> int | float | str:
    if text.startswith('"'):
        return str(json.loads(text))
    if numbers and _NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".e") else int(text)
    return text
