"""What the kill test has come to, by the ledger, the store and its journal alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rud._spool import status


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

    @property
    def target(self) -> Path:
        return self.root / "target"


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
    in_parts: int = 0
    """Of those that were sent."""
    unfinished_in_parts: int = 0
    told_otherwise: int = 0
    """Objects of which the store's answer is another than its disk's."""
    details: list[str] = field(default_factory=list[str])
    """What was wrong with the order, a line each."""


def judge(folders: Folders, visible: dict[str, int], verdict: Verdict) -> Verdict:
    """The verdict when everything is over, added to what the store has found."""
    newest, after = _read_ledger(folders, verdict)
    verdict.lost = sum(visible.get(key, 0) < version for key, version in newest.items())
    _read_journal(folders, after, verdict)
    verdict.unaccounted = sum(key.startswith("unique") and visible[key] != int(key.split("/")[1]) for key in visible)
    owners = status.scan(str(folders.staging))
    verdict.left_in_spool = sum(owner.spooled for owner in owners)
    verdict.failed = sum(len(owner.failed) for owner in owners)
    verdict.left_in_staging = sum(not path.name.startswith(".") for path in folders.spool.iterdir())
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
        word, key, number, put, *there = line.split()
        version = int(number)
        if word == "begin":
            verdict.sent += 1
            verdict.duplicates += int(there[0]) == version
            if int(there[0]) > version:
                verdict.older_after_newer += 1
                verdict.details.append(f"{key}: {version} was put over {there[0]}, by {put}")
            if early := [f"{name}@{at}" for name, at in after.get(version, []) if shown.get(name, 0) < at]:
                verdict.too_early += 1
                verdict.details.append(f"{key}: {version} was put before {', '.join(early)}, by {put}")
        shown[key] = max(shown.get(key, 0), version)


def summary(tally: Tally, verdict: Verdict, seconds: float) -> str:
    return (
        f"{verdict.accepted} accepted, {tally.kills} kills of {tally.runs} runs "
        f"and {tally.resumes} resumes ({tally.resumes_killed} of them killed), {seconds:.0f} s\n"
        f"sent {verdict.sent}, of which {verdict.in_parts} in parts and {verdict.duplicates} duplicates; "
        f"lost {verdict.lost}, older after newer {verdict.older_after_newer}, before their dependencies "
        f"{verdict.too_early}, failed {verdict.failed}, left in the spool {verdict.left_in_spool}, "
        f"owner folders left {verdict.left_in_staging}, hidden files left in the store {verdict.hidden_in_store}, "
        f"unfinished multipart uploads {verdict.unfinished_in_parts}"
    )


def violations(tally: Tally, verdict: Verdict) -> list[str]:
    """What must not be, in words."""
    allowed = {"accepted", "sent", "in_parts", "duplicates", "hidden_in_store", "details"}
    found = [
        f"{name}: {getattr(verdict, name)}"
        for name in Verdict.__slots__
        if name not in allowed and getattr(verdict, name)
    ]
    return tally.problems + found + verdict.details
