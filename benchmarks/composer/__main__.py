"""``python -m benchmarks.composer environment FOLDER | run | report | scenarios | stores``; see ``../README.md``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tools import workspace

_HERE = Path(__file__).resolve().parent
RESULTS = _HERE.parent / "results" / "composer.json"
SCENARIOS = _HERE.parent / "results" / "composer_scenarios.json"
STORES = _HERE.parent / "results" / "composer_stores.jsonl"
DOCUMENTS = _HERE.parents[1] / "docs"


def main() -> int:
    """1 when a figure is missed or cannot be told."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composer", description="rud beside Composer's class.")
    commands = parser.add_subparsers(dest="command", required=True)
    environment = commands.add_parser("environment", help="make the environment that run and scenarios need")
    environment.add_argument("folder", type=Path)
    run = commands.add_parser("run", help="measure, then report")
    run.add_argument("names", nargs="*", help="some of '4 processes', '1 thread', …, loop, peers, versitygw")
    run.add_argument("--rounds", type=int, default=3)
    run.add_argument("--folder", default=tempfile.gettempdir(), help="where to work; 10 GiB of room")
    run.add_argument("--results", type=Path, default=RESULTS)
    report = commands.add_parser("report", help="write the page and the chart from the results")
    report.add_argument("--results", type=Path, default=RESULTS)
    scenarios = commands.add_parser("scenarios", help="both classes through faults on S3")
    scenarios.add_argument("names", nargs="*", help="default: all")
    scenarios.add_argument("--folder", default=tempfile.gettempdir())
    stores = commands.add_parser("stores", help="the conformance suite on Composer's own stores")
    stores.add_argument("--only-page", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    match arguments.command:
        case "environment":
            from benchmarks.composer import environment as made

            made.make(arguments.folder.resolve())
            return 0
        case "stores":
            from benchmarks.composer import stores_page

            page = DOCUMENTS / "conformance-composer.md"
            if arguments.only_page:
                return stores_page.write(STORES, page)
            return stores_page.run(STORES, page, _saying())
        case "scenarios":
            from benchmarks.composer import scenarios as played

            with workspace(arguments.folder) as folder:
                return played.run(folder, arguments.names, SCENARIOS, DOCUMENTS / "scenarios.md", _saying())
        case "run":
            from benchmarks.composer.running import Run

            with workspace(arguments.folder) as folder:
                Run(folder, arguments.results, _saying()).everything(arguments.rounds, arguments.names)
    from benchmarks.composer import report as figures

    return figures.write(arguments.results, DOCUMENTS)


def _saying() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda words: print(f"{time.monotonic() - began:6.0f} s  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
