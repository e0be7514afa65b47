"""The kill test: ``python -m tests.support.kill_harness --kills 100 --uploads 3000 --seed N`` (Linux).

A program accepts uploads and writes each into a ledger once ``upload`` has returned. Its whole process tree is killed
at a random instant; then either ``rud resume`` runs (one time in three it is killed, too, and run again), or a new
run adopts what is left and goes on accepting the same keys. Everything random comes from the seed, except what the
machine itself does at a given instant. The verdict looks at the ledger, the store and its journal alone; any violation
makes the exit status 1.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import rud
from rud import Upload, Uploader
from rud._spool import status
from rud.backends._folders import TEMPORARY
from tests.support.journal_store import check, make
from tests.support.processes import wait_for_end, workers_of
from tests.support.slow_store import append

KEYS = [f"state/{number}" for number in range(12)]
LONGEST_RUN = 60.0
"""Seconds after which a program that should have ended by itself is taken to hang."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where everything of one test lies."""

    root: Path

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def spool(self) -> Path:
        return self.staging / "rud-spool" / "v1"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    def register(self) -> None:
        rud.register_backend("journal", "tests.support.journal_store:JournalStore")


# The programs that are killed


def accept_uploads(folders: Folders, seed: int, version: int, count: int) -> None:
    """Accept ``count`` uploads, numbered from ``version``, with a line in the ledger for each; then drain and close."""
    chance = random.Random(seed)
    uploader = Uploader(
        f"journal://here{folders.objects}",
        backend_kwargs={"journal": str(folders.journal)},
        upload_staging_folder=folders.staging,
        num_concurrent_uploads=2,
        fsync=chance.random() < 0.2,
    )
    source = folders.root / "source"
    recent: list[tuple[Upload, str]] = []
    print("ready", flush=True)
    for number in range(version, version + count):
        kind = chance.random()
        key = f"unique/{number}" if kind < 0.15 else "latest" if kind < 0.25 else chance.choice(KEYS)
        size = chance.randrange(300 << 10, 2 << 20) if chance.random() < 0.1 else chance.randrange(4000)
        source.write_bytes(make(key, number, chance.randbytes(size)))
        after = recent[-3:] if key == "latest" else []
        made = uploader.upload(source, key, overwrite=not key.startswith("unique"), after=[one for one, _ in after])
        append(folders.ledger, f"{number} {key} {' '.join(text for _, text in after)}".rstrip().encode() + b"\n")
        recent = [*recent[-3:], (made, f"{key}@{number}")]
        # A training loop works between uploads; without it all of them would be accepted before the first is sent.
        threading.Event().wait(chance.expovariate(1 / 0.003))
    uploader.drain(LONGEST_RUN / 2)
    uploader.close()


def resume(folders: Folders) -> int:
    """What the command does, with our store registered."""
    from rud.cli import main

    return int(main(["resume", str(folders.staging)]) or 0)


# The hand that kills them


@dataclass(slots=True)
class Tally:
    """What has happened."""

    kills: int = 0
    runs: int = 0
    runs_to_the_end: int = 0
    resumes: int = 0
    resumes_killed: int = 0
    problems: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    """The version of each key that was visible when we last looked."""


class Harness:
    """One test in ``folders``, with everything random from ``seed``."""

    def __init__(self, folders: Folders, seed: int) -> None:
        self.folders = folders
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
        self._kill_after(program, self.chance.uniform(0.0, 0.7))
        program.stdout.close()

    def _resume(self) -> None:
        while True:
            self.tally.resumes += 1
            program = self._start(["--resume"], stdout=subprocess.DEVNULL)
            if self.chance.random() >= 1 / 3:
                code = program.wait(LONGEST_RUN)
                break
            if self._kill_after(program, self.chance.uniform(0.0, 0.35)):
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
        for path in self.folders.objects.rglob("*"):
            key = path.relative_to(self.folders.objects).as_posix()
            if path.is_file() and not path.name.startswith(TEMPORARY):
                try:
                    content = check(path)
                except ValueError as error:
                    self.tally.problems.append(str(error))
                    continue
                found[key] = content.version
                if content.key != key:
                    self.tally.problems.append(f"{key} has the content of {content.key}")
        return found


# The verdict


@dataclass(slots=True)
class Verdict:
    """Counted from the ledger, the store and its journal."""

    accepted: int = 0
    sent: int = 0
    duplicates: int = 0
    lost: int = 0
    older_after_newer: int = 0
    too_early: int = 0
    unaccounted: int = 0
    left_in_spool: int = 0
    failed: int = 0
    left_in_staging: int = 0
    hidden_in_store: int = 0


def judge(folders: Folders, visible: dict[str, int]) -> Verdict:
    """The verdict when everything is over."""
    verdict = Verdict()
    newest, after = _read_ledger(folders, verdict)
    verdict.lost = sum(visible.get(key, 0) < version for key, version in newest.items())
    _read_journal(folders, after, verdict)
    verdict.unaccounted = sum(key.startswith("unique") and visible[key] != int(key.split("/")[1]) for key in visible)
    owners = status.scan(str(folders.staging))
    verdict.left_in_spool = sum(owner.spooled for owner in owners)
    verdict.failed = sum(len(owner.failed) for owner in owners)
    verdict.left_in_staging = sum(not path.name.startswith(".") for path in folders.spool.iterdir())
    verdict.hidden_in_store = sum(path.name.startswith(TEMPORARY) for path in folders.objects.rglob("*"))
    return verdict


def _read_ledger(folders: Folders, verdict: Verdict) -> tuple[dict[str, int], dict[int, list[tuple[str, int]]]]:
    newest: dict[str, int] = {}
    after: dict[int, list[tuple[str, int]]] = {}
    for line in folders.ledger.read_text().splitlines():
        number, key, *dependencies = line.split()
        verdict.accepted += 1
        newest[key] = max(newest.get(key, 0), int(number))
        after[int(number)] = [(name, int(at)) for name, _, at in (text.rpartition("@") for text in dependencies)]
    return newest, after


def _read_journal(folders: Folders, after: dict[int, list[tuple[str, int]]], verdict: Verdict) -> None:
    """Duplicates and order as the store has seen them. What was begun may have become visible before its writer died,
    so a later look decides: what the next put of the key has found there."""
    shown: dict[str, int] = {}
    for line in folders.journal.read_text().splitlines():
        word, key, number, _, *there = line.split()
        version = int(number)
        if word == "begin":
            verdict.sent += 1
            verdict.duplicates += int(there[0]) == version
            verdict.older_after_newer += int(there[0]) > version
            verdict.too_early += any(shown.get(name, 0) < at for name, at in after.get(version, []))
        shown[key] = max(shown.get(key, 0), version)


def summary(tally: Tally, verdict: Verdict, seconds: float) -> str:
    return (
        f"{verdict.accepted} accepted, {tally.kills} kills of {tally.runs} runs "
        f"and {tally.resumes} resumes ({tally.resumes_killed} of them killed), {seconds:.0f} s\n"
        f"sent {verdict.sent}, of which {verdict.duplicates} duplicates; "
        f"lost {verdict.lost}, older after newer {verdict.older_after_newer}, before their dependencies "
        f"{verdict.too_early}, failed {verdict.failed}, left in the spool {verdict.left_in_spool}, "
        f"owner folders left {verdict.left_in_staging}, hidden files left in the store {verdict.hidden_in_store}"
    )


def violations(tally: Tally, verdict: Verdict) -> list[str]:
    """What must not be, in words."""
    allowed = {"accepted", "sent", "duplicates", "hidden_in_store"}
    found = [
        f"{name}: {getattr(verdict, name)}"
        for name in Verdict.__slots__
        if name not in allowed and getattr(verdict, name)
    ]
    return tally.problems + found


def kill_test(root: Path, *, kills: int, uploads: int, seed: int) -> tuple[Tally, Verdict]:
    """The whole test in the empty folder ``root``."""
    harness = Harness(Folders(root), seed)
    harness.run(kills, uploads)
    return harness.tally, judge(harness.folders, harness.visible())


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--uploads", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--accept", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.accept is not None or given.resume:
        folders = Folders(given.folder)
        folders.register()
        if given.resume:
            sys.exit(resume(folders))
        accept_uploads(folders, given.seed, given.accept, given.count)
        sys.exit(0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rud-kill-test-") as folder:
        tally, verdict = kill_test(
            given.folder or Path(folder), kills=given.kills, uploads=given.uploads, seed=given.seed
        )
    print(summary(tally, verdict, time.monotonic() - began))
    found = violations(tally, verdict)
    print(json.dumps({"seed": given.seed, "violations": found}))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
