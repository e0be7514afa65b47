"""The kill test: ``python -m tests.support.kill_harness --kills 100 --uploads 3000 --seed N`` (Linux), on a folder or,
with ``--store versitygw``, on S3.

A program accepts uploads and writes each into a ledger once ``upload`` has returned. Its whole process tree is killed
at a random instant; then either ``rud resume`` runs (one time in three it is killed, too, and run again), or a new
run adopts what is left and goes on accepting the same keys. Everything random comes from the seed, except what the
machine itself does at a given instant. The verdict looks at the ledger, the store and its journal alone; any violation
makes the exit status 1. With ``--folder`` everything stays there to be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

from rud import Upload, Uploader
from rud._clock import SystemClock
from rud._spool import status
from tests.support.journal_store import check, make
from tests.support.kill_stores import STORES, KillStore, Target
from tests.support.kill_verdict import Folders, Tally, Verdict, judge, summary, violations
from tests.support.processes import wait_for_end, workers_of
from tests.support.slow_store import append

KEYS = [f"state/{number}" for number in range(12)]
LONGEST_RUN = 60.0
"""Seconds after which a program that should have ended by itself is taken to hang."""


# The programs that are killed


def accept_uploads(folders: Folders, seed: int, version: int, count: int) -> None:
    """Accept ``count`` uploads, numbered from ``version``, with a line in the ledger for each; then drain and close."""
    target = Target.load(folders)
    chance = random.Random(seed)
    uploader = Uploader(
        target.uri,
        backend_kwargs=target.backend_kwargs,
        upload_staging_folder=folders.staging,
        num_concurrent_uploads=2,
        fsync=chance.random() < 0.2,
        use_procs=chance.random() >= target.threads,
    )
    source = folders.root / "source"
    recent: list[tuple[Upload, str]] = []
    print("ready", flush=True)
    for number in range(version, version + count):
        kind = chance.random()
        key = f"unique/{number}" if kind < 0.15 else "latest" if kind < 0.25 else chance.choice(KEYS)
        source.write_bytes(make(key, number, chance.randbytes(_size(chance, target.large))))
        after = recent[-3:] if key == "latest" else []
        made = uploader.upload(source, key, overwrite=not key.startswith("unique"), after=[one for one, _ in after])
        append(folders.ledger, f"{number} {key} {' '.join(text for _, text in after)}".rstrip().encode() + b"\n")
        recent = [*recent[-3:], (made, f"{key}@{number}")]
        # A training loop works between uploads; without it all of them would be accepted before the first is sent.
        threading.Event().wait(chance.expovariate(1 / 0.003))
    uploader.drain(LONGEST_RUN / 2)
    uploader.close()


def _size(chance: random.Random, large: int) -> int:
    """Most are inline in the log, some are files of their own, few have parts."""
    if large and chance.random() < 0.06:
        return chance.randrange(large // 2, large)
    return chance.randrange(300 << 10, 2 << 20) if chance.random() < 0.1 else chance.randrange(4000)


def resume(folders: Folders) -> int:
    """What the command does, with our store registered."""
    from rud.cli import main

    arguments = Target.load(folders).backend_kwargs
    return int(main(["resume", str(folders.staging), "--backend-kwargs", json.dumps(arguments)]) or 0)


# The hand that kills them


class Harness:
    """One test in ``store``, with everything random from ``seed``."""

    def __init__(self, store: KillStore, seed: int) -> None:
        self.store = store
        self.folders = store.folders
        self.target = store.target()
        self.chance = random.Random(seed)
        self.tally = Tally()
        self.version = 1

    def run(self, kills: int, uploads: int) -> None:
        """At least so many kills and accepted uploads, then a last resume."""
        while self.tally.kills < kills or self.accepted() < uploads:
            self._run_and_kill()
            self._look()
            if self.chance.random() < 0.5 and self.folders.spool.exists():
                self._resume()
                self._look()
            if self.tally.problems:
                return
        self._resume()
        self._look()

    def accepted(self) -> int:
        return len(self.folders.ledger.read_bytes().splitlines()) if self.folders.ledger.exists() else 0

    def _run_and_kill(self) -> None:
        count = self.chance.randrange(30, 90)
        arguments = ["--accept", str(self.version), "--count", str(count), "--seed", str(self.chance.getrandbits(32))]
        self.version += count
        program = self._start(arguments, stdout=subprocess.PIPE)
        assert program.stdout is not None
        self.tally.runs += 1
        # One in five dies while it starts, adopts and accepts the first; the others somewhere later.
        if self.chance.random() < 0.8:
            program.stdout.readline()
        self._kill_after(program, self.chance.uniform(0.0, self.target.run_for))
        program.stdout.close()

    def _resume(self) -> None:
        while True:
            self.tally.resumes += 1
            program = self._start(["--resume"], stdout=subprocess.DEVNULL)
            if self.chance.random() >= 1 / 3:
                code = program.wait(LONGEST_RUN)
                break
            if self._kill_after(program, self.chance.uniform(0.0, self.target.resume_for)):
                self.tally.resumes_killed += 1
            else:
                code = program.returncode
                break
        if code != 0:
            self.tally.problems.append(f"rud resume ended with status {code}")
        elif left := sum(owner.spooled for owner in status.scan(str(self.folders.staging))):
            self.tally.problems.append(f"after rud resume {left} uploads were spooled")

    def _start(self, arguments: list[str], *, stdout: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.kill_harness", "--folder", str(self.folders.root), *arguments]
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
        with open(self.folders.root / "stderr", "ab") as errors:
            return subprocess.Popen(
                command,
                stdout=stdout,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )

    def _kill_after(self, program: subprocess.Popen[bytes], seconds: float) -> bool:
        """SIGKILL to the whole tree after ``seconds``; false when it has ended by itself before."""
        try:
            code = program.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        else:
            if code != 0:
                self.tally.problems.append(f"a program ended with status {code}: see stderr")
            self.tally.runs_to_the_end += 1
            return False
        program.kill()
        append(self.folders.root / "kills", f"{SystemClock().time_ns()} {program.pid}\n".encode())
        workers = workers_of(program.pid)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        program.wait()
        for pid in [*workers, *workers_of(program.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
        self.tally.kills += 1
        return True

    def _look(self) -> None:
        """What anybody can see between two deaths: whole objects, and never an older one than before."""
        for key, version in self.visible().items():
            if version < self.tally.seen.get(key, 0):
                self.tally.problems.append(f"{key} shows {version} after {self.tally.seen[key]}")
            self.tally.seen[key] = version

    def visible(self) -> dict[str, int]:
        """The version of every object; a damaged one is a problem."""
        found: dict[str, int] = {}
        for key, path in self.store.visible():
            try:
                content = check(path)
            except FileNotFoundError:
                continue  # it is being replaced, by the request of a sender that is dead
            except ValueError as error:
                self.tally.problems.append(str(error))
                continue
            found[key] = content.version
            if content.key != key:
                self.tally.problems.append(f"{key} has the content of {content.key}")
        return found

    def judge(self) -> Verdict:
        """When everything is over."""
        verdict = Verdict()
        self.store.judge(verdict)
        return judge(self.folders, self.visible(), verdict)


# The command


def kill_test(root: Path, *, kills: int, uploads: int, seed: int, store: str = "folder") -> tuple[Tally, Verdict]:
    """The whole test in the empty folder ``root``."""
    with STORES[store](Folders(root)) as made:
        harness = Harness(made, seed)
        harness.run(kills, uploads)
        return harness.tally, harness.judge()


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--uploads", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=sorted(STORES), default="folder")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--accept", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume:
        sys.exit(resume(Folders(given.folder)))
    if given.accept is not None:
        accept_uploads(Folders(given.folder), given.seed, given.accept, given.count)
        sys.exit(0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rud-kill-test-") as folder:
        tally, verdict = kill_test(
            given.folder or Path(folder),
            kills=given.kills,
            uploads=given.uploads,
            seed=given.seed,
            store=given.store,
        )
    print(summary(tally, verdict, time.monotonic() - began))
    found = violations(tally, verdict)
    print(json.dumps({"store": given.store, "seed": given.seed, "violations": found}))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
