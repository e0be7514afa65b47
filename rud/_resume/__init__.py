"""``resume``: send what dead runs have left in their spools, wait for it, and say what has become of it.

The owner folders of one destination and rank are taken over together, emptied and let go of. It may be killed at any
instant and run again: the death of a resumer leaves a folder as the death of its owner did, and its workers hold a lock
in that same folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rud._clock import SystemClock
from rud._options import Options
from rud._report import Report
from rud._resume.folders import facts_of, give_back, owner_folders
from rud._resume.sending import FolderOutcome, How, Progress, Stop, not_done, resume_together

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
    """Send what is spooled in the owner ``folders``, those of one destination and rank together, and wait for it.

    ``failed``: what has failed is tried again, too. ``other_host``: folders of another host, whose locks may not be
    seen from here, are taken; the caller knows that its run is dead. ``overwrite_newer``: also over objects that are
    newer and not ours, or that may not be looked at. ``backend_kwargs``: the arguments that are not on the disk.
    ``timeout``: seconds for all of it. ``on_progress(folders, counts)`` is called every ``interval`` seconds, with the
    folders that are sent together.

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
    there = [folder for folder in folders if facts_of(folder) or os.path.isdir(folder)]
    outcomes = _in_turn(there, how)
    return ResumeOutcome(tuple(outcomes[folder] for folder in there))


def _in_turn(folders: list[str], how: How) -> dict[str, FolderOutcome]:
    """One destination and rank after the other; one that does not answer is not asked again for another rank."""
    together: dict[tuple[str, str], list[str]] = {}
    for folder in folders:
        facts = facts_of(folder)
        together.setdefault((str(facts.get("destination")), str(facts.get("rank"))), []).append(folder)
    outcomes: dict[str, FolderOutcome] = {}
    out: dict[str, str] = {}
    over: Stop = ""
    for (destination, _), group in together.items():
        if over:
            outcomes |= {folder: not_done(folder, over, "its turn did not come") for folder in group}
        elif destination in out:
            outcomes |= {folder: not_done(folder, "trouble", out[destination]) for folder in group}
        else:
            found = resume_together(group, facts_of(group[0]), how)
            for outcome in found.values():
                if outcome.stop == "trouble":
                    out[destination] = outcome.why
                elif outcome.stop in ("time limit", "interrupted"):
                    over = outcome.stop
            outcomes |= found
    return outcomes
