"""The runner: ``python -m benchmarks [NAME…] [--folder FOLDER] [--json PATH]``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import accepting, guarding, importing, large, latency, queued, stores, workers
from benchmarks.report import Row, machine, table
from benchmarks.tools import no_warnings, workspace

BENCHMARKS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "accepting": accepting.run,
    "large": large.run,
    "latency": latency.run,
    "workers": workers.run,
    "queued": queued.run,
    "importing": importing.run,
    "stores": stores.run,
    "guarding": guarding.run,
}
_RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run what was named, or everything; 1 when a figure is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure rud beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to work, on the disk in question")
    parser.add_argument("--json", type=Path, metavar="PATH", help="one file for all (default: results/NAME.json each)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if sys.flags.dont_write_bytecode:
        # Workers inherit it, and would compile every module whenever one is started.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])
    no_warnings()
    rows: dict[str, list[Row]] = {}
    facts = machine(arguments.folder)
    for name in arguments.names or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        with workspace(arguments.folder) as folder:
            rows[name] = list(BENCHMARKS[name](folder))
    facts["load after"] = machine(arguments.folder)["load"]
    everything = [row for some in rows.values() for row in some]
    print(", ".join(f"{name}: {value}" for name, value in facts.items()))
    print(table(everything))
    _write(arguments.json, facts, rows)
    return 1 if any(row.ok is False for row in everything) else 0


def _write(path: Path | None, facts: dict[str, object], rows: dict[str, list[Row]]) -> None:
    files = {path: rows} if path else {_RESULTS / f"{name}.json": {name: some} for name, some in rows.items()}
    for file, named in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        lists = {name: [row.to_json() for row in some] for name, some in named.items()}
        file.write_text(json.dumps({"machine": facts, "figures": lists}, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
