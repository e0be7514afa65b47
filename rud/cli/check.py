"""``rud check``: whether a store can be used from here, and if not, what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, backend_kwargs, new_command
from rud.cli.folders import left_as_found
from rud.cli.screen import printable

if TYPE_CHECKING:
    from rud._object_store import ObjectStore
    from rud._registry import StoreSpec
    from rud.cli import Subparsers
    from rud.cli.trial import Step

_PUBLIC_PARTS = frozenset({"scheme", "bucket", "prefix"})


def add(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "check",
        "whether a store can be used from here",
        "Says which store it is and where its credentials were found; then writes a small object of a random name, "
        "reads it back, looks at it, lists it and removes it again. Each step has its time and its verdict, each "
        "failure a sentence on what to do.",
    )
    parser.add_argument("uri", metavar="URI", help="the store, such as s3://bucket/prefix")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Any) -> int:
    from rud._clock import SystemClock, new_random
    from rud._registry import resolve
    from rud.cli.trial import Trial

    spec = resolve(args.uri, backend_kwargs(args))
    secrets = spec.secrets

    def show(text: str) -> None:
        if not args.json:
            args.screen.clear()
            print(printable(without(secrets, text)), flush=True)

    facts = _facts(spec)
    for line in _lines(facts):
        show(line)
    said: set[str] = set()
    trial = Trial(SystemClock(), new_random(), spec.uri, lambda step: show(_row(step, said)))
    opened: list[ObjectStore] = []
    trial.step("open", lambda: _open(spec, facts, opened, show))
    if opened:
        with opened[0] as store, left_as_found(spec):
            trial.run(store)
    steps = [_step_facts(step, secrets) for step in trial.steps]
    return exits.finish(args, _code(trial.steps), _summary(trial.steps), **facts, steps=steps, left=trial.left)


def without(secrets: tuple[str, ...], text: str) -> str:
    """``text`` with every secret blotted out."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _facts(spec: StoreSpec) -> dict[str, Any]:
    public = {name: value for name, value in spec.destination.items() if name not in _PUBLIC_PARTS}
    hidden = [name for name in spec.names_of_arguments if name not in public]
    return {"uri": spec.uri, "store": spec.backend, "arguments": public, "not_shown": hidden, "credentials": None}


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"{facts['uri']}, served by {facts['store']}"]
    lines += [f"  {name}: {value}" for name, value in facts["arguments"].items()]
    return [*lines, *(f"  {name}: given, not shown" for name in facts["not_shown"])]


def _open(spec: StoreSpec, facts: dict[str, Any], opened: list[ObjectStore], show: Callable[[str], object]) -> str:
    from rud._object_store import ObjectStore

    store = ObjectStore(spec.open())
    opened.append(store)
    with store.calling("open", "") as backend:
        found = getattr(backend, "credentials_from", None)
        facts["credentials"] = "this store does not say that it needs any" if found is None else str(found())
    show(f"  credentials: {facts['credentials']}")
    return ""


def _row(step: Step, said: set[str]) -> str:
    """The line of a step, and one for what to do about it; what was ``said`` before is not said again."""
    time = "" if step.milliseconds is None else f"{step.milliseconds:.1f} ms"
    wrong = bool(step.code)
    text = "as above" if wrong and step.text in said else step.text
    row = f"  {step.name:7}{time:>11}  {step.verdict}{': ' if text else ''}{text}"
    if step.advice and step.advice not in said:
        row += f"\n{'':22}{step.advice}"
    if wrong:
        said |= {step.text, step.advice}
    return row


def _step_facts(step: Step, secrets: tuple[str, ...]) -> dict[str, object]:
    time = None if step.milliseconds is None else round(step.milliseconds, 3)
    words = {name: without(secrets, getattr(step, name)) for name in ("text", "advice")}
    return {"step": step.name, "verdict": step.verdict, "milliseconds": time, **words, "exit": step.code}


def _code(steps: list[Step]) -> int:
    """The worst: what is refused for good counts more than what may pass."""
    return max(step.code for step in steps)


def _summary(steps: list[Step]) -> str:
    by_verdict: dict[str, list[str]] = {}
    for step in steps:
        by_verdict.setdefault(step.verdict, []).append(step.name)
    words = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in by_verdict.items() if verdict != "ok")
    if _code(steps):
        works = f"; ok: {', '.join(by_verdict['ok'])}" if "ok" in by_verdict else ""
        return f"NOT OK: {words}{works}"
    return "OK: it can be written, read, listed and cleaned up" + (f" ({words})" if words else "")
