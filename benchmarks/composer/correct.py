"""Whether what was sent is there: on a real server that keeps what it gets, the works of ``session`` once, then closed.

``python -m benchmarks.composer.correct PLAN FOLDER``: FOLDER is where the server keeps the objects of the bucket.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.composer.classes import prepare
from benchmarks.composer.session import Plan, subject_of


def _run(plan: Plan, kept: Path) -> dict[str, Any]:
    prepare(plan.who)
    subject = subject_of(plan)
    subject.init()
    sources = Path(plan.sources)
    files = sorted(sources.glob("small-*")) + sorted(sources.glob("large-*"))
    began = time.perf_counter()
    for path in files:
        subject.upload(path, f"correct/{path.name}")
    subject.wait()
    waited = time.perf_counter() - began
    when_waited = sum((kept / "correct" / path.name).exists() for path in files)
    subject.close()
    closed = time.perf_counter() - began
    return {
        "accepted": len(files),
        "there when wait returned": when_waited,
        "right when closed": sum(_same(path, kept / "correct" / path.name) for path in files),
        "wait returned s": waited,
        "closed s": closed,
    }


def _same(source: Path, kept: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return filecmp.cmp(source, kept, shallow=False)
    return False


if __name__ == "__main__":
    print(json.dumps(_run(Plan(**json.loads(sys.argv[1])), Path(sys.argv[2]))), flush=True)
