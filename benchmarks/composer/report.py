"""The page ``docs/benchmarks.md`` and its chart, from the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.composer.cells import Row, cell, number, ratio, table
from benchmarks.composer.chart import draw
from benchmarks.composer.figures import COMPOSER, RUD, Figures, Reached, Results, Value, lost
from benchmarks.composer.peers import NOT_HERE
from benchmarks.composer.running import WORKS

_KINDS = list(dict.fromkeys(work.name for work in WORKS))
_COPYING = "rud, default staging"
_DISTURBED = """
**These figures were taken on a machine that was busy with other work, and do not count.** Run it again on a quiet one.
"""
_CLASSES = (COMPOSER, RUD, _COPYING)


def write(results: Path, documents: Path) -> int:
    """1 when a figure is missed, or could not be told."""
    found = Results(json.loads(results.read_text(encoding="utf-8")))
    reached = found.goals()
    documents.mkdir(exist_ok=True)
    draw(reached, documents / "benchmarks.svg")
    sections = [
        _head(found),
        _goals(reached),
        _calls(found),
        _storms(found),
        _loops(found),
        _peers(found),
        _real(found),
    ]
    (documents / "benchmarks.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    for one in reached:
        print(*_goal(one), sep="  ")
    return 0 if all(one.ok for one in reached) else 1


def _head(found: Results) -> str:
    machine, versions = found.found["machine"], found.found["versions"]
    others = Value.of([100 * row["others"] for row in found.found["sessions"] if "others" in row])
    disturbed = _DISTURBED if others and others.median > 10 else ""
    return f"""\
# Benchmarks
{disturbed}
<!-- Written by `python -m benchmarks.composer report` from benchmarks/results/composer.json: change that, not this. -->

The same work through Composer's `RemoteUploaderDownloader` and through ours, in one run, and what else sends files.

![Composer and rud side by side, on a logarithmic scale](benchmarks.svg)

**Machine.** {machine["processors"]} processors, {machine["system"]}, {machine["file system"]}, loopback only, CPython
{machine["python"]}, {machine["when"][:10]}. mosaicml {versions["mosaicml"]} with torch {versions["torch"]}, boto3
{versions["boto3"]}, obstore {versions["obstore"]}, numpy {versions["numpy"]}; rud {versions["rud-uploader"]} at
`{found.found["rud commit"]}`.

**Method.** Both classes run in one interpreter version with one boto3, are given the same arguments (`rud` also
`staging_mode="link"`, where not said otherwise), and are driven by the calls that a `Trainer` makes. The server is a
small program that takes S3 requests, drops the bodies in the kernel, and notes when each object becomes visible; it
looks at no signature or checksum, so what is measured is the client. A session is one life of one uploader in a fresh
process; the classes take turns, and each session waits until the processors are less than 15 % busy. There
were {found.found["rounds"]} rounds; a cell is the median over them of the session's median, with the lowest and the
highest. Processor time is of the process and its workers. Others had {cell(others)} % of the processors during a
session. Yes and no, and ratios, carry over to
other machines; times do not."""


def _goals(reached: list[Reached]) -> str:
    heads = ("work", "workers", "to reach", "Composer", "rud", "ratio", "reached")
    return f"""\
## Figures to reach

{table(heads, map(_goal, reached))}"""


def _goal(one: Reached) -> Row:
    verdict = {True: "yes", False: "**no**", None: "not measured"}[one.ok]
    of_peer = ratio(one.ratio) if one.goal.peer else "–"
    theirs, ours = cell(one.theirs, one.goal.unit), cell(one.ours, one.goal.unit)
    return (one.goal.work, one.goal.kind, one.goal.said, theirs, ours, of_peer, verdict)


def _middle(name: str) -> Callable[[Figures], float]:
    return lambda figures: median(figures[name])


def _plain(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name]


def _calls(found: Results) -> str:
    columns: dict[str, Callable[[Figures], float]] = {
        "call, 10 KB, ms": _middle("idle call ms"),
        "call, 1 GiB, ms": _middle("huge call ms"),
        "accepted → visible, ms": _middle("latency ms"),
        "worst, ms": lambda figures: max(figures["latency ms"]),
        "`init` → first stored, s": _plain("first stored s"),
        "processor for that, s": _plain("start cpu s"),
        "last stored → closed, s": _plain("stored to closed s"),
    }
    rows = list(_rows(found, columns))
    copies = [cell(found.peer("call", f"shutil.copy2 of {name}, ms")) for name in ("small", "huge")]
    rows.append(("–", "`shutil.copy2`", *copies, *["–"] * (len(columns) - 2)))
    return f"""\
## Calls, start, close

Idle uploader, one upload at a time, from a loop that computes in between; `init` in a program that has imported what
the class needs. Composer's workers import Composer again, each.

{table(("workers", "class", *columns), rows)}"""


def _rows(found: Results, columns: dict[str, Callable[[Figures], float]]) -> Iterator[Row]:
    for kind in _KINDS:
        for who in _CLASSES:
            values = [found.value(who, kind, measure) for measure in columns.values()]
            if any(values):
                yield (kind, who, *map(cell, values))


def _storms(found: Results) -> str:
    return f"""\
## Many small files, few large ones

The workers are ready before. *Visible then* is how many of the files were visible when the wait (`fit_end`) returned.

### 2,000 × 10 KB

{_storm(found, "small", 2000)}

### 4 × 512 MiB

{_storm(found, "large", 4)}"""


def _storm(found: Results, work: str, count: int) -> str:
    columns: dict[str, Callable[[Figures], float]] = {
        "all visible, s": _plain(f"{work} all visible s"),
        "caller held, s": _plain(f"{work} caller held s"),
        "call, median, ms": lambda figures: figures[f"{work} call ms"]["median"],
        "worst, ms": lambda figures: figures[f"{work} call ms"]["worst"],
        "wait returned, s": _plain(f"{work} wait returned s"),
        f"visible then, of {count:,}": _plain(f"{work} visible when wait returned"),
        "processor: caller, s": lambda figures: figures[f"{work} cpu s"]["caller"],
        "workers, s": lambda figures: figures[f"{work} cpu s"]["workers"],
    }
    return table(("workers", "class", *columns), _rows(found, columns))


def _loops(found: Results) -> str:
    columns: dict[str, Callable[[Figures], float]] = {
        "alone, steps/s": lambda figures: figures["loop, none"]["steps a second"],
        "idle uploader, steps/s": lambda figures: figures["loop, idle"]["steps a second"],
        "512 MiB every 2 s, steps/s": lambda figures: figures["loop, large"]["steps a second"],
        "lost, %": lost,
        "inside `upload_file`, % of the time": lambda figures: 100 * figures["loop, large"]["held part"],
    }
    return f"""\
## A numpy loop beside the uploader

Windows of 6 s, one thread of linear algebra.

{table(("workers", "class", *columns), _rows(found, columns))}"""


def _peers(found: Results) -> str:
    rows = [(name, cell(found.peer("small", name)), cell(found.peer("large", name))) for name in found.peers()]
    absent = "".join(f" {name} is missing: {why}." for name, why in NOT_HERE.items() if name not in found.peers())
    return f"""\
## What else sends files

Alone, without a queue and without staging, on the same server and files.{absent}

{table(("client", "2,000 × 10 KB, s", "4 × 512 MiB, s"), rows)}

Tuned is parts of 64 MiB, four at once, read by the MiB, two files at a time, no checksum but what is required, and no
signed payload."""


def _real(found: Results) -> str:
    heads = (
        "class",
        "there when the wait returned",
        "right, byte for byte, when closed",
        "wait returned, s",
        "closed, s",
    )
    return f"""\
## On a server that keeps what it gets

Both works in a row on versitygw, 4 processes, once; its disk and its sums are part of these times.

{table(heads, (_right(row) for row in found.found["correct"]))}"""


def _right(row: Figures) -> Row:
    if "figures" not in row:
        return (row["who"], "failed", "–", "–", "–")
    figures, of = row["figures"], f" of {row['figures']['accepted']:,}"
    there = (f"{figures[name]:,}{of}" for name in ("there when wait returned", "right when closed"))
    return (row["who"], *there, number(figures["wait returned s"]), number(figures["closed s"]))
