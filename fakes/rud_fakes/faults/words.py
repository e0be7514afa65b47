"""What a plan would do, in words."""

from __future__ import annotations

from collections.abc import Iterator

from rud_fakes.faults.actions import Value
from rud_fakes.faults.check import most_firings
from rud_fakes.faults.plan import Plan, Rule
from rud_fakes.faults.points import POINTS, SERVER_POINTS

_SCOPES = {
    "entry": "counted for each upload apart",
    "key": "counted for each key apart",
    "worker": "counted in each process apart",
    "owner": "counted in each run apart",
}
_DONE = {
    "errno": "the step fails with {0}",
    "raise": "the step raises {0}",
    "kill": "the process gets {0}",
    "stop": "the process is stopped until somebody sends SIGCONT",
    "exit": "the process ends by sys.exit({0})",
    "_exit": "the process ends at once with status {0}",
    "delay": "nothing happens for {0} s, then it goes on",
    "hang": "it goes no further, for ever",
    "pause": "it waits until the file gate-{0} appears in the state folder",
    "truncate": "only {0} bytes are left of it",
    "flip": "bit {0} of it is wrong",
    "status": "the answer is {0}, and nothing is done",
    "reset": "the connection is reset",
    "stall": "nothing moves for {0} s",
    "trickle": "it moves at {0} bytes a second",
    "lost": "it is carried out, and the connection closed without an answer",
    "duplicate": "the answer is sent twice",
    "error200": "nothing is done, and the answer is 200 with the error {0} inside",
}


def explain(plan: Plan) -> Iterator[str]:
    """A sentence a rule, and what has to have fired."""
    if not plan.rules:
        yield "No rule: nothing fails."
    for rule in plan.rules:
        yield f"{rule.id}: {_when(rule)}: {'; then '.join(_what(rule, *action) for action in rule.actions)}."
        yield f"    It fires {_most(rule)}; the run fails unless it has fired {_wanted(plan, rule)}."
    if any(rule.pick.p is not None for rule in plan.rules):
        yield f"Chances are decided by the seed {plan.seed}: the same seed picks the same ones."


def place(name: str) -> str:
    """Who injects what a rule at this point asks for."""
    return "fault server" if name in SERVER_POINTS else "library"


def _when(rule: Rule) -> str:
    text = f"when {POINTS[rule.at].contract} ({rule.at}, {place(rule.at)})"
    if rule.where:
        text += ", if " + " and ".join(f"{fact} is like {glob!r}" for fact, glob in rule.where)
    return text + "".join(f", {part}" for part in _picked(rule))


def _picked(rule: Rule) -> Iterator[str]:
    pick = rule.pick
    if pick.byte is not None:
        yield f"once {pick.byte} bytes are reached"
    if pick.nth:
        yield f"the {' and '.join(ordinal(n) for n in pick.nth)} time"
    if pick.every is not None:
        yield f"every {ordinal(pick.every)} time"
    if pick.p is not None:
        yield f"with the chance {pick.p:g}"
    if rule.scope in _SCOPES:
        yield _SCOPES[rule.scope]


def _what(rule: Rule, action: str, value: Value) -> str:
    if value is None or value is True:
        if action == "stall":
            return "nothing moves, for ever"
        return _DONE[action].format("SIGKILL") if action == "kill" else _DONE[action]
    if action == "reset":
        return f"the connection is reset when {value} bytes are read"
    if isinstance(value, tuple):
        number, code, *after = value
        value = f"{number} {code}".strip() + (f" with Retry-After: {after[0]}" if after else "")
    if action in ("truncate", "flip") and rule.at in SERVER_POINTS:
        return f"the answer ends after {value} bytes" if action == "truncate" else "one bit in its middle is wrong"
    return _DONE[action].format(value)


def _most(rule: Rule) -> str:
    if rule.once:
        return "once, over all processes and restarts"
    if rule.pick.max is not None and rule.scope != "global":
        return f"at most {times(rule.pick.max)} in each"
    most = most_firings(rule)
    return "each time" if most == float("inf") else f"at most {times(int(most))}"


def _wanted(plan: Plan, rule: Rule) -> str:
    count = str(plan.expect.get(rule.id, ">=1"))
    if not count.startswith(">="):
        return f"exactly {times(int(count))}"
    return f"at least {times(int(count.removeprefix('>=')))}"


def times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def ordinal(n: int) -> str:
    """``1st``, ``2nd``, ``11th``."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
