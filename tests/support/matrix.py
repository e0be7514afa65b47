"""``docs/conformance-matrix.md``, from what ``--rud-json`` has written: ``python -m tests.support.matrix FILE``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rud_conformance.quirks import MOTO, VERSITYGW, Quirk
from rud_conformance.registry import GROUPS, Case, cases
from rud_conformance.report import from_json_lines
from rud_conformance.verdict import Result, Verdict

PAIRS: dict[str, tuple[str, tuple[Quirk, ...]]] = {
    "Memory": ("memory", ()),
    "Folder": ("folder", ()),
    "Wired": ("wired", ()),
    "FakeS3": ("S3, faulty server", ()),
    "S3OnMoto": ("S3, moto", MOTO),
    "S3OnVersitygw": ("S3, versitygw", VERSITYGW),
    "FakeGCS": ("GCS, faulty server", ()),
    "GCSOnFakeGcsServer": ("GCS, fake-gcs-server", ()),
    "GCSByHmac": ("GCS by HMAC, faulty S3 server", ()),
}
"""Names of harnesses, without ``AtRoot``: the head of the column, and what its server is known to get wrong."""

Runs = Mapping[str, Sequence[Result]]

_HEAD = """# Which backend keeps the contract where

Made from the runs of `.ci/full` by `python -m tests.support.matrix`: {cases} cases on {pairs} pairs of a backend and a
server, below a prefix and, but for the folder and the HMAC key, at the root of a bucket; where
the two differ, both are told, in this order. What each case asks is in [the list of cases](conformance-cases.md).

| mark | meaning |
| --- | --- |
| yes | the property held for everything that was tried |
| refused | the backend declares a "no", and was seen to refuse in words before any request |
| – | not offered: a capability is declared a "no", or the harness has no means there; why is told below |
| quirk | it fails because of a defect of the server, which is named below and probed by a test |
| **FAILS** | it fails |
| not run | the case is only in the profile `full`, which takes too long on a server |
| ? | inconclusive, or an error in the harness |

`wired` is the small backend in memory from which the mutants derive.

"""


def page(runs: Runs) -> str:
    """``runs``: results by the name of the harness."""
    columns = {pair: _both(runs, pair) for pair in PAIRS}
    heads = [head for head, _ in PAIRS.values()]
    lines = [_HEAD.format(cases=len(cases()), pairs=len(PAIRS))]
    for group in GROUPS.values():
        lines += [f"## {group.capitalize()}\n", f"| case | {' | '.join(heads)} |", "|" + " --- |" * (len(heads) + 1)]
        lines += [_row(case, columns) for case in cases() if case.group == group]
        lines.append("")
    return "\n".join([*lines, *_quirks(), *_why(columns)]) + "\n"


def _both(runs: Runs, pair: str) -> list[dict[str, Result]]:
    """Below a prefix, then at the root."""
    found = {name.rpartition(":")[2]: results for name, results in runs.items()}
    return [{one.case: one for one in found[name]} for name in (pair, f"{pair}AtRoot") if name in found]


def _row(case: Case, columns: Mapping[str, list[dict[str, Result]]]) -> str:
    cells = [
        " / ".join(dict.fromkeys(_mark(run.get(case.id), PAIRS[pair][1]) for run in runs))
        for pair, runs in columns.items()
    ]
    return f"| {case.id} | {' | '.join(cells)} |"


def _mark(result: Result | None, quirks: tuple[Quirk, ...]) -> str:
    if result is None:
        return "not run"
    if result.verdict is Verdict.FAIL:
        return "quirk" if any(result.case in quirk.cases for quirk in quirks) else "**FAILS**"
    marks = {Verdict.PASS: "yes", Verdict.REFUSED: "refused", Verdict.NOT_OFFERED: "–"}
    return marks.get(result.verdict, "?")


def _quirks() -> list[str]:
    lines = ["## Quirks of servers", "", "| quirk | server | the defect | request | answer | instead of | cases |"]
    lines.append("|" + " --- |" * 7)
    lines += [
        f"| {one.id} | {one.server} | {one.defect} | `{one.request}` | {one.answer} | {one.instead} | "
        f"{', '.join(one.cases)} |"
        for one in (*VERSITYGW, *MOTO)
    ]
    return [*lines, ""]


def _why(columns: Mapping[str, list[dict[str, Result]]]) -> list[str]:
    lines = ["## What is not offered, and why", ""]
    for pair, runs in columns.items():
        reasons: dict[str, list[str]] = {}
        found = [run[case.id] for run in runs[:1] for case in cases() if case.id in run]
        for result in found:
            if result.verdict is Verdict.NOT_OFFERED:
                reasons.setdefault(result.reason, []).append(result.case)
        lines += [f"- {PAIRS[pair][0]}: {why} ({', '.join(ids)})" for why, ids in reasons.items()]
    return lines


if __name__ == "__main__":
    sys.stdout.write(page(from_json_lines("".join(Path(path).read_text("utf-8") for path in sys.argv[1:]))))
