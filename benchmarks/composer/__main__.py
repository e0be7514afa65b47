"""``python -m benchmarks.composer environment FOLDER | run | report | scenarios``: see ``benchmarks/README.md``."""

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
    arguments = parser.parse_args()
    match arguments.command:
        case "environment":
            from benchmarks.composer import environment as made

            made.make(arguments.folder.resolve())
            return 0
        case "scenarios":
            from benchmarks.composer import scenarios as played

            with workspace(arguments.folder) as folder:
                return played.run(folder, arguments.names, SCENARIOS, DOCUMENTS / "scenarios.md", _saying())
        case "run":
            from benchmarks.composer.running import Run

            with workspace(arguments.folder) as folder:
                Run(folder, arguments.results, _saying()).everything(arguments.rounds, arguments.names)
    from benchmarks.composer import report as page

    return page.write(arguments.results, DOCUMENTS)


def _saying() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda words: print(f"{time.monotonic() - began:6.0f} s  {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
