"""The suite on Composer's stores: run, keep what became of each case, and write the page that tells it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rud_conformance.registry import case_of, cases
from rud_conformance.report import from_json_lines, json_line
from rud_conformance.run import Run
from rud_conformance.verdict import Result, Verdict

from benchmarks.composer.stores_defects import DEFECTS, Defect, looks

LIMIT = 20.0
"""Seconds for one case: their stores go on trying for longer."""
LISTED = ("N01", "L01", "L12", "S13", "M01", "Q01")
"""Cases that the prefix in listed names befalls, tried also without mending it."""
SUBJECTS: dict[str, tuple[str, Sequence[str]]] = {
    "S3": ("OnS3", ()),
    "GCS": ("OnGCS", ()),
    "S3, as it is": ("OnS3AsItIs", LISTED),
    "GCS, as it is": ("OnGCSAsItIs", LISTED),
}
"""By the name in the page: the harness, and the cases, by default all of the profile ``quick``."""
_VARYING = (
    (re.compile(r"rud-conf-[0-9a-f]{10}/\d+"), "SCOPE"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://SERVER"),
    (re.compile(r"\S*/composer-store-\w+/"), ""),
)


def run(results: Path, page: Path, say: Callable[[str], None]) -> int:
    """All of it, some fifteen minutes; 0."""
    results.unlink(missing_ok=True)
    for subject, (harness, chosen) in SUBJECTS.items():
        one = Run(f"benchmarks.composer.stores_harness:{harness}", "quick", shrink=False, limit=LIMIT)
        try:
            for result in one.results([case_of(name) for name in chosen] or cases("quick")):
                say(f"{subject}: {result.case} {result.verdict.value}")
                _append(results, json_line(result, subject, "quick"))
        finally:
            one.harness.close()
    _append(results, json.dumps({"looks": looks()}))
    return write(results, page)


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def write(results: Path, page: Path) -> int:
    """The page from the results; 0."""
    *lines, last = results.read_text(encoding="utf-8").splitlines()
    found = from_json_lines("\n".join(lines))
    seen: list[str] = json.loads(last)["looks"]
    parts = [_HEAD, *_defects(found, seen), _NOT_TRIED, *_verdicts(found), *_failures(found)]
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return 0


def _defects(found: dict[str, list[Result]], seen: list[str]) -> list[str]:
    lines = ["| store | defect | cases that fail by it | by itself |", "| --- | --- | --- | --- |"]
    for one, look in zip(DEFECTS, seen, strict=True):
        lines.append(f"| {one.store} | {one.words} | {_failing(one, found)} | {_cell(look)} |")
    return lines


def _failing(defect: Defect, found: dict[str, list[Result]]) -> str:
    verdicts = {result.case: result.verdict for result in found[defect.harness or defect.store]}
    failing = [name for name in defect.cases if verdicts.get(name) is Verdict.FAIL]
    return ", ".join(failing) or f"none: {defect.why_none}"


def _verdicts(found: dict[str, list[Result]]) -> list[str]:
    kinds = list(Verdict)
    lines = [
        "## The whole run",
        "",
        f"| store | {' | '.join(kind.value for kind in kinds)} |",
        "| --- |" + " --- |" * 6,
    ]
    for subject, results in found.items():
        counts = Counter(result.verdict for result in results)
        lines.append(f"| {subject} | {' | '.join(str(counts[kind]) for kind in kinds)} |")
    return [*lines, ""]


def _failures(found: dict[str, list[Result]]) -> list[str]:
    lines = ["What failed, by case: the first thing that was wrong in it.", "", "| case | property | store | seen |"]
    lines.append("| --- | --- | --- | --- |")
    for one in cases("quick"):
        for subject, results in found.items():
            lines += [
                f"| {one.id} | {_cell(one.property)} | {subject} | {_cell(result.reason)} |"
                for result in results
                if result.case == one.id and result.verdict is Verdict.FAIL
            ]
    return lines


def _cell(text: str) -> str:
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    text = " ".join(text.split())
    return (text if len(text) <= 160 else f"{text[:157]}…").replace("|", "\\|").replace("<", "&lt;")


_HEAD = """# The suite on Composer's own stores

Made by `python -m benchmarks.composer stores`: `composer.utils.S3ObjectStore` and `GCSObjectStore` of mosaicml 0.32.1,
behind an adapter that adds nothing (`benchmarks/composer/stores.py`), on the faulty servers of `rud_fakes`, profile
`quick`, 20 s a case. Their SDKs try once (S3) or for half a second (Cloud Storage), so that what is seen is what one
answer leads to. The adapter cuts the prefix off listed names, which would make most other cases fail by that alone; "as
it is" it does not.

## Known defects

Of Composer's stores these are known from reading and from measuring. Which cases of the suite fail by each, and what it
looks like by itself, one call on a server of its own:
"""
_NOT_TRIED = """
Not tried: what the uploader makes of a store (a worker that crashes when it may only write:
[differences](differences.md)); the stores for OCI, libcloud, SFTP, MLflow and Unity Catalog; the closed table of
schemes. That a 504 becomes a `ValueError` is written in the store, and not seen: the SDK of today (3.17) raises its own
`RetryError` first, which is not classed either. That the body of the GET by which a size is asked is never closed shows
in no answer.
"""
