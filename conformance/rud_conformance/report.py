"""What is told of a run: on the console, as JSON lines, as a matrix in Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from rud_conformance.registry import GROUPS, Profile, case_of, cases
from rud_conformance.run import FLOORS
from rud_conformance.verdict import Result, Verdict

GREEN, BACKEND_FAILS, HARNESS_FAILS, NOT_EXECUTED = 0, 1, 2, 3
"""Exit codes."""
_MARKS = {
    Verdict.PASS: "yes",
    Verdict.REFUSED: "refused",
    Verdict.FAIL: "**FAILS**",
    Verdict.QUIRK: "quirk",
    Verdict.NOT_OFFERED: "–",
    Verdict.INCONCLUSIVE: "?",
    Verdict.ERROR: "harness",
}


def exit_code(results: Sequence[Result], profile: Profile, require: Iterable[str] = ()) -> int:
    """0: green; 1: the backend fails; 2: the harness or the store is to blame; 3: too few cases were executed, or one
    that is required (by its id, or by what it needs) was not."""
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return BACKEND_FAILS
    if verdicts & {Verdict.ERROR, Verdict.INCONCLUSIVE}:
        return HARNESS_FAILS
    return NOT_EXECUTED if missing(results, profile, require) else GREEN


def missing(results: Sequence[Result], profile: Profile, require: Iterable[str] = ()) -> list[str]:
    """Why the run proves too little, a sentence each."""
    executed = sum(result.executed for result in results)
    found = []
    if executed < FLOORS[profile]:
        found.append(f"only {executed} cases were executed; {profile} asks for at least {FLOORS[profile]}")
    for wanted in require:
        mine = [one for one in results if wanted == one.case or wanted in case_of(one.case).needs]
        if not mine:
            found.append(f"{wanted} is required, and no case that was run is or needs it")
        found += [
            f"{one.case} is required, and ended as {one.verdict.value}: {one.reason}"
            for one in mine
            if one.verdict is not Verdict.PASS
        ]
    return found


def console(results: Sequence[Result], profile: Profile, require: Iterable[str] = ()) -> str:
    """A line for each group, then everything that is not simply good."""
    counts: dict[str, Counter[Verdict]] = {group: Counter() for group in GROUPS.values()}
    for result in results:
        counts[case_of(result.case).group][result.verdict] += 1
    lines = [
        f"{group:26} " + ", ".join(f"{count} {verdict.value}" for verdict, count in counts[group].items())
        for group in counts
        if counts[group]
    ]
    for result in results:
        if result.verdict is not Verdict.PASS:
            lines.append(f"{result.case} {result.verdict.value}: {result.reason}")
        if result.verdict is Verdict.FAIL:
            lines += [f"  {case_of(result.case).property}", *(f"  | {line}" for line in result.script.splitlines())]
        lines += [f"{result.case}: {note}" for note in result.notes]
    lines += missing(results, profile, require)
    total = Counter(result.verdict.value for result in results)
    troubles = sum(result.troubles for result in results)
    lines.append(", ".join(f"{count} {name}" for name, count in total.items()) + f"; {troubles} planned troubles met")
    return "\n".join(lines)


def json_line(result: Result, backend: str, profile: Profile) -> str:
    """One result, as a line that ``matrix`` can read."""
    import rud

    facts = {**asdict(result), "verdict": result.verdict.value, "seconds": round(result.seconds, 3)}
    return json.dumps({"backend": backend, "profile": profile, "version": rud.__version__, **facts})


def from_json_lines(text: str) -> dict[str, list[Result]]:
    """Results by backend."""
    found: dict[str, list[Result]] = {}
    for line in filter(None, text.splitlines()):
        facts = json.loads(line)
        backend = facts.pop("backend")
        for name in ("profile", "version"):
            del facts[name]
        facts["verdict"] = Verdict(facts["verdict"])
        facts["notes"] = tuple(facts["notes"])
        found.setdefault(backend, []).append(Result(**facts))
    return found


def matrix(by_backend: Mapping[str, Sequence[Result]]) -> str:
    """Markdown: a row for each case, a column for each backend; below it, why a mark is no "yes"."""
    columns = {name: {result.case: result for result in results} for name, results in by_backend.items()}
    lines = [f"| case | property | {' | '.join(columns)} |", f"| --- | --- |{' --- |' * len(columns)}"]
    reasons: dict[str, list[str]] = {}
    for one in cases():
        if not any(one.id in column for column in columns.values()):
            continue
        marks = [_mark(column.get(one.id)) for column in columns.values()]
        lines.append(f"| {one.id} | {_cell(one.property)} | {' | '.join(marks)} |")
        for name, column in columns.items():
            result = column.get(one.id)
            if result is not None and result.verdict is not Verdict.PASS:
                reasons.setdefault(f"{name}: {result.verdict.value}: {result.reason}", []).append(one.id)
    lines += ["", *(f"- {reason} ({', '.join(ids)})" for reason, ids in sorted(reasons.items()))]
    return "\n".join(lines) + "\n"


def _mark(result: Result | None) -> str:
    return "" if result is None else _MARKS[result.verdict]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def registry_page() -> str:
    """Markdown: every case, what it needs, and which mutants prove that it can fail."""
    from rud_conformance.mutants import mutants

    proven: dict[str, list[str]] = {}
    for mutant in mutants():
        for killer in mutant.killers:
            proven.setdefault(killer, []).append(mutant.id)
    lines = [_HEAD.format(cases=len(cases()), mutants=len(mutants()))]
    for group in GROUPS.values():
        lines += [f"## {group.capitalize()}", "", "| case | property | needs | profile | mutants |", "|" + " --- |" * 5]
        lines += [
            f"| {one.id} | {_cell(one.property)} | {', '.join(one.needs)} | {one.profile} | "
            f"{', '.join(proven.get(one.id, []))} |"
            for one in cases()
            if one.group == group
        ]
        lines.append("")
    lines += ["## Mutants", "", "| mutant | the mistake | killed by |", "| --- | --- | --- |"]
    lines += [f"| {one.id} | {_cell(one.bug)} | {', '.join(one.killers)} |" for one in mutants()]
    return "\n".join(lines) + "\n"


_HEAD = """# The cases of the conformance suite

Made by `python -m rud_conformance.report` from the registry that the suite runs: {cases} cases, {mutants} mutants.

`needs`: a capability of the backend (`rud.store.Capabilities`) or a means of the harness
(`rud_conformance.harness.Harness`). A case that needs a capability which is declared a "no" tests that it is refused,
where that can be seen. `profile`: the smallest that has it; `quick` has all of `smoke`, `full` all of `quick`.
"""

if __name__ == "__main__":
    import sys

    sys.stdout.write(registry_page())
