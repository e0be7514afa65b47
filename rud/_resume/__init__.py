"""``resume``: send what dead runs have left in their spools, wait for it, and say what has become of it.

Each owner folder is taken over, emptied and let go of in turn. It may be killed at any instant and run again: the death
of a resumer leaves the folder as the death of its owner did, and its worker holds a lock in that same folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rud._clock import SystemClock
from rud._options import Options
from rud._report import Report
from rud._resume.folders import facts_of, give_back, owner_folders
from rud._resume.sending import FolderOutcome, How, Progress, Stop, not_done, resume_one

__all__ = ["resume", "ResumeOutcome", "FolderOutcome", "owner_folders", "give_back"]


@dataclass(frozen=True, slots=True)
class ResumeOutcome:
    """What ``resume`` has done, folder by folder."""

    folders: tuple[FolderOutcome, ...] = ()

    @property
    def total(self) -> Report:
        """The sums over all folders; ``left`` of all."""
        reports = [one.report for one in self.folders]

        def over_all(name: str) -> int:
            return sum(getattr(report, name) for report in reports)

        return Report(
            stored=over_all("stored"),
            superseded=over_all("superseded"),
            failed=over_all("failed"),
            cancelled=over_all("cancelled"),
            spooled=over_all("spooled"),
            left=tuple(left for report in reports for left in report.left),
        )

    def stopped(self, *stops: Stop) -> list[FolderOutcome]:
        """The folders that were stopped by one of ``stops``."""
        return [one for one in self.folders if one.stop in stops]


def resume(
    folders: Iterable[str],
    *,
    failed: bool = False,
    other_host: bool = False,
    overwrite_newer: bool = False,
    backend_kwargs: Mapping[str, Any] | None = None,
    workers: int = 1,
    timeout: float | None = None,
    on_progress: Progress | None = None,
    interval: float = 0.25,
) -> ResumeOutcome:
    """Send what is spooled in the owner ``folders``, one after the other, and wait for it.

    ``failed``: what has failed is tried again, too. ``other_host``: folders of another host, whose locks may not be
    seen from here, are taken; the caller knows that its run is dead. ``overwrite_newer``: also over objects that are
    newer and not ours, or that may not be looked at. ``backend_kwargs``: the arguments that are not on the disk.
    ``timeout``: seconds for all of it. ``on_progress(folder, counts)`` is called every ``interval`` seconds.

    Nothing fails for want of an answer: it stays spooled. A folder that is in use, for another destination than the
    arguments lead to, or that cannot be taken, is left as it is. An interrupt (Ctrl-C) ends it early, with an outcome
    that says so. ``ConfigurationError`` for a wrong option in the environment.
    """
    clock = SystemClock()
    how = How(
        options=Options.build(os.environ),
        failed=failed,
        other_host=other_host,
        force=overwrite_newer,
        backend_kwargs=backend_kwargs,
        workers=max(1, workers),
        clock=clock,
        end=None if timeout is None else clock.monotonic() + timeout,
        on_progress=on_progress,
        interval=interval,
    )
    return ResumeOutcome(tuple(_in_turn(list(folders), how)))


def _in_turn(folders: list[str], how: How) -> Iterator[FolderOutcome]:
    out: dict[str, str] = {}
    over: Stop = ""
    for folder in folders:
        facts = facts_of(folder)
        destination = str(facts.get("destination"))
        if over:
            yield not_done(folder, over, "its turn did not come")
        elif destination in out:
            yield not_done(folder, "trouble", out[destination])
        elif facts or os.path.isdir(folder):
            outcome = resume_one(folder, facts, how)
            if outcome.stop == "trouble" and outcome.report.spooled:
                out[destination] = outcome.why
            elif outcome.stop in ("time limit", "interrupted"):
                over = outcome.stop
            yield outcome
